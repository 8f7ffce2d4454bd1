"""The data engine: from images and phrases to exhaustively verified masks, by models and people in turns."""
