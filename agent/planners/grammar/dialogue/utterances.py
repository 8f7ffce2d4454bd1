"""How an utterance begins and ends: what it does with the answer so far, apart from what it does it to."""

import re
from dataclasses import dataclass

from agent.planners.grammar.interpretation import Change
from agent.planners.grammar.text.list_notation import split_class_names
from agent.planners.grammar.text.numerals import read_number
from agent.planners.grammar.text.plain_text import normalize_query
from agent.planners.grammar.vocabulary import NUMERALS

MAX_LETTERS = 2000
TYPOS = {
    "aslo": "also", "alos": "also", "jsut": "just", "nubmer": "number", "numer": "number", "numbr": "number",
    "onyl": "only", "olny": "only", "remvoe": "remove", "teh": "the", "wihtout": "without", "witout": "without",
}  # fmt: skip
"""Of the words that a follow-up turns on."""


@dataclass(frozen=True)
class Utterance:
    """What is said in a conversation: what it does, and to what."""

    rest: str
    """What the change is made with: 'the red ones'. May be empty."""
    change: Change | None = None
    """As its words say; None where they say nothing, and what is named has to tell."""
    corrects: bool = False
    """Whether it takes the place of what was said last: 'no, the red one'."""
    instead_of: str = ""
    """What goes where `rest` comes: 'replace the cups with the plates'."""
    more: int = 0
    """How many are asked for that the answer does not have: 'another cup', 'the next two'; `rest` may be empty."""


def find_command(query: str) -> str | None:
    """Return 'undo' or 'redo' where the query asks for that alone; None for any other.

    >>> [find_command(text) for text in ("Undo that, please!", "go back", "redo", "remove that")]
    ['undo', 'undo', 'redo', None]
    """
    text = _BEFORE.sub("", _AFTER.sub("", _correct_typos(query)))
    return "redo" if _REDO.fullmatch(text) else "undo" if _UNDO.fullmatch(text) else None


def is_repeat_request(query: str) -> bool:
    """Whether it asks for the same as before: 'the same in this picture'.

    >>> is_repeat_request("And now the same in this other picture, please"), is_repeat_request("the same cups")
    (True, False)
    """
    return bool(_AGAIN.fullmatch(_BEFORE.sub("", _AFTER.sub("", _correct_typos(query)))))


def is_acknowledgement(query: str) -> bool:
    """Whether it asks for nothing.

    >>> is_acknowledgement("Ok, thanks!"), is_acknowledgement("ok, the left one")
    (True, False)
    """
    return bool(_FINE.fullmatch(_correct_typos(query)))


def is_complaint(query: str) -> bool:
    """Whether it says that something is wrong, and not what.

    >>> [is_complaint(text) for text in ("Wrong one!", "no", "try again", "no, the left one", "not the left one")]
    [True, True, True, False, False]
    """
    return bool(_COMPLAINT.fullmatch(_AFTER.sub("", _correct_typos(query))) or _TRY_AGAIN.fullmatch(query.strip(" .!")))


def find_short_question(query: str) -> str:
    """Return what a short question after another one is about; "" where it is none.

    >>> find_short_question("And the red ones?"), find_short_question("and the red ones")
    ('the red ones', '')
    """
    found = _AND_WHAT.fullmatch(_correct_typos(query)) if query.rstrip().endswith("?") else None
    return found["what"] if found else ""


