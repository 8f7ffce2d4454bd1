"""The ways in which an episode ends."""

from typing import Literal

Outcome = Literal["answered", "no_match", "asked", "step_limit", "budget", "failed"]
EARLY_STOP_OUTCOMES: tuple[Outcome, ...] = ("step_limit", "budget", "failed")
"""Of these, what was found until then is the answer only where nothing better stood before."""
