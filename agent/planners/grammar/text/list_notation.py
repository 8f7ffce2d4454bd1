"""Text to text: lists in the notation of other tools become lists with commas, as people write them."""

import html
import re

from agent.planners.grammar.vocabulary import ADJECTIVES

WRAPPED_LINE = 40
"""Letters. Lines that are at least as long are parts of a sentence that was wrapped, not items."""


def join_list_items(text: str) -> str:
    r"""Return the text with commas between the items of a list, whatever marked them.

    It reads lists by line, numbers and letters ('1.', '(a)'), bullets, tabs, bars, plus signs, hashtags, quoted words,
    JSON and its like, captions of Grounding DINO, and labels before a list ('objects:'). A sentence stays as it is,
    also where it was wrapped.

    Args:
        text: In lower case.

    >>> join_list_items("1. dog\n2. cat"), join_list_items("objects: dog | cat")
    ('dog, cat', 'dog, cat')
    >>> join_list_items("the dog\nleft of the tree")
    'the dog left of the tree'
    """
    text = html.unescape(text).replace("\\n", "\n").replace("\\t", "\t")
    text = _OTHER_TAG.sub(" , ", _TAG_OF_STYLE.sub(" ", text))
    for numbered, marker in _NUMBERED_INLINE:
        text = marker.sub(" , ", text) if numbered.search(text) else text
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(":"):
        lines = lines[1:]  # a heading
    text = _join_lines(lines)
    for pattern, plain in _SEPARATORS:
        text = pattern.sub(plain, text)
    return _SPACES.sub(" ", _COMMAS.sub(", ", text)).strip(" ,")


_TAG_OF_STYLE = re.compile(r"</?(?:a|b|big|code|em|font|i|mark|s|small|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>")
_OTHER_TAG = re.compile(
    r"<\|[^|<>]*\|>|</?(?:br|div|hr|li|ol|p|ref|table|t[dhr]|ul)(?:\s[^<>]*)?/?>|<(?=[a-z][^<>]*>)|(?<=[a-z])>"
)
_BULLETS = "•·▪‣◦●○■□➤→"
_MARKER = re.compile(
    rf"^\s*(?:[-*+>{_BULLETS}\u2013\u2014](?:\s+|(?=[a-z\"']))|\d{{1,3}}(?:[.):]\s*(?=\D)|\t)|\(\d{{1,3}}\)\s*"
    r"|\(?[a-z][.)](?:\s+|$)|\(?[ivx]{1,4}[.)]\s+|\[[ x]?\]\s+)+"
)
"""What begins an item on a line of its own."""
_GENERIC = (
    r"(?:objects?|class(?:es)?|class(?: |_)?names?|labels?|categor(?:y|ies)|items?|things?|targets?|prompts?|caption"
    r"|queries|query|names?|nouns?|phrases?|list|text|following|these|those|questions?|instructions?|task|input|user|human|q)"
)
_ASKED = (
    r"(?:please|pls|can you|could you|i want|i need|segment|find|detect|show|show me|mark|mask|locate|label|outline"
    r"|select|highlight|all|each|every|any|of|the|these|those|this|my|our|following|target|object|class|text|input"
    r"|positive|for|look|look for)"
)
_LABEL = rf"[\"']?(?:{_ASKED}\s+)*(?:{_GENERIC}|segment|find|detect|show me|look for)(?:\s?\d{{1,3}})?[\"']?\s*[:=]"
_LABEL_OF_LINE = re.compile(rf"^\s*{_LABEL}(?=.*\w)")
_CONTINUES = re.compile(
    r"\s*(?:(?:left|right|top|bottom|middle|far|inside|outside|within|above|over|below|under|beneath|behind|between|near"
    r"|next|beside|close|closest|nearest|farthest|touching|overlapping|on|in|at|by|to|from|of|with|without|that|which"
    r"|who|whose|is|are|and|or|but|not|except|excluding|than|wearing|holding|larger|smaller|bigger)\b|,)"
)
"""A line that begins so goes on with the line before it."""
_UNFINISHED = re.compile(
    r".*(?:\b(?:the|an?|all|every|each|both|of|to|in|on|at|by|with|and|or|but|than|that|which|who|is|are|from|next|left"
    r"|right|my|your|two|three|four|five|not|except|between|under|above|below|near|inside|largest|smallest"
    rf"|{'|'.join(sorted(ADJECTIVES - {'orange', 'glass', 'square', 'peach', 'olive', 'lime', 'rose'}))})|,)\s*"
)
"""A line that ends so is no item by itself."""


