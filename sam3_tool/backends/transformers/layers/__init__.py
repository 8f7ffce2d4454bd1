"""Layers of SAM 3 replaced by exact, faster ones."""
