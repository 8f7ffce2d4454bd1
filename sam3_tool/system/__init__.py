"""What stands between the program and the system it runs on: files, paths, signals, the environment."""
