"""A chat model that follows a script, for tests and demonstrations of everything around a language model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.core.text.english import pluralize
from agent.core.usage import Usage
from agent.models.base import Call, Capabilities, Message, Messages, Reply, Schema
from agent.models.reply_parsing import read_reply
from agent.models.tokens import estimate_text_tokens, estimate_tokens
from agent.planners.chat.verdicts import OneVerdict, SheetVerdicts
from sam3_tool import Image

VERDICT_TOOLS = {OneVerdict.name, SheetVerdicts.name}
NATIVE_CAPABILITIES = Capabilities(wire="native")


class ScriptedModel:
    """A chat model that gives these replies one after the other, whatever it is shown.

    The conversation alone tells which reply is next, so one model may serve any number of threads and episodes: as many
    replies are done as the conversation has turns of the assistant. Where turns were left out, the script goes on after
    the first place where it has just those turns that are left. Token counts are estimates.

    Args:
        replies: What the model writes. A text may hold calls; a `Call` is one; a `Reply` is given as it is.
        verdicts: Mask number -> the probability, in [0, 1], that an examination gives it; 1 for any other mask.
        answers: Name of a tool -> the replies where that tool alone is offered, one after the other as the conversation
            has turns of the assistant; then the last one again.
        capabilities: What the model claims to be able to do.
        name: How the model calls itself.

    Example:
        >>> from agent.models.base import Call, Message
        >>> model = ScriptedModel([Call("report_no_mask", "{}")])
        >>> model.generate_replies([[Message("user", ("the unicorn",))]], [])[0].calls[0].tool
        'report_no_mask'
    """

    def __init__(
        self,
        replies: Sequence[str | Call | Reply],
        *,
        verdicts: Mapping[int, float] | None = None,
        answers: Mapping[str, Sequence[str | Call | Reply]] | None = None,
        capabilities: Capabilities = NATIVE_CAPABILITIES,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.replies = [_to_reply(reply) for reply in replies]
        self.verdicts = dict(verdicts or {})
        self.answers = {tool: [_to_reply(reply) for reply in given] for tool, given in (answers or {}).items()}

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Reply to each conversation.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call. Where they are those of an examination, it gives verdicts.

        Returns:
            One reply per conversation, in order. Where the script has ended, the reply is an error that says so.
        """
        return [
            self._add_usage(self._choose_reply(conversation, tools), conversation, tools)
            for conversation in conversations
        ]

    def _choose_reply(self, conversation: Messages, tools: Sequence[Schema]) -> Reply:
        offered = {tool["function"]["name"] for tool in tools}
        if len(offered) == 1 and (given := self.answers.get(min(offered))):
            return given[min(sum(turn.role == "assistant" for turn in conversation), len(given) - 1)]
        if offered and offered <= VERDICT_TOOLS:
            return self._give_verdicts(conversation, on_sheet=SheetVerdicts.name in offered)
        done = self._count_given_replies([turn for turn in conversation if turn.role == "assistant"])
        if done >= len(self.replies):
            end = f"the script ended after {pluralize(len(self.replies), 'reply')}, before the episode did"
            return Reply(error=end.replace("replys", "replies"), recoverable=False)
        return self.replies[done]

    def _count_given_replies(self, turns: Sequence[Message]) -> int:
        """Count the replies that were given, as far as the turns that are left tell."""
        if len(turns) == 0:
            return 0
        places = range(len(turns), len(self.replies) + 1)
        return next((done for done in places if self._can_match_turns(turns, done)), len(turns))

    def _can_match_turns(self, turns: Sequence[Message], done: int) -> bool:
        """Whether the last of the first `done` replies may have become these turns."""
        replies = self.replies[done - len(turns) : done]
        return all(_can_become_turn(reply, turn) for reply, turn in zip(replies, turns, strict=True))

    def _give_verdicts(self, conversation: Messages, *, on_sheet: bool) -> Reply:
        texts = [part for turn in conversation for part in turn.content if isinstance(part, str)]
        listed = [found[1] for text in texts for found in re.finditer(r"Numbers?: (\d+(?:, \d+)*)", text)]
        probabilities = [(int(number), self.verdicts.get(int(number), 1.0)) for number in listed[-1].split(", ")]
        if not on_sheet:
            [(_, probability)] = probabilities
            return _to_verdict_reply(OneVerdict.model_validate(_build_opinion(probability)))
        return _to_verdict_reply(
            SheetVerdicts.model_validate({"verdicts": [{"number": n, **_build_opinion(p)} for n, p in probabilities]})
        )

    def _add_usage(self, reply: Reply, conversation: Messages, tools: Sequence[Schema]) -> Reply:
        if reply.error or reply.usage != Usage():
            return reply
        written = (reply.text, reply.reasoning, *(text for call in reply.calls for text in (call.tool, call.arguments)))
        images = sum(isinstance(part, Image) for turn in conversation for part in turn.content)
        prompt, completion = estimate_tokens(conversation, tools), sum(map(estimate_text_tokens, written))
        return replace(reply, usage=Usage(1, prompt, 0, completion, images))


def _to_reply(scripted: str | Call | Reply) -> Reply:
    match scripted:
        case str():
            return read_reply(scripted)
        case Call():
            return Reply(calls=(scripted,), finish_reason="tool_calls")
        case _:
            return scripted


def _can_become_turn(reply: Reply, turn: Message) -> bool:
    """Whether the turn may be what became of this reply: its first call, or all of its calls made one."""
    if not turn.calls or not reply.calls:
        return bool(turn.calls) == bool(reply.calls)
    first, made = reply.calls[0], turn.calls[0]
    return first.tool == made.tool and (first.arguments == made.arguments or len(reply.calls) > 1)


def _to_verdict_reply(verdict: OneVerdict | SheetVerdicts) -> Reply:
    return Reply(calls=(Call(verdict.name, verdict.model_dump_json()),), finish_reason="tool_calls")


def _build_opinion(probability: float) -> dict[str, object]:
    return {"reason": "as scripted", "accept": probability >= 0.5, "probability": probability}
