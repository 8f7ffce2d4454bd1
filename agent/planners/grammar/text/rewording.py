"""Plain text to plain text: what people say in a roundabout way, in the words that the grammar has for it."""

import re

MAX_LETTERS = 400
"""A longer text stays as it is, so that no input keeps the patterns busy."""


def reword_query(text: str) -> str:
    """Reword what has a plainer way to say it.

    Args:
        text: As `normalize_query` gives it.

    Returns:
        The text in words that the lexer knows; itself where there is nothing to reword.

    >>> reword_query("the wheels of the red car"), reword_query("cups that have a spoon in them")
    ("the red car's wheels", 'cups not without a spoon')
    >>> reword_query("the lower of the two shelves"), reword_query("no dogs, just cats")
    ('the lowest of the two shelves', 'cats')
    >>> reword_query("the kite higher than every other kite"), reword_query("whichever dog is nearest to the gate")
    ('the kite that is the highest', 'the dog nearest to the gate')
    """
    if len(text) > MAX_LETTERS or _MARKERS.isdisjoint(text.split()):
        return text
    for pattern, plain in _REWORDINGS:
        text = pattern.sub(plain, text)
    return _OWNED.sub(_name_owner, text)


_MARKERS = {
    *("i", "up", "down", "over", "way", "out", "no", "not", "neither", "whichever", "those", "ones", "contain", "of"),
    *("contains", "containing", "has", "have", "having", "with", "another", "other", "its"),
    *("which", "near", "inside", "under", "above", "below", "beside", "next", "left,", "right,", "top,", "bottom,"),
    *("in", "on", "at", "left", "right"),
    *("than", "closer", "nearer", "farther", "further", "it", "all", "else", "then", "top", "overlaps", "touches"),
}
"""Each rewording needs one of these words; most queries have none, and are done at once."""
_ARTICLE = r"(?:the|this|that|these|those|my|your|our|a|an)"
_OUTERMOST = {"lower": "lowest", "upper": "highest", "higher": "highest", "left": "leftmost", "right": "rightmost"}
_EXTREMES = {
    **{"larger": "largest", "bigger": "largest", "smaller": "smallest", "taller": "tallest", "wider": "widest"},
    **{"shorter": "shortest", "narrower": "narrowest", "higher": "highest", "lower": "lowest"},
}
_INVERSE = {
    **{"next to": "next to", "beside": "next to", "near": "near", "on top of": "under", "on": "under"},
    **{"above": "below", "over": "below", "below": "above", "under": "above", "beneath": "above"},
    **{"(?:to the )?left of": "right of", "(?:to the )?right of": "left of"},
}
"""How one thing lies to another -> how that lies to it."""
_ASKED = r"(?:(?:please|find|show(?: me)?|select|mark|segment|i (?:want|need)|give me|where (?:is|are)) )*"
_AFTER_NOUN = r"(?:of|on|in|at|to|by|with|near|left|right|above|below|under|that|which|next)"
_FEW_WORDS = r"(?:\w+ ){0,2}?\w+"
_WHAT_IT_HAS = rf"(?:(?:that|which) (?:has|have)|with|having) (?P<what>(?:a|an|the|some|any) {_FEW_WORDS})"
_REWORDINGS = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        (r"^i (?:only|just|really|simply) (?=(?:want|need|would like)\b)", "i "),
        (r"\b(?:(?:up|down|over|way|out) )+(?=(?:in|on|at) the (?:far |very )?(?:top|bottom|upper|lower|left|right)\b)",
         ""),
        # what adds nothing
        (r",? (?:and |but )?nothing (?:else|more)$|(?<=\w), (?:all|each|every(?: single)? one) of (?:them|it)$", ""),
        (r"(\b\w+(?:est|most)\b(?: \w+){1,3}) of all$", r"\1"),
        (r"^first(?:ly)?,? (?=(?:the|all|both|every|find|show|select|mark)\b)(?P<first>[^,]+),? (?:and )?then,? ",
         r"\g<first>, "),
        # what is not wanted, and then what is
        (r"^i do not (?:want|need|mean|like) [\w' ]+, (?:but )?(?:i )?(?:just |only )?(?:want|need|mean) (?=\w)",
         ""),
        (r"^(?:no|not(?: the| any)?) [\w' ]+, (?:just|only|but) (?=\w)", ""),
        (r"^not (?:the|any) [\w' ]+?(?:, (?=(?:the|an?) [\w' ]+$)| but (?:rather )?(?=(?:the|an?)\b))", ""),
        (r"^neither [\w' ]+ nor [\w' ]+, (?:just|only|but)(?: rather)? (?=\w)", ""),
        (r", (?:whichever|those which|those that|the ones that) (?=(?:is|are)\b)", " that "),
        (r"^whichever (?:one of )?(?P<noun>\w+(?: \w+)?) (?:is|are|lies|stands) (?=nearest|closest)", r"the \g<noun> "),
        (r"\b(?:(?:is|are|that is|which is) )?(?:closer|nearer) to\b(?!.*\bthan\b)", "nearest to"),
        (r"\b(?:(?:is|are|that is|which is) )?(?:farther|further)(?: away)? from\b(?!.*\bthan\b)", "farthest from"),
        (r"\b(?:farther|further) (?=(?:(?:to|on) (?:the )?)?(?:left|right|up|down)\b(?! (?:than|of)\b))", "furthest "),
        # more than all others is the most
        *(
            (
                rf"\b(?P<kind>\w+?)(?P<many>e?s)? (?:(?:that|which) (?:is|are) )?{more} than"
                r" (?:(?:any|every|each|all)(?: the)? other (?P=kind)(?:e?s)?|the (?:others|rest)"
                r"|(?:all|any|every|each)(?: of)?(?: the| its)? others?(?: ones?)?)\b(?= |,|$)",
                rf"\g<kind>\g<many> that is the {most}",
            )
            for more, most in _EXTREMES.items()
        ),
        # one of two
        *(
            (rf"\b(?:the )?{side} (?:one )?of (?=(?:the|these|those) (?:two|2)\b)", f"the {outermost} of ")
            for side, outermost in _OUTERMOST.items()
        ),
        *(
            (
                rf"^which (?:(?:of them|\w+) )?(?:is|are) (?:the )?{more}, (?P<first>[\w' ]+?),? or"
                r" (?P<second>[\w' ]+)$",
                rf"the {most} of \g<first> and \g<second>",
            )
            for more, most in _EXTREMES.items()
        ),
        # where something is, before what it is
        (
            r"^(?P<how>(?:in|on|at|near|inside|under|above|below|beside|next to|left of|right of)"
            rf" {_ARTICLE} {_FEW_WORDS}),"
            rf" (?P<what>(?:the|an?|all|every) {_FEW_WORDS})$",
            r"\g<what> \g<how>",
        ),
        (rf"^(?P<side>left|right|top|bottom), (?P<what>{_FEW_WORDS})$", r"\g<what> on the \g<side>"),
        (rf", not (?=(?:{'|'.join(_INVERSE)}|in|inside|at|touching|between)\b)", " but not "),
        # what holds something
        (r"\b(?:(?:that|which) )?contain(?:s|ing)? (?=(?:a|an|the|some|any|at least one)\b)", "not without "),
        (
            r"\b(?:(?:that|which) (?:has|have)|with|having) (?P<what>(?:a|an|the|some|any|at least one)(?: \w+){1,3}?)"
            r" (?:in|inside|within|inside of)(?: of)? (?:it|them)\b",
            r"not without \g<what>",
        ),
        (r"\bnot without (?:some|any|at least one)\b", "not without a"),
        # what stands to others of its kind
        (r"\b(?P<kind>\w{3,}?)(?P<many>e?s)(?P<said>(?: \w+){1,4}) (?:another|other) (?P=kind)(?:e?s)?\b",
         r"\g<kind>\g<many>\g<said> each other"),
        (r"\b(?P<kind>\w{2,}[^sxyhf\W])(?: (?:that|which))? (?P<how>overlap|touch)(?:s|es|ping|ing)(?: with)?"
         r" another (?P=kind)\b",
         r"\g<kind>s that \g<how> each other"),
        # what lies beside what was named just before, and what that lies beside
        (
            rf"^(?P<owner>{_ASKED}{_ARTICLE} (?:(?!{_AFTER_NOUN}\b)\w+ ){{0,2}}?(?P<noun>\w+)) and"
            rf" (?P<what>(?:the|a|an|any|all|every|everything|whatever|what (?:is|lies))(?: (?!and\b|it\b)\w+){{0,3}}?)"
            rf" (?P<how>{'|'.join(_INVERSE)}) it(?=$|,)",
            r"\g<owner> and \g<what> \g<how> the \g<noun>",
        ),
        (r"\band what (?:is|lies) (?=\w)", "and everything "),
        (rf"\b{_WHAT_IT_HAS} on top(?: of (?:it|them))?(?=$|,)", r"under \g<what>"),
        *((rf"\b{_WHAT_IT_HAS} {how} (?:it|them)\b", rf"{inverse} \g<what>") for how, inverse in _INVERSE.items()),
        # what belongs to what was named just before
        (rf"\b(?P<owner>{_ARTICLE} (?:\w+ ){{0,2}}?(?P<noun>\w+)) and its (?=\w)",
         r"\g<owner> and the \g<noun>'s "),
    ]
]  # fmt: skip
_PART = (
    r"(?:wheel|tyre|tire|handle|lid|roof|door|window|tail|ear|leg|arm|nose|mouth|neck|paw|horn|wing|beak|mane|fur|feather"
    r"|shadow|reflection|stem|branch|root|trunk|petal|bark|crown|collar|leash|saddle|sail|mast|engine|bonnet|bumper"
    r"|mirror|headlight|taillight|number plate|licen[cs]e plate|seat|pedal|chain|spout|cap|cork|rim|frame|lens|screen"
    r"|button|key|keyboard|drawer|shelf|chimney|wall|ladder|lock|hinge|knob|lamp shade|strap|sleeve|pocket|zip"
    r"|sole|lace|heel|blade|cord|cable|plug)"
)
"""What belongs to one thing that is named: 'the eye of the storm' and 'the parents of the child' are not read so."""
_OWNED = re.compile(
    rf"(?P<before>.*\b(?:the|all|both|every|each) |^)(?P<owned>(?!the )(?:\w+ )?{_PART}(?:s|es|ves)?)"
    r" of (?:the|this|that|my|your|our) (?P<owner>(?:\w+ ){0,2}\w+)(?=$|,)"
)
_JOINING = {
    *("in", "on", "at", "by", "to", "from", "above", "below", "under", "near", "next", "between", "with", "without"),
    *("that", "which", "who", "is", "are", "and", "or", "not", "but", "except", "than", "of", "left", "right", "two"),
    *("first", "second", "third", "last", "three", "only"),
}


def _name_owner(found: re.Match[str]) -> str:
    """Return 'the red car's wheels' for 'the wheels of the red car'."""
    words = [*found["owned"].split(), *found["owner"].split()]
    if any(word in _JOINING or re.search(r"\d|est$|most$", word) for word in words):
        return found[0]
    mark = "'" if found["owner"].endswith("s") else "'s"
    article = "" if found["before"].strip() else "the "
    return f"{found['before']}{article}{found['owner']}{mark} {found['owned']}"