def parse_utterance(query: str) -> Utterance:
    """Return what an utterance does and what it names.

    >>> parse_utterance("Now only the red ones, please.")
    Utterance(rest='the red ones', change='keep', corrects=False, instead_of='', more=0)
    >>> parse_utterance("no, the left one")
    Utterance(rest='the left one', change=None, corrects=True, instead_of='', more=0)
    >>> parse_utterance("two more cups"), parse_utterance("the next one").more
    (Utterance(rest='cups', change='add', corrects=False, instead_of='', more=2), 1)
    """
    # What is taken back is said first, so it is found before the change itself.
    corrects, text = _split_correction(_BEFORE.sub("", _AFTER.sub("", _correct_typos(query))))
    # What people say in several ways is brought to one, so that each change has few patterns.
    for pattern, usual in _IN_OTHER_WORDS:
        text = pattern.sub(usual, text)
    # "Plates instead of the cups" holds words of other changes, so that it is tried first.
    if swapped := next((found for pattern in _SWAPS if (found := pattern.fullmatch(text))), None):
        return Utterance(swapped["new"], corrects=corrects, instead_of=swapped["old"] or "")
    # A count without a noun is of the answer; with one it is a question of its own.
    if _HOW_MANY.fullmatch(text):
        return Utterance("", "count", corrects)
    for change, pattern in _MORE:
        if found := pattern.fullmatch(text):
            what = re.sub("^(?=ones? )", "the ", found["what"] or found["of"] or "")
            return Utterance(what, change, corrects, more=read_number(found["number"] or "one"))
    return _find_change(text, corrects) or Utterance(text, corrects=corrects)


def _find_change(text: str, corrects: bool) -> Utterance | None:
    for change, patterns in _CHANGES.items():
        for pattern in patterns:
            if found := pattern.fullmatch(text):
                return Utterance(_FROM_IT.sub("", found["what"]).strip(" ,"), change, corrects)
    return None


def _correct_typos(query: str) -> str:
    """Return the plain text of a query; the beginning of a long one is enough to tell what it does."""
    text = normalize_query(re.sub(r"#\s*(?=\d)", " number ", split_class_names(query[:MAX_LETTERS])))
    return _TYPOS.sub(lambda typo: TYPOS[typo[0]], text)


def _split_correction(text: str) -> tuple[bool, str]:
    """Return whether the text takes something back, and what it puts there."""
    for pattern in _CORRECTIONS:
        found = pattern.fullmatch(text)
        if found and found["what"]:
            return True, _BEFORE.sub("", found["what"])
    return False, text


def _join_alternatives(*alternatives: str) -> str:
    return f"(?:{'|'.join(alternatives)})"


def _compile_patterns(*patterns: str) -> list[re.Pattern[str]]:
    return [re.compile(pattern) for pattern in patterns]


_TYPOS = re.compile(rf"\b{_join_alternatives(*TYPOS)}\b")
_POLITE = _join_alternatives(
    *("please", "kindly", "hey", "hi", "hello", "ok", "okay", "well", "hmm+", "so", "now", "then", "great", "good"),
    *(
        "next(?=,)",
        "perfect",
        "nice",
        "cool",
        "thanks",
        "thank you",
        "yes",
        "yeah",
        "let's",
        "let us",
        "what about",
        "how about",
    ),
    r"(?:can|could|would|will) (?:you|i|we)(?: have)?",
    r"i (?:want|would like|need|would prefer)(?: you)?(?: to)?",
)
_FINE = re.compile(rf"(?:(?:{_POLITE}|that is|it is|fine|all|correct|very)\b,? ?)+")
_COMPLAINT = re.compile(
    r"(?:(?:no|nope|sorry|hmm),? )*(?:(?:(?:that|this|it) is |you are )?(?:all |just )?"
    r"(?:wrong|incorrect|bad|not (?:it|right|correct|what i (?:meant|asked for|wanted)))(?: ones?| masks?)?|no+|nope)"
)
_TRY_AGAIN = re.compile(r"(?:please )?(?:try|look) again(?: please)?", re.IGNORECASE)
_AND_WHAT = re.compile(r"(?:and|(?:and )?(?:what|how) about) (?!how|what|which|who|where)(?P<what>.+)")
_BEFORE = re.compile(
    rf"^(?:(?:and )?{_POLITE}\b,? ?)+(?=\w)|^and (?=(?:how|what|where|which|who)\b)|^(?:the )?same,? but (?:in )?"
)
_AFTER = re.compile(r"(?:,? (?:please|thanks|thank you|now|then|again|for me|if you can|if possible))+$")
_FROM_IT = re.compile(
    rf" {_join_alternatives('from', 'to', 'in', 'of', 'into')}"
    rf" {_join_alternatives('it', 'them', 'these', 'those', 'there', 'the (?:answer|selection|result|list|set|masks)')}"
    r"$"
)
_IT = _join_alternatives("it", "them", "this", "that", "these", "those", "the answer", "the selection")
_SHOW = r"(?:(?:show|give|find|get|select|mark|pick|segment|highlight|take|leave|have|see|display)(?: me| us)? )?"

