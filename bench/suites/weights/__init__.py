"""Loading weights of the published size: files of them, and what reading those costs."""
