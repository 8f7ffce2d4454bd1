"""An event is checked before anything is done."""

import pytest

from demo.requests import Corners, InvalidEventError, Kept, Point, parse_event


class Event:
    def __init__(self, data):
        self._data = data


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Point, {"x": float("nan"), "y": 1, "positive": True}),
        (Point, {"x": 1, "y": 1, "positive": True, "active": -3}),
        (Corners, {"box": [1, 2, 3]}),
        (Kept, {"ids": ["../../etc"]}),
        (Kept, None),
    ],
)
def test_what_the_page_would_never_send_is_refused(kind, sent):
    with pytest.raises(InvalidEventError, match="makes no sense"):
        parse_event(kind, Event(sent))
