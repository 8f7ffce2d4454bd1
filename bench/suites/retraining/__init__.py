"""What the data engine is worth: the embedded SAM 3 fine-tuned on labels of another style, of three kinds."""
