"""Fine-tuning of the embedded checkpoint on labels: phrases of images, with masks that are all there or perhaps not."""
