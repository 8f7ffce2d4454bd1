"""A chat model: it calls the tools in a fixed order, so that a chat planner can be tried without any weights."""

import json
from collections.abc import Sequence

from agent.models import Call, Capabilities, ChatModel, Message, Reply, Schema


class FixedOrderModel:
    """Searches for its phrase, then answers with the first mask."""

    capabilities = Capabilities(wire="native")

    def __init__(self, phrase: str) -> None:
        self.name = f"mine-chat:{phrase}"
        self._phrase = phrase

    def generate_replies(self, conversations: Sequence[Sequence[Message]], tools: Sequence[Schema]) -> list[Reply]:
        return [self._reply(conversation) for conversation in conversations]

    def _reply(self, conversation: Sequence[Message]) -> Reply:
        if any(message.calls for message in conversation):
            return Reply(calls=(Call("answer", json.dumps({"ids": [1]})),))
        return Reply(calls=(Call("segment", json.dumps({"phrases": [self._phrase]})),))


def load(name: str) -> ChatModel:
    """Make the model that `mine-chat:NAME` names."""
    return FixedOrderModel(name)
