"""Places, relations and measures of masks, computed exactly."""