_UNDO = re.compile(
    _join_alternatives(
        r"undo(?: it| that| this| the last (?:one|step|change|thing)| last)?",
        r"(?:(?:go|one|take me) )?(?:a )?(?:step )?back|back one step",
        r"(?:take|put|bring) (?:that|it|them) back|never ?mind|as (?:it was )?before",
        r"(?:revert|cancel)(?: that| it)?",
        r"(?:(?:go )?back to|restore) the (?:previous|last) (?:one|answer|step)",
    )
)
_REDO = re.compile(r"redo(?: it| that| this)?|(?:go )?forward(?: again)?|undo (?:the|that) undo")
_IMAGE = _join_alternatives("one", "picture", "image", "photo")
_HERE = rf"(?:(?:in|on|for|with|to) )?(?:here|(?:this|the)(?: other| new| next)?(?: {_IMAGE})?)"
_SAME = _join_alternatives(
    r"(?:(?:do|find|show) )?(?:me )?(?:exactly )?(?:the|that) same(?: thing| ones?| again)?",
    r"same(?: thing| again)?",
    r"again|once more|one more time|repeat(?: it| that| this)?|(?:the )?same (?:query|question)",
    r"(?:do|try) (?:it|that|this)(?: again)?",
)
_AGAIN = re.compile(
    rf"(?:and )?{_SAME}(?:,? {_HERE})?(?:,? (?:too|again|as well|instead))?"
    rf"|(?:and )?(?:in |on |for )?(?:here|this (?:other )?{_IMAGE}) (?:too|as well)"
)

_NO = _join_alternatives(
    *(
        "no",
        "nope",
        "sorry",
        "oops",
        "wait",
        "actually",
        "wrong(?: ones?)?",
        "i (?:meant|mean|said)",
        "rather",
        "instead",
    ),
    r"not (?:that|this|those|these|it|them)(?: ones?)?",
)
_NO_ALONE = _join_alternatives(
    "(?:no|nope)(?=,)", "sorry", "oops", "wait", "actually", "rather", "instead", "i (?:meant|mean|said)"
)
_THIS = _join_alternatives(
    *("the", "that", "those", "these", "a", "an", "number", "mask", "both", "all", r"\d+"),
    *("only", "just", "also", "add", "remove", "not"),
)
_CORRECTIONS = _compile_patterns(
    rf"(?:{_NO}\b,? ?)+(?:but )?(?P<what>{_THIS}\b.*)",
    rf"{_NO_ALONE},? (?!more|others?)(?P<what>.+)",
    rf"not (?:the|number|mask|\d)[^,]*, (?:but |rather |i meant )?(?P<what>{_THIS}\b.*)",
    r"not (?:the|those|these|number|mask|\d)[^,]*? but (?:rather )?(?P<what>(?:the|those|these|number|mask|\d)\b.*)",
    rf"(?P<what>{_THIS}\b.*?),? (?:i meant|i mean|rather)",
)
_SWAPS = _compile_patterns(
    r"(?:replace|swap|exchange|substitute|change) (?P<old>.+?) (?:with|by|for|to|into|against) (?P<new>.+)",
    r"(?P<new>.+?) instead of (?P<old>.+)",
    r"(?:swap|switch|change)(?: it| them| over)?,? (?:to )?(?P<new>.+?)(?:,? instead)?(?P<old>)",
    r"(?P<new>.+?),? instead(?P<old>)",
)
_HOW_MANY = re.compile(
    r"how many(?: masks| of (?:them|these|those))?(?: (?:are|is|were|do|did))?"
    r"(?: (?:there|left|you find|you have|we have|selected|that|it))*"
    r"|count (?:them|these|those|it|all)(?: all)?|what is the (?:count|number|total)|total"
)

