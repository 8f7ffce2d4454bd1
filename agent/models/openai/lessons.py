"""What a refusal teaches: the words of many servers, and what of a request is changed for each."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.models.openai.dialect import LENGTH_FIELDS, Dialect, Request
from agent.models.openai.faults import is_too_long

TEACHING_STATUSES = frozenset({200, 400, 402, 404, 413, 415, 422, 500, 501})
"""Statuses whose words may tell what to change. llama.cpp says 500 where a chat template objects, OpenRouter 402 where
the credit is too little for so long a reply, and MiniMax 200."""
LEAST_REPLY = 64
"""Tokens: with less room no tool can be called, and the conversation is too long."""
JPEG_QUALITIES = (70, 40, 20)
"""Tried one after the other where a request holds too many bytes."""
OPTIONAL_FIELDS = (
    *("temperature", "seed", "parallel_tool_calls", "tool_choice", "stream_options"),
    *("top_logprobs", "logprobs"),
)
"""Fields that a request can do without."""

_STREAM_WANTED = re.compile(
    r"(enable|set|use|require|only|must).{0,60}\bstream(ing|ed)?\b|\bstream(ing)?\b.{0,40}(required|must|only|mandatory)"
    r"|non-?stream|\bstream(ing)?\b.{0,10}(=|:|is|to be).{0,6}true",
    re.IGNORECASE,
)
_STREAM_REFUSED = re.compile(
    r"\bstream(ing)?\b.{0,40}(not (supported|allowed|available|permitted|enabled)|unsupported|disabled|must be false)"
    r"|(not|n't) support.{0,20}\bstream(ing)?\b",
    re.IGNORECASE,
)
_SYSTEM_REFUSED = re.compile(
    r"(system|developer).{0,12}(role|message|instruction|prompt)s?\b.{0,40}"
    r"(not |n't |un)(be )?(supported|enabled|allowed|permitted|available|support)"
    r"|(not|n't) support.{0,30}\bsystem\b|role.{0,20}\bsystem\b.{0,30}(not|invalid|unsupported)"
    r"|messages?[.\[]0\]?\.role\b"
    r"|(unsupported|invalid|unknown).{0,20}role.{0,12}\bsystem\b|only user.{0,20}(and|,).{0,12}(assistant|model)",
    re.IGNORECASE | re.DOTALL,
)
_ROLES_ALTERNATE = re.compile(
    r"roles? must alternate|alternate (between )?user|alternating|consecutive.{0,20}(role|message|user|assistant)"
    r"|(unexpected|invalid|incorrect|wrong).{0,20}(role|message order)|role.{0,24}(after|following|follow)\b.{0,12}role"
    r"|expected (last )?role|after (a |the )?tool|must follow",
    re.IGNORECASE,
)
_SYSTEM_FIRST_TURN = re.compile(r"must alternate|alternat", re.IGNORECASE)
_TOOL_ROLE_REFUSED = re.compile(
    r"(role|messages?).{0,30}['\"`]?\btool\b['\"`]?.{0,40}(not|n't|invalid|unsupported|unknown|unrecognized)"
    r"|(unsupported|invalid|unknown|unrecognized|unexpected).{0,24}(role|variant)s?.{0,12}\btool\b"
    r"|tool.?call.?id|tool_use_id|tool_result|tool_calls?.{0,40}(not allowed|unexpected|not permitted)",
    re.IGNORECASE,
)
_SIGNATURE_MISSING = re.compile(r"thought.?signature", re.IGNORECASE)
_REASONING_WANTED = re.compile(
    r"(missing|must|require|passed? back|need|expected).{0,80}(reasoning_content|\breasoning\b|thinking)"
    r"|reasoning_content.{0,60}(must|missing|require|passed? back|need)",
    re.IGNORECASE,
)
_EXTRA_REFUSED = re.compile(
    r"extra_content|reasoning_details|thinking_blocks|provider_specific_fields|reasoning_content", re.IGNORECASE
)
_BLANK_REFUSED = re.compile(
    r"\b(blank|empty|whitespace|non-?empty|non-?whitespace|at least one character)\b|min_length|too short",
    re.IGNORECASE,
)
_NULL_REFUSED = re.compile(
    r"content.{0,80}(null|none|nil|required|missing|valid string|must be a string|undefined|not.{0,6}string)"
    r"|(null|none|nil|missing|undefined).{0,60}content",
    re.IGNORECASE,
)
_LENGTH_NAMED = re.compile(
    r"max(imum)?[_ ](completion[_ ]|output[_ ]|new[_ ]|generat\w+[_ ]|gen[_ ]|number of )?(output )?tokens"
    r"|max_tokens|max_new_tokens|output token limit|(output|completion|generated|new) tokens|maxOutputTokens|maxTokens",
    re.IGNORECASE,
)
_CAP_NAMED = re.compile(
    r"less than or equal|at most|\brange\b|maximum (allowed )?(value|number of output)", re.IGNORECASE
)
_NAME_REFUSED = re.compile(
    r"unsupported parameter|unsupported field|unrecognized|unknown|unexpected|extra (inputs|fields|forbidden)"
    r"|not permitted|use '?\"?`?max_completion_tokens|(is )?not supported|deprecated",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.-])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.-])\d{2,}(?!\.?\w)(?!-\w)")
_TOTAL = re.compile(r"(?:requested|total|current length)\D{0,40}(\d[\d,]*)", re.IGNORECASE)
_IMAGE_TOO_LARGE = re.compile(r"image.{0,60}(too large|exceeds).{0,60}(MB|bytes|size)", re.IGNORECASE)
_FILTERED = re.compile(
    r"content.?(filter|management|policy)|safety|moderation|jailbreak|prohibited|flagged", re.IGNORECASE
)


@dataclass(frozen=True)
class Refusal:
    """A server's words about a request that it does not take."""

    status: int
    message: str
    request: Request

    @property
    def is_about_tokens(self) -> bool:
        """Whether it speaks of the length of the conversation or of the reply."""
        return is_too_long(self.message) or bool(_LENGTH_NAMED.search(self.message))

    @property
    def may_mind_history(self) -> bool:
        """Whether a history of tool calls, written as text, might be taken."""
        filtered = _FILTERED.search(self.message) or self.status == 413
        return self.request.has_results and not filtered and not self.is_about_tokens


