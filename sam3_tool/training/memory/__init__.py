"""The memory of the tracker: how the embedded checkpoint learned to follow objects through generated clips."""
