"""Objects followed through a video: the memory of SAM 3's tracker."""
