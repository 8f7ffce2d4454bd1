"""Own data: queries with masks, in whichever file they are."""
