"""Published metrics as pure functions, one module each, whose function is `score`.

    boxes            `grec`, `omnilabel`
    counts           `counting`
    masks            `gres`, `pbench`, `reasonseg`, `refcoco`
    masks or boxes   `cgf1`
    videos           `jf`, `veval`

`python -m evals.metrics` shows how far each is from its official code on the committed cases.

    >>> import numpy as np
    >>> from evals.metrics import reasonseg
    >>> whole = np.ones((4, 4), np.uint8)
    >>> round(reasonseg.score([(whole > 0, whole)])["ciou"], 3)
    1.0
"""
