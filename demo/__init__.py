"""A web page to segment by talking and clicking: `sam3-agent demo`."""