def learn_lesson(dialect: Dialect, refusal: Refusal) -> Dialect:
    """Return the dialect with what a refusal teaches; the same one where it teaches nothing.

    Args:
        dialect: What is known by now. Another thread may have learnt the lesson already.
        refusal: What the server said about a request.
    """
    if refusal.status not in TEACHING_STATUSES:
        return dialect
    lessons = (lesson(dialect, refusal) for lesson in _LESSONS)
    return next((learnt for learnt in lessons if learnt is not None and learnt != dialect), dialect)


def describe_lesson(before: Dialect, after: Dialect) -> str:
    """Name what has been learnt, for the log."""
    changed = [name for name, value in vars(after).items() if value != getattr(before, name)]
    left_out = sorted(after.left_out - before.left_out)
    return ", ".join([*(f"`{name}` is left out" for name in left_out), *(n for n in changed if n != "left_out")])


# --- how long a reply may be -----------------------------------------------------------------------


def _learn_reply_length(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    asked = refusal.request.reply_length
    if asked is None or not refusal.is_about_tokens:
        return None
    numbers = _read_numbers(refusal)
    if room := _find_room(numbers, asked) or _find_total(refusal.message, numbers, asked):
        prompt, context = room
        return _fit_into_context(dialect, refusal, asked, prompt, context)
    if is_too_long(refusal.message) and not _CAP_NAMED.search(refusal.message):
        is_prompt_told = len(numbers - {asked}) > 1
        return _halve_reply(dialect, asked) if asked in numbers and not is_prompt_told else None
    return _learn_cap(dialect, refusal, asked, numbers)


def _read_numbers(refusal: Refusal) -> set[int]:
    found = {int(number[0].replace(",", "")) for number in _NUMBER.finditer(refusal.message)}
    return found - {refusal.status}


def _find_room(numbers: set[int], asked: int) -> tuple[int, int] | None:
    """Find the tokens of the prompt and those of the context among the numbers that a server names.

    Whatever the words are, a prompt and the reply that was asked for are more than the context together.

    >>> _find_room({4096, 4945, 2897, 2048}, 2048), _find_room({2048, 4096, 2897}, 2048)
    ((2897, 4096), (2897, 4096))
    """
    if asked not in numbers:
        return None
    others = sorted(numbers - {asked})
    pairs = [(prompt, size) for prompt in others for size in others if prompt < size < prompt + asked]
    summed = [pair for pair in pairs if pair[0] + asked in numbers]
    return next(iter([*summed, *(pairs if len(others) == 2 else [])]), None)


def _find_total(message: str, numbers: set[int], asked: int) -> tuple[int, int] | None:
    """Find the same where a server names the total and not, in one number, the prompt."""
    named = _TOTAL.search(message)
    total = int(named[1].replace(",", "")) if named else 0
    size = next((size for size in sorted(numbers - {asked}) if 0 < total - asked < size < total), None)
    return None if size is None else (total - asked, size)


def _fit_into_context(dialect: Dialect, refusal: Refusal, asked: int, prompt: int, context: int) -> Dialect | None:
    if "at least" in refusal.message:  # the server stopped counting the prompt, which may be longer
        prompt = max(prompt, context - asked // 2)
    if context - prompt < LEAST_REPLY:
        return None
    ratio = max(dialect.tokens_per_estimate, prompt / max(1, refusal.request.estimate))
    learnt = replace(dialect, context=context, tokens_per_estimate=ratio)
    return learnt if learnt != dialect else _halve_reply(dialect, asked)


def _halve_reply(dialect: Dialect, asked: int) -> Dialect | None:
    half = min(asked // 2, dialect.reply_limit or asked)
    return replace(dialect, reply_limit=half) if half >= LEAST_REPLY else None


def _learn_cap(dialect: Dialect, refusal: Refusal, asked: int, numbers: set[int]) -> Dialect | None:
    """Ask for no more than the model can write, or by the field's other name, or for no length at all."""
    field = next((name for name in LENGTH_FIELDS if name in refusal.request.body), "")
    if not field:
        return None
    caps = [number for number in numbers if LEAST_REPLY <= number < asked]
    if caps and max(caps) < (dialect.reply_limit or asked):
        return replace(dialect, reply_limit=max(caps))
    names = {field} if _NAME_REFUSED.search(refusal.message) or field == LENGTH_FIELDS[1] else set(LENGTH_FIELDS)
    return replace(dialect, left_out=dialect.left_out | names)


# --- how it is sent ----------------------------------------------------------------------------------


def _learn_streaming(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    if refusal.request.body.get("stream"):
        return replace(dialect, streams=False) if _STREAM_REFUSED.search(refusal.message) else None
    return replace(dialect, streams=True) if _STREAM_WANTED.search(refusal.message) else None


def _learn_field(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    """Leave out the field that the words name."""
    named = (name for name in OPTIONAL_FIELDS if re.search(rf"\b{name}\b", refusal.message, re.ASCII))
    found = next((name for name in named if name in refusal.request.body), "")
    if not found or is_too_long(refusal.message):
        return None
    return replace(dialect, left_out=dialect.left_out | {found})


def _learn_image_size(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    """Send pictures in fewer bytes. Their sides stay, for a model names places in pixels of them."""
    is_too_large = refusal.status == 413 or _IMAGE_TOO_LARGE.search(refusal.message)
    if not is_too_large or not refusal.request.has_images or re.search(r"token|TPM", refusal.message):
        return None
    lower = (quality for quality in JPEG_QUALITIES if quality < (dialect.jpeg_quality or 100))
    quality = next(lower, None)
    return None if quality is None else replace(dialect, jpeg_quality=quality)


# --- what the messages may be ------------------------------------------------------------------------


def _learn_roles(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    request, message = refusal.request, refusal.message
    has_system = request.body["messages"][0]["role"] == "system"
    if has_system and _SYSTEM_REFUSED.search(message):
        return replace(dialect, folds_system=True)
    if not request.has_results:
        return replace(dialect, folds_system=True) if has_system and _SYSTEM_FIRST_TURN.search(message) else None
    if _ROLES_ALTERNATE.search(message) and not dialect.bridges_results:
        return replace(dialect, bridges_results=True)
    minds_results = _ROLES_ALTERNATE.search(message) or _TOOL_ROLE_REFUSED.search(message)
    return replace(dialect, is_tagged=True) if minds_results else None


def _learn_signatures(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    """Send back what the server wants back, or nothing that it does not know."""
    if not refusal.request.has_results:
        return None
    if _SIGNATURE_MISSING.search(refusal.message):
        return replace(dialect, is_tagged=True)
    if not dialect.wants_reasoning and _REASONING_WANTED.search(refusal.message):
        return replace(dialect, wants_reasoning=True)
    if _EXTRA_REFUSED.search(refusal.message):
        return replace(dialect, drops_extra=True, wants_reasoning=False)
    return None


def _learn_contents(dialect: Dialect, refusal: Refusal) -> Dialect | None:
    contents = [message["content"] for message in refusal.request.body["messages"]]
    if None in contents and _NULL_REFUSED.search(refusal.message):
        return replace(dialect, refuses_null=True)
    is_blank = any(content is None or (isinstance(content, str) and not content.strip()) for content in contents)
    if is_blank and _BLANK_REFUSED.search(refusal.message):
        return replace(dialect, fills_blanks=True, refuses_null=True)
    return None


_LESSONS: tuple[Callable[[Dialect, Refusal], Dialect | None], ...] = (
    _learn_streaming,
    _learn_roles,
    _learn_signatures,
    _learn_reply_length,
    _learn_contents,
    _learn_field,
    _learn_image_size,
)