_MANY = rf"(?P<number>{'|'.join(NUMERALS[:10])}|[1-9]\d?)"
_OF_WHAT = r"(?:(?: ones?)?(?: of (?:them|these|those))?|(?: ones?)? of (?:the )?(?P<of>.+?)| (?!of\b)(?P<what>.+?))"
_AND_MORE = rf"(?:(?:and|also|add|plus|with|include) )*{_SHOW}"
_MORE: list[tuple[Change | None, re.Pattern[str]]] = [
    (
        "add",
        re.compile(rf"{_AND_MORE}(?:yet |still )?another(?: (?!one ){_MANY})?{_OF_WHAT}(?:,? (?:too|as well|also))?"),
    ),
    ("add", re.compile(rf"{_AND_MORE}{_MANY} (?:more|further|additional|extra){_OF_WHAT}(?:,? (?:too|as well|also))?")),
    (None, re.compile(rf"(?:and )?{_SHOW}(?:the )?(?:next|following)(?! to\b)(?: (?!one ){_MANY})?{_OF_WHAT}")),
]

_IN_OTHER_WORDS = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        (
            r"^(?:clear|reset|start over|deselect)(?: (?:all|everything|it|them|the (?:answer|selection)))?$",
            "remove all",
        ),
        (r"^(?:invert(?: it| the (?:answer|selection))?|the opposite)$", "the others"),
        (r"^(?:(?:is|are) not|neither) ", "those that are not "),
        (r"^those that are not (.+) nor ", r"those that are neither \1 nor "),
        (r"^with (?=an?\b)", "those with "),
        (r"^without (?=(?:an?|any)\b)", "not those with "),
        (r"^(?:the )?(?:ones|those) without ", "not those with "),
    ]
]
_REMOVE = _join_alternatives(
    *("remove", "drop", "except(?: for)?", "minus", "exclud(?:e|ing)", "delete", "leave out", "leave away", "omit"),
    *("take (?:away|out|off)", "throw (?:out|away)", "get rid of", "discard", "ignore", "skip", "lose", "unselect"),
    *(
        "deselect",
        "subtract",
        "apart from",
        "other than",
        "erase",
        "eliminate",
        "hide",
        "without",
        "not",
        "no",
        "none of",
    ),
    r"but (?:not|no)",
    r"(?:i )?(?:do|does|did|would|will|am|is) not (?:include|show|want|take|select|keep|need|like|looking for|count)",
    rf"all(?: of {_IT})?,? (?:but|except(?: for)?|apart from|without|other than|besides)(?: not)?",
)
_KEEP = _join_alternatives(
    "keep(?: only| just)?",
    "nothing but",
    "stick to",
    "leave only",
    rf"(?:restrict|limit|narrow|reduce|filter|confine|cut)(?: {_IT})?(?: down)? (?:to|by|for)",
)
_ADD = _join_alternatives(
    *("also", "add", "plus", "includ(?:e|ing)", "append", "additionally", "in addition", "together with", "as well as"),
    *("along with", "do not forget"),
)
_CHANGES: dict[Change, list[re.Pattern[str]]] = {
    "remove": _compile_patterns(
        rf"(?:and |but )?{_SHOW}{_REMOVE}\b,? ?(?P<what>.+)",
        r"(?:and )?(?:take|leave|throw|kick|cut|get) (?P<what>.+?) (?:out|away|off)",
    ),
    "keep": _compile_patterns(
        rf"(?:and )?(?:{_SHOW}|i |we )(?:only|just)(?: (?:keep|show|leave|have|want|take|need))?(?: me)? (?P<what>.+)",
        rf"(?:and )?{_KEEP} (?P<what>.+)",
        rf"(?:and )?{_SHOW}(?P<what>.+?),? (?:only|alone|(?:but|and) nothing else)",
    ),
    "add": _compile_patterns(
        rf"(?:and )?{_SHOW}{_ADD},?(?: (?:also|add|back|include|in|again))? {_SHOW}(?P<what>.+?)"
        r"(?:,? (?:too|as well|also|back))?",
        rf"(?:and |with )?{_SHOW}(?P<what>.+?),? (?:too|as well|also|in addition)",
        r"(?:bring|put|take) (?:back )?(?P<what>.+?)(?: back| in)?",
        r"(?:and|plus|with(?= (?:the|number|mask|all)\b)) (?P<what>.+)",
    ),
}
