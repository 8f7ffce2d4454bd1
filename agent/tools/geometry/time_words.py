"""The words for what happens in a video: what the tools accept and `motions` and `encounters` compute."""

from typing import Literal, get_args

Motion = Literal[
    "moves",
    "still",
    "moves_left",
    "moves_right",
    "moves_up",
    "moves_down",
    "turns",
    "crosses",
    "grows",
    "shrinks",
    "appears",
    "disappears",
    "enters",
    "leaves",
    "comes_back",
]
MOTIONS: tuple[str, ...] = get_args(Motion)
TrackMeasure = Literal["speed", "way", "growth", "duration", "first_seen", "last_seen"]
TRACK_MEASURES: tuple[str, ...] = get_args(TrackMeasure)

Encounter = Literal[
    "moving_toward",
    "moving_away_from",
    "passing",
    "passing_over",
    "crossing",
    "appearing_before",
    "appearing_after",
    "disappearing_before",
    "disappearing_after",
    "seen_with",
]
ENCOUNTERS: tuple[str, ...] = get_args(Encounter)
When = Literal["mostly", "ever", "always"]
"""mostly: on more than half of the frames. ever: at some time. always: on all of them."""
