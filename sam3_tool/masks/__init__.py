"""Masks as run lengths, boxes and polygons: exact conversions between them."""
