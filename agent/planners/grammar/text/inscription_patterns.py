"""How queries say what has to be read: patterns of the words before and after a text."""

import re
from dataclasses import dataclass


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# a text

QUOTED = _compile(
    r"\"([^\"]+)\"|\u201c([^\u201d]+)\u201d|\u201e([^\u201c\u201d]+)[\u201c\u201d]|\u00ab([^\u00bb]+)\u00bb|`([^`]+)`"
    r"|\u2018((?:[^\u2019]|(?<=\w)\u2019(?=\w))+)\u2019(?!\w)|'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)"
    r"|\u300c([^\u300d]+)\u300d|\u300e([^\u300f]+)\u300f"
)
ANOTHER_QUOTED = _compile(r"\s*(,?\s*(?:and|or)|,)\s*(?=[\"\u201c\u201e\u00ab`\u2018'\u300c\u300e])")
"""What joins two quoted texts."""
_ARTICLE = (
    r"(?:the|a|an|it|its|them|their|this|that|these|those|my|your|our|all|every|each|both|any|some|one|two|three|four"
    r"|five|\d+)\b"
)
_SIDE = r"(?:far\s+)?(?:left|right|top|bottom|middle|cent(?:er|re))"
_CLEARLY_GOES_ON = (
    rf"(?:(?:(?:to|on|at|in|from)\s+the\s+)?{_SIDE}\s+(?:hand\s+)?(?:side\s+)?of\b|(?:on|at|in)\s+the\s+{_SIDE}\b"
    r"|(?:next|near|close|closest|nearest|adjacent)\s+to\b|(?:larger|bigger|smaller|higher|lower)\s+than\b"
    rf"|on\s+top\s+of\b|(?:in\s+)?between\b|(?:and|or|but|except|but\s+not|apart\s+from|as\s+well\s+as)\s+{_ARTICLE}"
    r"|except\s+for\b|(?:and|or|but)?\s*(?:that|which|who)\s+(?:is|are|has|have|says?|reads?|does|do|stands?|lies?)\b"
    r"|(?:and|or|but)\s+(?:(?:does|do)\s+not\s+|(?:is|are)\s+)?(?:says?|reads?|left|right|next|on|in|above|below|under"
    r"|inside|labell?ed|red|blue|green|yellow|black|white)\b"
    r"|(?:are|is|were|was)\s+(?:there|here|visible)\b|(?:can|do)\s+(?:you|we|i)\s+see\b|please\b|if\s+any\b"
    r"|in\s+(?:the|this)\s+(?:picture|image|photo|photograph|scene)\b)"
)
_PERHAPS_GOES_ON = (
    r"(?:(?:on|in|at|above|below|under|underneath|beneath|over|inside|outside|near|beside|by|behind|against|touching"
    rf"|overlapping|from|with|without|nearest|farthest|not)\s+{_ARTICLE})"
)
"""What could also be a part of the text: 'keep off | on the grass'."""
PERHAPS_GOES_ON = _compile(rf"\s*(?!{_CLEARLY_GOES_ON}){_PERHAPS_GOES_ON}")
_WORD = r"[^\s,;?!()\[\]\"\u201c\u201d\u201e\u00ab\u00bb`]+"
UNQUOTED = _compile(rf"{_WORD}(?:\s+(?!{_CLEARLY_GOES_ON}|{_PERHAPS_GOES_ON}){_WORD}){{0,11}}")
JOINED = _compile(r"\s(?:and|or)\s")
"""Whether an unquoted text could be two."""
_ON_THINGS = r"(?:it|them|(?:its|their)\s+\w+)\b"
_WRITTEN = r"(?:written|printed|painted|embroidered|engraved|stamped)"
ON_IT = _compile(rf"\s*(?:(?:is|are)\s+)?(?:{_WRITTEN}\s+)?(?:on|across|over)\s+{_ON_THINGS}")
BEGINS_NO_TEXT = _compile(
    r"(?:on|in|of|that|which|and|or|but|written|printed|about|for|from|above|below|under|next|to|is|are|so|something"
    r"|anything|nothing|well|what|the\s+same|it|them|this|by)\b"
)
BEGINS_NO_NAME = _compile(rf"{_ARTICLE}|(?:he|his|her|text|words?|letters?|writing|numbers?|names?|signs?)\b")

# what stands before it

_NOT = r"(?P<not>(?:(?:does|do|did)\s*(?:not|n['\u2019]?t)|cannot)\s+)?"
_HAS = r"(?P<with>with|without|having|bearing|showing|(?:that|which|who)\s+(?:has|have|bears?|shows?))\s+"
_IS = r"(?:(?:(?:that|which)\s+)?(?:is|are)\s+)?(?P<not>not\s+)?"
_END = r"\s*:?\s*(?<!\w)"


