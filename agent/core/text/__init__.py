"""Text as people and language models write it: English numbers, lenient JSON, what can be encoded."""
