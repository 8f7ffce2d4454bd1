"""What moves the weights: losses, optimizers, the running average, the state of a run and its log."""
