"""How temporal queries are said: several wordings of each kind, for one target and for several.

{one} and {many} stand for the asked noun and its plural, {mark} for the landmark, with which something happens.
"""

from collections.abc import Mapping

Wordings = tuple[str, ...]

ONE: Mapping[str, Wordings] = {
    "first to enter": (
        "the first {one} to come in",
        "the {one} that enters first",
        "the first {one} to enter the picture",
        "which {one} comes in first?",
        "the {one} that comes into view before the other ones",
    ),
    "last to enter": (
        "the last {one} to come in",
        "the {one} that enters last",
        "the last {one} to enter the frame",
        "the {one} which comes in last",
    ),
    "second to enter": (
        "the second {one} to come in",
        "the {one} that enters second",
        "the second {one} that enters",
        "the 2nd {one} to enter the picture",
    ),
    "first to leave": (
        "the first {one} to leave",
        "the {one} that leaves first",
        "the {one} that goes away first",
        "the first {one} to go out of the picture",
    ),
    "last to leave": (
        "the last {one} to leave",
        "the {one} that leaves last",
        "the last {one} to go out of view",
        "the {one} which is the last to exit",
    ),
    "second to leave": (
        "the second {one} to leave",
        "the {one} that leaves second",
        "the second {one} to disappear",
        "the 2nd {one} that goes out",
    ),
    "enters": (
        "the {one} that comes in",
        "the {one} entering",
        "the {one} that enters the picture",
        "the {one} coming in",
    ),
    "leaves": (
        "the {one} that leaves",
        "the {one} leaving",
        "the {one} that goes out of the picture",
        "the {one} that exits",
    ),
    "enters before": (
        "the {one} that comes in before the {mark}",
        "the {one} that enters before the {mark} does",
        "the {one} entering earlier than the {mark}",
    ),
    "enters after": (
        "the {one} that comes in after the {mark}",
        "the {one} that enters after the {mark} does",
        "the {one} entering later than the {mark}",
    ),
    "while above": (
        "the {one} while it is above the {mark}",
        "the {one} when it is higher than the {mark}",
        "the {one}, as long as it is above the {mark}",
        "the {one} while above the {mark}",
    ),
    "while below": (
        "the {one} while it is below the {mark}",
        "the {one} when it is lower than the {mark}",
        "the {one} whenever it is under the {mark}",
        "the {one} while below the {mark}",
    ),
    "moves left": (
        "the {one} moving left",
        "the {one} that moves to the left",
        "the {one} going left",
        "the {one} heading left",
    ),
    "moves right": (
        "the {one} moving right",
        "the {one} that moves to the right",
        "the {one} going right",
        "the {one} that travels from left to right",
    ),
    "moves up": (
        "the {one} moving up",
        "the {one} that goes up",
        "the rising {one}",
        "the {one} that moves upwards",
    ),
    "moves down": (
        "the {one} moving down",
        "the {one} that goes down",
        "the falling {one}",
        "the {one} that sinks",
    ),
    "fastest": (
        "the fastest {one}",
        "the {one} that moves fastest",
        "the quickest {one}",
        "the {one} moving the fastest",
    ),
    "slowest": (
        "the slowest {one}",
        "the {one} that moves slowest",
        "the {one} with the slowest movement",
    ),
    "longest": (
        "the {one} that stays longest",
        "the {one} that is in the picture the longest",
        "the {one} which is visible for the longest time",
        "the {one} that stays in view longest",
    ),
    "passes": (
        "the {one} that passes the {mark}",
        "the {one} passing the {mark}",
        "the {one} that goes past the {mark}",
        "the {one} that moves past the {mark}",
    ),
    "touches": (
        "the {one} that touches the {mark}",
        "the {one} touching the {mark}",
        "the {one} that bumps into the {mark}",
        "the {one} that hits the {mark}",
    ),
    "grows": (
        "the {one} that grows",
        "the growing {one}",
        "the {one} that gets bigger",
        "the {one} getting larger",
    ),
    "shrinks": (
        "the {one} that shrinks",
        "the shrinking {one}",
        "the {one} that gets smaller",
        "the {one} getting smaller",
    ),
}
"""Kind -> wordings for one target."""
MANY: Mapping[str, Wordings] = {
    "enters": (
        "the {many} that come in",
        "the {many} entering the frame",
        "all {many} which enter",
        "the {many} that come into view",
    ),
    "leaves": (
        "the {many} that leave",
        "the {many} leaving the frame",
        "all the {many} that disappear",
        "every {one} which leaves",
    ),
    "enters before": (
        "the {many} that come in before the {mark}",
        "all {many} that enter before the {mark}",
        "the {many} that entered before the {mark} did",
    ),
    "enters after": (
        "the {many} that come in after the {mark}",
        "all {many} that enter after the {mark}",
        "the {many} that entered after the {mark} did",
    ),
    "moves left": (
        "the {many} moving left",
        "the {many} that go to the left",
        "all {many} that move left",
    ),
    "moves right": (
        "the {many} moving to the right",
        "the {many} that go right",
        "every {one} that moves right",
    ),
    "moves up": (
        "the {many} moving up",
        "the {many} that rise",
        "all the {many} going upwards",
    ),
    "moves down": (
        "the {many} moving down",
        "the {many} that fall",
        "all the {many} going downwards",
    ),
    "passes": (
        "the {many} that pass the {mark}",
        "the {many} going past the {mark}",
        "all {many} that move past the {mark}",
    ),
    "grows": (
        "the {many} that grow",
        "the {many} getting bigger",
        "all {many} that become larger",
    ),
    "shrinks": (
        "the {many} that shrink",
        "the {many} getting smaller",
        "all {many} that become smaller",
    ),
}
"""Kind -> wordings for several targets."""
BY_EVENT: Mapping[tuple[str, str], Wordings] = {
    ("before", "enters"): (
        "the {asked} before the {mark} comes in",
        "the {asked} until the {mark} shows up",
        "the {asked} before the {mark} enters",
    ),
    ("before", "leaves"): (
        "the {asked} before the {mark} leaves",
        "the {asked} until the {mark} is gone",
        "the {asked} up to when the {mark} disappears",
    ),
    ("after", "enters"): (
        "the {asked} after the {mark} comes in",
        "the {asked} once the {mark} is there",
        "the {asked} as soon as the {mark} has entered",
    ),
    ("after", "leaves"): (
        "the {asked} after the {mark} has left",
        "the {asked} once the {mark} is gone",
        "the {asked} after the {mark} disappears",
    ),
}
"""(kind, what the landmark does) -> wordings; {asked} is the noun, in the plural for several targets."""


def list_wordings(kind: str, event: str, targets: int) -> Wordings:
    """List what fits a kind of query, what the landmark does, and the number of targets."""
    if (kind, event) in BY_EVENT:
        number = "{one}" if targets == 1 else "{many}"
        return tuple(text.replace("{asked}", number) for text in BY_EVENT[kind, event])
    return ONE[kind] if targets == 1 else MANY[kind]
