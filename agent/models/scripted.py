"""A chat model that follows a script: for tests and demonstrations of everything around a language model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.episode import Usage
from agent.models import Call, Capabilities, Message, Messages, Reply, Schema
from agent.models.tokens import estimate_tokens, text_tokens
from agent.models.tool_text import read_reply
from agent.tools.words import counted
from agent.verdicts import OneVerdict, SheetVerdicts
from sam3_tool import Picture

VERDICTS = {OneVerdict.name, SheetVerdicts.name}
NATIVE = Capabilities(wire="native")


class ScriptedModel:
    """Gives these replies one after the other, whatever it is shown; its token counts are estimates.

    Which reply is next follows from the conversation alone, so it may serve any number of threads and episodes: as many
    are done as it has turns of its own; where turns were left out, the script goes on after the first place where it
    has just those turns that are left.
    """

    def __init__(
        self,
        replies: Sequence[str | Call | Reply],
        *,
        verdicts: Mapping[int, float] | None = None,
        capabilities: Capabilities = NATIVE,
        name: str = "scripted",
    ) -> None:
        """`replies`: what it writes (a text may hold calls), calls, or anything that a model can reply.

        `verdicts`: in an examination, the probability of the mask with this number; 1 for any other.
        """
        self.name = name
        self.capabilities = capabilities
        self.replies = [_reply(reply) for reply in replies]
        self.verdicts = dict(verdicts or {})

    def reply(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """See `ChatModel`. Where the script has ended, an error says so."""
        return [self._costed(self._next(talk, tools), talk, tools) for talk in conversations]

    def _next(self, talk: Messages, tools: Sequence[Schema]) -> Reply:
        offered = {tool["function"]["name"] for tool in tools}
        if offered <= VERDICTS:
            return self._verdicts(talk, on_a_sheet=SheetVerdicts.name in offered)
        done = self._done([turn for turn in talk if turn.role == "assistant"])
        if done >= len(self.replies):
            end = f"the script ended after {counted(len(self.replies), 'reply')}, before the episode did"
            return Reply(error=end.replace("replys", "replies"), recoverable=False)
        return self.replies[done]

    def _done(self, turns: Sequence[Message]) -> int:
        """How many replies were given, to judge by those turns that are left."""
        if len(turns) == 0:
            return 0
        places = range(len(turns), len(self.replies) + 1)
        return next((done for done in places if self._led_to(turns, done)), len(turns))

    def _led_to(self, turns: Sequence[Message], done: int) -> bool:
        """Whether the last replies of the first `done` may have become these turns."""
        replies = self.replies[done - len(turns) : done]
        return all(_is_turn(reply, turn) for reply, turn in zip(replies, turns, strict=True))

    def _verdicts(self, talk: Messages, *, on_a_sheet: bool) -> Reply:
        texts = [part for turn in talk for part in turn.content if isinstance(part, str)]
        listed = [found[1] for text in texts for found in re.finditer(r"Numbers?: (\d+(?:, \d+)*)", text)]
        said = [(int(number), self.verdicts.get(int(number), 1.0)) for number in listed[-1].split(", ")]
        if not on_a_sheet:
            [(_, probability)] = said
            return _called(OneVerdict.model_validate(_opinion(probability)))
        return _called(SheetVerdicts.model_validate({"verdicts": [{"number": n, **_opinion(p)} for n, p in said]}))

    def _costed(self, reply: Reply, talk: Messages, tools: Sequence[Schema]) -> Reply:
        if reply.error or reply.usage != Usage():
            return reply
        written = (reply.text, reply.reasoning, *(text for call in reply.calls for text in (call.tool, call.arguments)))
        images = sum(isinstance(part, Picture) for turn in talk for part in turn.content)
        prompt, completion = estimate_tokens(talk, tools), sum(map(text_tokens, written))
        return replace(reply, usage=Usage(1, prompt, 0, completion, images))


def _reply(scripted: str | Call | Reply) -> Reply:
    match scripted:
        case str():
            return read_reply(scripted)
        case Call():
            return Reply(calls=(scripted,), finish_reason="tool_calls")
        case _:
            return scripted


def _is_turn(reply: Reply, turn: Message) -> bool:
    """Whether the turn may be what became of this reply: its first call, or all of its calls made one."""
    if not turn.calls or not reply.calls:
        return bool(turn.calls) == bool(reply.calls)
    first, made = reply.calls[0], turn.calls[0]
    return first.tool == made.tool and (first.arguments == made.arguments or len(reply.calls) > 1)


def _called(verdict: OneVerdict | SheetVerdicts) -> Reply:
    return Reply(calls=(Call(verdict.name, verdict.model_dump_json()),), finish_reason="tool_calls")


def _opinion(probability: float) -> dict[str, object]:
    return {"reason": "as scripted", "accept": probability >= 0.5, "probability": probability}
