"""Parts of an image that SAM 3 looks at by themselves, and the objects that their borders cut."""
