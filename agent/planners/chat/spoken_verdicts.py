"""Verdicts that a language model says in words, where it was asked to call a tool."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LETTERS = 8_000
"""Of a reply that is searched: its beginning and its end."""

_BOTH = frozenset((True, False))

# --- words ---------------------------------------------------------------------------------------

_LABEL_NAMES = (
    r"verdicts?|decision|answer|final|judge?ment|conclusion|result|outcome|status|ruling|assessment|response|determination"
    r"|recommendation"
)
_POLAR_NAMES = r"accept(?:ed|s)?|(?:is\s+)?(?:a\s+)?match(?:es)?|belongs|reject(?:ed|s)?"
_WORD = r"(?P<word>accept(?:ed|s|able|ing|ance)?|unacceptable|reject(?:ed|s|ing|ion)?)"
_NEGATION = r"(?:(?:do|does|did|is|are|was|should|would|could|can|must|will)(?:\s+not|n't)|cannot|not|never|no)"
_SEPARATOR = r"(?:\s*(?:[:=,\-–—>→]|\bis\b|\b(?:would|should|must)\s+be\b))+\s*"  # noqa: RUF001
_LABEL = (
    rf"(?:(?:my|the|final|overall|our)\s+)*(?:{_LABEL_NAMES}|(?:mask|candidate|number)(?=\s+\d))"
    r"(?:\s+(?:on|for|about|of)\s+(?:the\s+|this\s+)?(?:mask|candidate))?(?:\s+\d+)?"
)
_SUBJECT = (
    r"(?:(?:i|we)(?:'d|'ll|\s+(?:would|will|must|should|shall|hereby|therefore|have\s+to))*"
    r"|(?:this|that|the|it)?\s*(?:mask|candidate|one|it)?\s*(?:\d+)?\s*(?:is|was|should|must|shall|has\s+to)(?:\s+be)?)"
)
_OBJECT = r"(?:\s+(?:it|that|this(?:\s+(?:mask|one|candidate))?|(?:the\s+)?(?:mask|candidate)(?:\s+\d+)?))?\b"
_LEAD = (
    r"(?:(?:so|therefore|thus|hence|overall|finally|accordingly|consequently|in\s+conclusion|in\s+summary)\b[\s,:]*)*"
)

_READING = re.compile(
    rf"{_LEAD}(?P<label>(?:{_LABEL}{_SEPARATOR})+)?(?:{_SUBJECT}\s+)?(?P<negation>{_NEGATION}\s+)?(?:be\s+)?(?:to\s+)?"
    rf"{_WORD}\b{_OBJECT}(?P<rest>.*)",
    re.DOTALL,
)
_POLAR_FIELD = re.compile(
    rf"(?:{_LABEL}{_SEPARATOR})?(?P<name>{_POLAR_NAMES})"
    rf"(?:(?:{_SEPARATOR}|\s*\?\s*)(?P<value>yes|no|true|false)|\s*[:=]\s*(?P<digit>[01])(?!\.\d))\b"
    r"(?P<rest>(?:\s*[,;.].*)?)",
    re.DOTALL,
)
_PLAIN_ANSWER = re.compile(
    rf"(?P<label>{_LABEL}{_SEPARATOR})?"
    r"(?:(?P<yes>yes|true|match(?:es)?|keep|approved?|correct|valid|it\s+matches)"
    r"|(?P<no>no|false|mismatch|no\s+match|not\s+a\s+match|(?:it\s+)?does(?:\s+not|n't)\s+match|discard(?:ed)?"
    r"|declined?|incorrect|invalid))\b(?P<rest>(?:\s*[,.;:].*)?)",
    re.DOTALL,
)
_LABEL_ALONE = re.compile(rf"{_LABEL}(?:\s+is)?")
_MENTION = re.compile(rf"(?P<negation>{_NEGATION}\s+(?:\w+\s+){{0,2}})?{_WORD}\b(?P<denial>\s*[:=?]\s*(?:no|false)\b)?")
_PLAIN_NO = re.compile(
    r"\W*(?:no|nope|wrong|incorrect)\b(?=\s*(?:[.,;:!\-–—]|mask|$)).*|.*\b(?:does(?:\s+not|n't)|not(?:\s+a)?)\s+match\b.*",  # noqa: RUF001
    re.DOTALL,
)
"""What rejects without the word, said twice."""
_REASON_START = re.compile(r"\s*(?:[.,;:!\-–—>→/]|(?:because|as|since|due|for|with|at)\b)")  # noqa: RUF001
_CONDITION_START = re.compile(r"\W*(?:if|unless|or|and/or|only|whether|when|maybe|perhaps|except|but only)\b")
_OTHER_VALUE = re.compile(r"\s*[:=]\s*(?:\d|null\b|none\b|nil\b|n/a\b|unknown\b|unclear\b|undecided\b)")
"""After 'accept': a field whose value is no verdict."""
_RESERVATION = re.compile(r"\b(?:but|however|unless|except|although|though)\b")

_NUMBERS = r"(?P<numbers>\d+(?:\s*(?:,\s*and\b|,|&|\band\b)\s*\d+)*)"
_NUMBERS_FIRST = re.compile(
    rf"(?:masks?|numbers?|no|candidates?|verdict|result)?\s*{_NUMBERS}(?:{_SEPARATOR}|\s+)(?:are\s+)?(?P<said>\D.*)",
    re.DOTALL,
)
_NUMBERS_LAST = re.compile(rf"{_LEAD}(?P<said>[a-z' ]+?)(?:{_SEPARATOR}|\s+)(?:masks?|numbers?)?\s*{_NUMBERS}")
_NUMBER_WITH_DOT = re.compile(r"(?<![(\[])\b(\d+)[.)](?=\s)")
_NUMBER_IN_BRACKETS = re.compile(r"\((\d+)\)")
_RANGE = re.compile(r"\b(\d{1,3})\s*(?:[-–]|to|through)\s*(\d{1,3})(?=\s*(?:[:,]|are|is|should|all|accept|reject|$))")  # noqa: RUF001
_ROW_END = re.compile(
    r"[;.]|,\s*(?:and\s+)?(?=(?:masks?\s*)?\d+\s*[:=\-–—]?\s*(?:is\s+|are\s+)?(?:accept|reject))"  # noqa: RUF001
)
_ORDER_END = re.compile(r";|[,.]\s*(?:and\s+)?(?=accept|reject)|\band\s+(?=accept|reject)")
_ORDER_START = re.compile(r"\W*[a-z]*\s*(?:accept|reject)")
"""A line of the form 'accept 1 and 3, reject 2', in contrast to '1 accept, 2 reject'."""
_ALL_ROW = re.compile(
    r"(?:all(?:\s+of\s+them|\s+\d*\s*masks)?(?:\s+are)?\s+(?P<state>accepted|rejected)"
    r"|(?P<order>accept|reject)\s+(?:them\s+)?all(?:\s+\d*\s*masks)?)"
)

# --- markup --------------------------------------------------------------------------------------

_TAG = re.compile(r"[<\[]\s*(?P<closing>/?)\s*(?P<name>(?:final )?[a-z]+)(?P<held>[^<>\[\]]{0,80}?)/?\s*[>\]]")
_HELD_VALUE = re.compile(r"\"([^\"]*)\"|'([^']*)'|[:=]\s*([\w ]+)\s*$")
_FIELD_NAME = re.compile(rf"(?:final )?(?:{_LABEL_NAMES}|{_POLAR_NAMES})|mask|number")
_SPECIAL_TOKEN = re.compile(r"<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|\[/?inst\]|</?s>")
"""Of a chat template, which a server left in the text."""
_EMPTY_BOX = re.compile(r"(?:\[\s*\]|\(\s*\)|[☐□◯○⬜])\s*(?:accept|reject)\w*")
_TICKED_BOX = re.compile(r"(?:\[\s*[x✓✔]\s*\]|\(\s*[x•●✓✔]\s*\)|[☑☒])")
_REPEATED_CHOICE = re.compile(
    r"(?:accept\s*(?:/|\||\bor\b)\s*reject|reject\s*(?:/|\||\bor\b)\s*accept)\W+(?=(?:accept|reject)(?:ed)?\W*$)",
    re.MULTILINE,
)
"""The question once more, before its answer at the end of a line."""
_OTHER_WORDS = {
    "accept": "✅ ✔ ✓ 👍 接受 采纳 採用 수락 akzeptieren akzeptiert annehmen aceptar aceptado"
    " accepter accepté acceptée aceitar aceito accettare принять принято",
    "reject": "❌ ✖ ✗ ✘ 👎 拒绝 拒絕 不接受 不采纳 却下 거부 ablehnen abgelehnt rechazar rechazado"
    " rejeter rejeté rejetée refuser rejeitar rejeitado rifiutare отклонить отклонено",
}
"""Signs and other languages' words, which count where a text has none of the words that were asked for."""
_MEANINGS = {sign: f" {word} " for word, signs in _OTHER_WORDS.items() for sign in signs.split()}
_LONGEST_FIRST = sorted(map(re.escape, _MEANINGS), key=len, reverse=True)
_SIGN = re.compile(rf"(?P<negation>\b(?:nicht|non|não|не|pas)\s+)?(?P<sign>{'|'.join(_LONGEST_FIRST)})")
_LATEX = re.compile(r"\\[a-z]+\s*(?=\{)")
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("‘’ʼ`´", "'"),  # noqa: RUF001
        **dict.fromkeys("。।۔", "."),  # noqa: RUF001
        **dict.fromkeys("、،()[]{}|「」『』【】〈〉《》", ","),
        "؛": ";",
        "؟": "?",
        **dict.fromkeys('*_~"“”„«»‹›$#¡¿', ""),  # noqa: RUF001
    }
)
_LOOSE_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")
_LINE_START = re.compile(r"^(?:[^\w]+|\d+[.)]\s+)+")
_LINE_END = re.compile(r"[^\w?]+$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class _Opinion:
    """A place in a text that says what the verdict is."""

    accepts: frozenset[bool]
    """Both where it says both, or says one under a condition."""
    after: str
    """What follows it."""


def find_opinions(text: str) -> frozenset[bool]:
    """Find what a text says about one mask.

    Only a clear place counts: a word or a tag by itself, what stands after 'Verdict:' or the like, or the first or the
    last sentence. Prose that weighs both sides is no verdict. A rejection after it is one, and so is never lost; an
    acceptance after it is asked for again.

    Args:
        text: What a model said, without its thinking.

    Returns:
        {True} for an acceptance, {False} for a rejection, both where the text says both, or none.

    >>> [sorted(find_opinions(said)) for said in ("**Verdict: Reject**", "Accept.", "Accept or reject", "A cup.")]
    [[False], [True], [False, True], []]
    """
    lines = _split_lines(text)
    opinions = list(_list_opinions(lines))
    accepts = frozenset[bool]().union(*(opinion.accepts for opinion in opinions))
    if len(accepts) != 1:
        return accepts
    [accept] = accepts
    mentioned = _find_mentions(" ".join(lines) if accept else opinions[-1].after)
    reserved = accept and any(_RESERVATION.search(opinion.after) for opinion in opinions)
    return _BOTH if reserved or (not accept) in mentioned else accepts


def find_insistence(text: str) -> frozenset[bool]:
    """Find what a text says that answers once more, anywhere in it: a rejection by itself is taken for one.

    >>> [sorted(find_insistence(said)) for said in ("I am afraid it's a reject.", "Accept it or reject it?")]
    [[False], [False, True]]
    """
    said = " ".join(_split_lines(text))
    mentioned = _find_mentions(said)
    if not mentioned and _PLAIN_NO.fullmatch(said):
        return frozenset({False})
    return find_opinions(text) or (mentioned if False in mentioned else frozenset())


def find_numbered_opinions(text: str) -> dict[int, frozenset[bool]]:
    """Find what a text says about numbered masks, line by line, or between semicolons.

    >>> {number: sorted(said) for number, said in find_numbered_opinions("1: Accept; mask 2 - reject, a bowl").items()}
    {1: [True], 2: [False]}
    """
    found: dict[int, frozenset[bool]] = {}
    for line in _split_lines(_NUMBER_IN_BRACKETS.sub(r"; \1: ", _NUMBER_WITH_DOT.sub(r"\1:", text))):
        for part in _split_rows(_RANGE.sub(_write_out_range, line)):
            for number, accepts in _read_numbered_part(part):
                found[number] = found.get(number, frozenset()) | accepts
    return found


def _split_rows(line: str) -> Iterator[str]:
    """Split a line into rows that each say something of some numbers."""
    row = ""
    for part in (_ORDER_END if _ORDER_START.match(line) else _ROW_END).split(line):
        row = f"{row}, {part}" if row else part
        if _MENTION.search(row):
            yield row.strip(" ,")
            row = ""
    yield row.strip(" ,")


def _write_out_range(found: re.Match[str]) -> str:
    first, last = int(found[1]), int(found[2])
    return ", ".join(map(str, range(first, last + 1))) if first < last else found[0]


def find_common_opinion(text: str) -> frozenset[bool]:
    """Find what a text of one line says about all masks together.

    >>> sorted(find_common_opinion("All rejected."))
    [False]
    """
    lines = _split_lines(text)
    matched = _ALL_ROW.fullmatch(lines[0]) if len(lines) == 1 else None
    return frozenset({(matched["state"] or matched["order"]).startswith("accept")}) if matched else frozenset()


def _read_numbered_part(part: str) -> Iterator[tuple[int, frozenset[bool]]]:
    row = _NUMBERS_FIRST.fullmatch(part) or _NUMBERS_LAST.fullmatch(part)
    accepts = find_opinions(f"verdict: {row['said']}") if row else frozenset()
    if row and accepts:
        yield from ((int(number), accepts) for number in re.findall(r"\d{1,9}", row["numbers"]))


def _list_opinions(lines: list[str]) -> Iterator[_Opinion]:
    for index, line in enumerate(lines):
        following = " ".join(lines[index + 1 :])
        at_edge = index in (0, len(lines) - 1)
        sentences = [line, *_list_edge_sentences(line, is_first=index == 0, is_last=not following)]
        for part, after in [(sentence, line.partition(sentence)[2]) for sentence in sentences]:
            opinion = _read_opinion(
                _LINE_END.sub("", part), alone=[part] == lines, with_reason=at_edge and part == line
            )
            if opinion:
                yield _Opinion(opinion.accepts, " ".join((opinion.after, after, following)))


def _list_edge_sentences(line: str, *, is_first: bool, is_last: bool) -> list[str]:
    sentences = _SENTENCE_END.split(line)
    if len(sentences) == 1:
        return []
    return sentences[:1] * is_first + sentences[-1:] * is_last


def _read_opinion(line: str, *, alone: bool, with_reason: bool) -> _Opinion | None:
    """Read a line that is a verdict, perhaps with a reason after it. `alone`: it is all that was said."""
    if polar := _POLAR_FIELD.fullmatch(line):
        accept = (polar["value"] or polar["digit"]) in ("yes", "true", "1")
        return _Opinion(frozenset({accept != polar["name"].startswith("reject")}), polar["rest"])
    plain = _PLAIN_ANSWER.fullmatch(line)
    if plain and (plain["label"] or (alone and not plain["rest"])):
        accept = plain["yes"] is not None
        return _Opinion(frozenset({accept}) | _find_mentions(plain["rest"]), plain["rest"])
    if (read := _READING.fullmatch(line)) is None:
        return None
    rest, labeled = read["rest"], read["label"] is not None
    if rest.lstrip().startswith("?"):
        return None
    if rest and not labeled and not (with_reason and (_REASON_START.match(rest) or _CONDITION_START.match(rest))):
        return None
    accept = _is_acceptance(read)
    is_double_negative = read["negation"] is not None and accept
    is_doubtful = _CONDITION_START.match(rest) or _OTHER_VALUE.match(rest)
    is_unclear = is_double_negative or is_doubtful or (not accept) in _find_mentions(rest)
    return _Opinion(_BOTH if is_unclear else frozenset({accept}), rest)


def _is_acceptance(found: re.Match[str]) -> bool:
    return found["word"].startswith("accept") != (found["negation"] is not None)


def _find_mentions(text: str) -> frozenset[bool]:
    return frozenset(_is_acceptance(found) != bool(found["denial"]) for found in _MENTION.finditer(text))


def _split_lines(text: str) -> list[str]:
    """Split into lines that are not empty, in small letters, without markup. A label alone joins the next line."""
    if len(text) > MAX_LETTERS:
        text = f"{text[: MAX_LETTERS // 2]}\n{text[-MAX_LETTERS // 2 :]}"
    text = _SPECIAL_TOKEN.sub("\n", _translate_signs(unicodedata.normalize("NFKC", text).lower()))
    text = _TICKED_BOX.sub(" ", _EMPTY_BOX.sub(" ", text))
    text = "".join(letter for letter in text if not _is_decoration(letter))
    text = _REPEATED_CHOICE.sub("", re.sub(r"(?<=[a-z])_(?=[a-z\d])", " ", text))
    text = _TAG.sub(_write_tag_as_label, _LATEX.sub("", text))
    text = _LOOSE_APOSTROPHE.sub("", text.translate(_PUNCTUATION))
    lines = [_LINE_END.sub("", _LINE_START.sub("", line.strip())) for line in text.splitlines()]
    joined: list[str] = []
    for line in filter(None, lines):
        if joined and _LABEL_ALONE.fullmatch(joined[-1]):
            joined[-1] = f"{joined[-1]}: {line}"
        else:
            joined.append(" ".join(line.split()))
    return joined


def _translate_signs(text: str) -> str:
    if _MENTION.search(text):
        return text
    return _SIGN.sub(lambda found: "not" * bool(found["negation"]) + _MEANINGS[found["sign"]], text)


def _is_decoration(letter: str) -> bool:
    """Whether it is an emoji, or a mark that is not seen by itself."""
    return unicodedata.category(letter) in ("Cf", "Mn", "So")


def _write_tag_as_label(tag: re.Match[str]) -> str:
    """'<verdict>reject</verdict>' becomes the line 'verdict: reject'; tags of other names become nothing."""
    if not _FIELD_NAME.fullmatch(tag["name"]):
        return tag[0] if tag[0].startswith("[") else ""
    if tag["closing"]:
        return "\n"
    held = _HELD_VALUE.search(tag["held"])
    value = next(filter(None, held.groups()), "").strip() if held else ""
    name = tag["name"].removeprefix("final ")
    if value.isdecimal():
        return f"\n{name} {value}: "
    return f"\n{name}: {value}\n" if value else f"\n{name}: "