@dataclass(frozen=True)
class Trigger:
    """Words after which a text stands."""

    pattern: re.Pattern[str]
    quoted_only: bool = False
    names: bool = False
    """Whether an article begins no text: 'that reads a book'."""
    follows_noun: bool = False
    """Whether a noun has to stand before it: 'the labelled box' holds no text."""


AND_SAYS = Trigger(_compile(rf"\b(?P<join>and|or|but)\s+{_NOT}(?:says?|reads?){_END}"), names=True)
QUESTION = Trigger(
    _compile(
        r"\s*(?:which|what|how\s+many)(?:\s+of\s+(?:the|these|those|them))?(?:\s+(?!that\b|which\b)\w+){0,4}?\s+"
        rf"(?P<verb>{_NOT}(?:says?|reads?){_END})"
    ),
    names=True,
)
"""'Which bottle says': a question has no 'that'."""
TRIGGERS = [
    Trigger(_compile(rf"\b(?:that|which)\s+{_NOT}(?:says?|spells?){_END}")),
    Trigger(_compile(rf"\b(?:that|which)\s+{_NOT}reads?{_END}"), names=True),
    Trigger(_compile(rf"\bwho\s+{_NOT}(?:says?|reads?){_END}"), quoted_only=True),
    Trigger(
        _compile(rf"\b{_IS}(?:labell?ed|inscribed)(?:\s+(?:as|with))?(?:\s+the\s+(?:words?|text|number|name))?{_END}"),
        names=True,
        follows_noun=True,
    ),
    Trigger(
        _compile(rf"\b{_IS}(?:marked|titled|entitled|captioned|branded)(?:\s+(?:as|with))?{_END}"), quoted_only=True
    ),
    Trigger(_compile(rf"\b{_HAS}(?:the\s+|a\s+)?(?:text|words?|inscription){_END}"), names=True),
    Trigger(
        _compile(
            rf"\b{_HAS}(?:the\s+|a\s+)?(?:letters?|lettering|label|title|name|writing|caption|slogan|numbers?){_END}"
        ),
        quoted_only=True,
    ),
    Trigger(_compile(rf"\b(?:saying|reading){_END}"), quoted_only=True),
]

# both around it

_NUMBER = r"(?:number|no\.?|nr\.?)"
WRITTEN_ON = _compile(
    rf"\b{_HAS}(?:the\s+)?(?:(?:words?|text|name|letters?|number)\s+)?"
    rf"(?P<text>{QUOTED.pattern}|{_WORD}(?:\s+{_WORD}){{0,5}}?)"
    rf"\s+{_WRITTEN}\s+(?:on|across|over)\s+(?:the\s+\w+|{_ON_THINGS})"
)
WITH_NUMBER = _compile(r"\b(?:with|having|that\s+has|that\s+have)\s+the\s+number\s*(?P<text>\d[\w.,:]*)(?<![.,:])")
"""Without an article, number 3 may be the number of a mask."""
AROUND = [
    # a number on it
    _compile(
        rf"(?:\b{_HAS})?(?:\b(?:the|a)\s+)?\b{_NUMBER}\s*(?P<text>\d[\d.,:]*)\s+(?:{_WRITTEN}\s+)?(?:on|across)\s+{_ON_THINGS}"
    ),
    _compile(rf"\b{_HAS}(?:the|a)\s+(?P<text>\d[\d.,:]*)\s+(?:{_WRITTEN}\s+)?on\s+{_ON_THINGS}"),
    # something quoted on it
    _compile(rf"\b{_HAS}(?:the\s+|a\s+)?(?P<text>{QUOTED.pattern})\s+on\s+(?:the\s+\w+|{_ON_THINGS})"),
    WRITTEN_ON,
    # a number alone
    WITH_NUMBER,
    _compile(
        rf"(?<=\bhouse)\s+(?:with\s+)?(?:the\s+)?(?:{_NUMBER}|#)\s*(?P<text>\d+[a-z]?)\b(?!\s+(?:sign|plate|plaque|and|or)\b)"
    ),
]
"""What holds a text and what stands before and after it; of two that begin at one place, the first counts."""
HINT = _compile(
    r"\bsa(?:y|id)|\bread|\bspell|label|\binscri|\bmarked|titled|\bcaption|\bbranded|\btext|\bword|\bletter|\bname"
    rf"|\bwriting|\bslogan|{_WRITTEN}|number|\bn[or]\b|\bn[or]\.|#|\bon (?:the|{_ON_THINGS})"
)
"""One of these is in every query that is about a text."""
