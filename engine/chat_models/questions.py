"""Questions to a chat model that are answered by one call each: asked all together, and once more where unreadable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.tools.calls import parse_call
from agent.core.tools.tool import Tool
from agent.core.usage import Usage
from agent.models.base import Call, ChatModel, Messages, Reply
from agent.planners.chat.examination import build_retry

Answer = TypeVar("Answer", bound=Tool)


@dataclass(frozen=True)
class ModelAnswer(Generic[Answer]):
    """What came of one question."""

    call: Answer | None
    """None where there is no reply, or none that can be read."""
    reply: Reply
    """The last one."""
    usage: Usage
    """Of both tries."""
    problem: str = ""
    """Why there is no call, in one sentence."""
    is_lasting: bool = False
    """Whether asking again cannot mend it: a wrong key, an unknown model."""


def ask_questions(
    model: ChatModel,
    conversations: Sequence[Messages],
    tool: type[Answer],
    *,
    read_text: Callable[[str], str] = str,
) -> list[ModelAnswer[Answer]]:
    """Ask a model; it answers each question by a call of one tool.

    Args:
        model: Any chat model; it answers questions side by side as far as it can.
        conversations: One for each question.
        tool: What it calls. Only its schema and its validation are used.
        read_text: Makes arguments, as JSON, of a reply in words.

    Returns:
        One answer per question, in order. Nothing that a model or a server does is raised.

    >>> from typing import ClassVar
    >>> from agent import ScriptedModel
    >>> from agent.models.base import Message
    >>> class Count(Tool):
    ...     "Say how many."
    ...     name: ClassVar[str] = "count"
    ...     number: int
    >>> model = ScriptedModel([], answers={"count": ["many", Call("count", '{"number": 3}')]})
    >>> [answer] = ask_questions(model, [[Message("user", ("How many?",))]], Count)
    >>> answer.call.number, answer.usage.model_calls
    (3, 2)
    """
    schema = [tool.to_planner_schema()]
    replies = model.generate_replies(conversations, schema)
    answers = [_read_answer(reply, tool, read_text) for reply in replies]
    again = [place for place, answer in enumerate(answers) if answer.call is None and not answer.reply.error]
    if not again:
        return answers
    retries = [build_retry(conversations[place], answers[place].reply, answers[place].problem) for place in again]
    for place, reply in zip(again, model.generate_replies(retries, schema), strict=True):
        first, second = answers[place], _read_answer(reply, tool, read_text)
        answers[place] = replace(second, usage=first.usage + second.usage)
    return answers


def _read_answer(reply: Reply, tool: type[Answer], read_text: Callable[[str], str]) -> ModelAnswer[Answer]:
    if reply.error:
        return ModelAnswer(None, reply, reply.usage, reply.error, not reply.recoverable)
    call = reply.calls[0] if reply.calls else Call(tool.name, read_text(reply.text))
    try:
        read = parse_call(Decision(call.tool or tool.name, call.arguments), [tool])
    except ToolError as error:
        return ModelAnswer(None, reply, reply.usage, str(error))
    return ModelAnswer(cast(Answer, read), reply, reply.usage)
