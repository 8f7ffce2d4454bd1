"""Verifiers that ask a language model, or read back what one said, by the name that `--verifier` gives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.chat_models.loading import CHAT_KINDS, load_chat_model
from engine.verifiers.language_model.answer_log import AnswerLog
from engine.verifiers.language_model.mllm import MllmVerifier
from engine.verifiers.language_model.recorded import RecordedVerifier

ANSWERS_FILE = "answers.jsonl"
"""In the folder of an engine: every answer of a language model that verifies."""
RECORDED = "recorded"


def load_model_verifier(name: str, folder: Path, options: Mapping[str, Any]) -> MllmVerifier | RecordedVerifier | None:
    """Load a verifier that is a language model.

    Args:
        name: 'openai:MODEL', 'vllm:MODEL', 'transformers:MODEL', or 'recorded:FILE'.
        folder: Of the engine, where answers are written and looked up.
        options: Of the run, as for `load_chat_model`.

    Returns:
        The verifier; None for a name of another kind.

    Raises:
        UserError: There is no such model or file.

    >>> load_model_verifier("signals", Path("cups"), {}) is None
    True
    """
    kind, _, rest = name.partition(":")
    if kind == RECORDED:
        return RecordedVerifier(Path(rest))
    if kind not in CHAT_KINDS:
        return None
    return MllmVerifier(load_chat_model(name, options), answers=AnswerLog(folder / ANSWERS_FILE))
