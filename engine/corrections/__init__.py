"""Corrections that people make in other tools: pairs that wait are handed out as COCO, and masks are taken back."""
