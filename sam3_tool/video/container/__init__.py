"""Video files, read with PyAV: packets, time stamps, colours, and which side is up."""
