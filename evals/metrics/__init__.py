"""Published metrics as pure functions, one file each."""
