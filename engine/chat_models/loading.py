"""The language models of a run: loaded by name with the options of the command line and of the environment."""

from collections.abc import Mapping
from typing import Any

from agent.cli.options.model_options import MODEL_OPTIONS, parse_model_options
from agent.models.base import ChatModel
from agent.planners.loading import load_model

SERVED = "openai:"
"""Of models behind a server, which take options of requests."""
CHAT_KINDS = ("openai", "vllm", "transformers")
"""Kinds of language models that come with the program."""


def load_chat_model(name: str, options: Mapping[str, Any]) -> ChatModel:
    """Load a language model.

    Args:
        name: 'openai:MODEL', 'vllm:MODEL' or 'transformers:MODEL'.
        options: Of the run; `base_url` is the server's address, where it is not that of OPENAI_BASE_URL.

    Raises:
        UserError: There is no such model or server, or an option cannot be used.
    """
    if not name.startswith(SERVED):
        return load_model(name)
    chosen = parse_model_options({}, MODEL_OPTIONS.values())
    address = {"base_url": options["base_url"]} if options.get("base_url") else {}
    return load_model(name, **chosen, **address)