def _join_lines(lines: list[str]) -> str:
    """Return the lines as one: commas between items, spaces where a sentence was wrapped."""
    marked = [bool(_MARKER.match(line)) for line in lines]
    items = [_LABEL_OF_LINE.sub("", _MARKER.sub("", line)) for line in lines]
    # Of one line, only what cannot be anything else is a mark: "- dog - cat", "1. dog".
    if len(lines) == 1 and marked[0]:
        bullet = lines[0].strip()[0]
        items = [re.sub(rf"\s[{re.escape(bullet)}]\s", " , ", items[0])] if bullet in "-*+>" else items
        if re.match(r"\s*[-*+>]\S", lines[0]):
            items = [lines[0]]
    joined = items[0] if items else ""
    for before, line, item, is_marked in zip(lines, lines[1:], items[1:], marked[1:], strict=False):
        wrapped = len(before) >= WRAPPED_LINE or _CONTINUES.match(line) or _UNFINISHED.fullmatch(before)
        joined += (" , " if is_marked or not wrapped else " ") + item
    return joined


_NUMBERED_INLINE = [
    (re.compile(numbered), re.compile(marker))
    for numbered, marker in [
        (
            r"(?:^|[\s,;:({\"'])[01][\"']?[.):]\)?\s*[a-z\"'].*[\s,;({][\"']?[12][\"']?[.):]",
            r"(?:^|(?<=[\s,;:{]))[(\"']?\d{1,3}[\"']?[.):]\)?\s*(?=[a-z\"'])",
        ),
        (
            r"^first(?:ly)?[,:]\s.*[,;.]\s*(?:and )?second(?:ly)?[,:]\s",
            r"(?:^|[,;.]\s*)(?:and )?(?:first|second|third|fourth|fifth)(?:ly)?[,:]\s",
        ),
        (r"(?:^|,\s*)one:.*,\s*two:", r"(?:^|,\s*)(?:one|two|three|four|five|six):"),
        (r"(?:^|[\s,;:])\(?a[.)]\s.*[\s,;]\(?b[.)]\s", r"(?:^|(?<=[\s,;:]))\(?[a-j][.)]\s+"),
        (r"(?:^|[\s,;:])\(?i[.)]\s.*[\s,;]\(?ii[.)]\s", r"(?:^|(?<=[\s,;:]))\(?[ivx]{1,4}[.)]\s+"),
    ]
]
"""How a numbered list on one line is told, and what marks its items."""
_SEPARATORS = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        (rf"(?:^|(?<=[{{\[,]))\s*{_LABEL}(?=.*\w)", " "),
        (r"([\"'`])\s+\1(?=\w)", " , "),
        (rf"[|\t\\\u3001{_BULLETS}]+", " , "),
        (r"\b(\d+) ?x (?=[a-z])", r"\1 "),
        # what belongs together is not said, so that words of the same sense say so
        (r"\s*[-=]+>\s*", " versus "),
        (r"(?<=[a-z]) \(?x ?\d+\)?(?=$|,)|(?<=[a-z]) \(\d+\)|\s*=\s*(?=\w)", " , namely "),
        (r"#(?=[a-z])", " , "),
        (r"(?<=[a-z)])\s*\+\s*(?=[a-z(])", " and "),
        (r"(?<=\w)\s*,? (?:etc|and so on)\b\.?", " "),
    ]
]
_COMMAS = re.compile(r"\s*,(?:\s*,)*\s*")
_SPACES = re.compile(r"\s+")


def split_class_names(text: str) -> str:
    """Return the text with spaces in the names of classes.

    >>> split_class_names("traffic_light, Stop_sign")
    'traffic light, Stop sign'
    """
    return _IN_CLASS_NAME.sub(" ", text)


_IN_CLASS_NAME = re.compile(r"(?<=[^\W\d_])_+(?=[^\W\d_])")
