"""Text in a picture: found, bound to masks, and compared with what is looked for."""
