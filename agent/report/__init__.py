"""An episode for people: result.json, text, one HTML page."""
