"""Weights of the published size: files of them, what reading those costs, and what open models of that size cost."""
