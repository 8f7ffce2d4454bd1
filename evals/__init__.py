"""Benchmarks: data sets, their official metrics, and runs of a planner over them.

Load a data set, ask a planner its samples, read the scores:

    >>> from evals import load_dataset
    >>> scenes = load_dataset("scenes", number=2)
    >>> [sample.query for sample in scenes.list_samples()]
    ['show me all the vehicles', 'the pink hearts']

`evaluate` has an example of a whole run, and `evals.metrics` holds the metrics as pure functions.
"""

# The names, and where each is defined, are in __init__.pyi; a module is imported when its first name is used.
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
