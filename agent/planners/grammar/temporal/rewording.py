"""Other words for what the patterns know, put into theirs: 'the speediest dog' is the fastest one."""

import re

from agent.planners.grammar.temporal.verbs import OUTSIDE

_TIME_WORDS = r"while|when|whenever|as long as|before|after|until|till|once|as soon as|since"
_NUMBERED = r"first|last|second|third|fourth|fifth"
_THAT = r"that|which|who"

_REWORDINGS: tuple[tuple[str, str], ...] = (
    (r"\bso long as\b", "as long as"),
    (r"\b(?:at|during|in) (?:the |those |these )?(?:times?|moments?) (?:when|that|in which) ", "when "),
    (r"\bduring (?:the |all the )?time (?=(?:the|a|an|it|they) )", "while "),
    (r"\bprior to\b", "before"),
    (rf"^(?P<word>{_TIME_WORDS}) (?P<event>[^,]+), (?P<head>(?:the|a|an|all|every|any|each|which) .+)$",
     r"\g<head> \g<word> \g<event>"),
    (r"\b(?:up )?(?:to|until) the moment (?!when\b)", "until "),
    (rf"\bvery (?=(?:{_NUMBERED})\b)", ""),
    (rf"^(?P<the>the )?(?:earliest) (?=.+ (?:to|{_THAT}) )", r"\g<the>first "),
    (rf"^(?P<the>the )?(?:final|latest) (?=.+ (?:to|{_THAT}) )", r"\g<the>last "),
    (rf"^(?:the )?(?P<rank>{_NUMBERED}) (?!.* (?:to|{_THAT}) )(?P<head>[\w -]+?) (?P<way>in|out(?: {OUTSIDE})?)$",
     r"the \g<rank> \g<head> to go \g<way>"),
    (rf"^(?:the )?(?P<head>[\w -]+?) (?:(?:{_THAT}) (?:is|are|was|were) )?to (?P<act>[\w -]+) (?P<rank>first|last)$",
     r"the \g<rank> \g<head> to \g<act>"),
    (rf"\b(?P<that>(?:{_THAT}) (?:is|are|was|were)) (?=(?:{_NUMBERED}) to\b)", r"\g<that> the "),
    (r"^(?P<the>(?:the |all |every |any )*)(?P<way>left|right|up|down)(?:ward|wards)?[ -]moving (?P<head>.+)$",
     r"\g<the>\g<head> moving \g<way>"),
    (r"\bwith the (?:highest|greatest|top|most) speed\b", "with the fastest speed"),
    (r"\bwith the (?:lowest|least) speed\b", "with the slowest speed"),
    (r"\b(?:speediest|most rapid|most swift|swiftest)\b", "fastest"),
    (r"\bmost (?:quickly|rapidly|swiftly)\b|\bleast slowly\b", "fastest"),
    (r"\bmost slowly\b|\bleast (?:quickly|rapidly)\b", "slowest"),
    (r"\b(?:for )?the most time\b", "for the longest time"),
    (r"\b(?:for )?the least time\b", "for the shortest time"),
    (r"^(?:the )?(?P<word>longest|shortest)[ -](?:visible|seen|lasting|staying|shown) (?P<head>.+)$",
     r"the \g<head> that stays \g<word>"),
    (rf"\b(?P<that>{_THAT}) (?:ever|eventually|finally|at some point|at any time) ", r"\g<that> "),
)  # fmt: skip
"""Regular expression -> what is said instead, one after the other."""
_NARROW = re.compile(r" (?:just|right|shortly|immediately|directly|long|soon)(?= (?:before|after)\b)", re.IGNORECASE)


def reword_time(text: str) -> str:
    """Say in the words of the patterns what a query about a video says of time.

    Args:
        text: In small letters, with single spaces, without the last stop.

    Returns:
        The same in other words; a text that says nothing of time comes back as it is.

    >>> reword_time("before the cat enters, the dog")
    'the dog before the cat enters'
    >>> reword_time("the very last dog out of the picture"), reword_time("the most rapid dog")
    ('the last dog to go out of the picture', 'the fastest dog')
    """
    for pattern, words in _REWORDINGS:
        text = re.sub(pattern, words, text)
    return text


def drop_narrow_words(text: str) -> str:
    """Leave out what asks for a short time beside an event, for no tool measures that.

    >>> drop_narrow_words("the dog just before the cat leaves"), drop_narrow_words("the dog right of the cat")
    ('the dog before the cat leaves', 'the dog right of the cat')
    """
    return _NARROW.sub("", text)
