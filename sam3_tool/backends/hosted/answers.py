"""The Responses object that holds an answer: its text, and the tokens that it cost."""

from dataclasses import dataclass
from typing import Any


class HostedAnswerError(ValueError):
    """An answer is not what was asked for. The message says what it is instead, as the rest of a sentence."""


@dataclass(frozen=True)
class AnswerText:
    """What a server wrote, and the tokens that it counted."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


def read_answer(answer: Any) -> AnswerText:
    """Read the JSON of an answer.

    Raises:
        HostedAnswerError: It is no completed response with text, whoever wrote it.

    >>> part = {"type": "output_text", "text": ""}
    >>> read_answer({"status": "completed", "output": [{"type": "message", "content": [part]}]})
    AnswerText(text='', input_tokens=0, output_tokens=0)
    """
    if not isinstance(answer, dict):
        raise HostedAnswerError(f"answered with a JSON {type(answer).__name__}, not with a response")
    output, status = answer.get("output"), answer.get("status")
    if status in ("failed", "cancelled") or (answer.get("error") and not output):
        raise HostedAnswerError(f"could not answer ({_read_words(answer.get('error'))})")
    if status == "incomplete":
        raise HostedAnswerError(f"broke off its answer ({_read_words(answer.get('incomplete_details'))})")
    if not isinstance(output, list) or status != "completed":
        keys = ", ".join(sorted(map(str, answer))[:8]) or "nothing in it"
        raise HostedAnswerError(f"answered with JSON that is no completed response ({keys})")
    text = "".join(_list_texts(output))
    usage = answer.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return AnswerText(text, _read_count(counted.get("input_tokens")), _read_count(counted.get("output_tokens")))


def _list_texts(output: list[Any]) -> list[str]:
    texts: list[str] = []
    for item in output:
        # reasoning and other kinds of items say nothing about masks
        content = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
        for part in content if isinstance(content, list) else []:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "refusal":
                raise HostedAnswerError(f"refused to answer ({_read_words(part.get('refusal'))})")
            if kind == "output_text" and isinstance(part.get("text"), str):
                texts.append(part["text"])
    if output and not texts:
        raise HostedAnswerError("answered with a response without any text")
    return texts


def _read_words(held: Any) -> str:
    """Return what an error or another detail says, on one line."""
    if isinstance(held, dict):
        held = held.get("message") or held.get("reason") or held.get("code")
    return " ".join(str(held or "it does not say why").split())[:300]


def _read_count(count: Any) -> int:
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53
    return count if is_count else 0
