"""An agent that answers a query about an image with masks: a planner decides, tools do, SAM 3 segments.

Load SAM 3, choose a planner, run a task:

    >>> import numpy as np
    >>> from agent import GrammarPlanner, Task, run
    >>> from sam3_tool import Image, Sam3, ScriptedBackend
    >>> sam3 = Sam3(ScriptedBackend({}))  # Sam3.load("tiny") is a real network
    >>> episode = run(Task(Image(np.zeros((4, 6, 3), np.uint8)), "all the cups"), GrammarPlanner(), sam3)
    >>> episode.outcome, len(episode.answer)
    ('no_match', 0)
    >>> [step.decision.tool for step in episode.steps][0], episode.workspace.searches[0].phrase
    ('segment', 'cup')
"""

# `import agent` takes 0.03 s in this way, and 1.2 s where every module is imported at once (benchmarks/NOTES.md).
# The names, and where each is defined, are in __init__.pyi; a module is imported when its first name is used.
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
