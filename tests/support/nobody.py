"""A part of a test in which a root user may no more than anybody else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def become_nobody() -> Iterator[None]:
    """Whoever may read everything reads as a user who may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
