"""A chat model's replies are written down and read back: a replay needs no model, no server and no key.

The folder of a recording holds `planner.json` (what made it), `model/` (the replies) and `sam3/` (what SAM 3 found).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

import prompts
from agent.core.errors import PlannerError
from agent.core.usage import Usage
from agent.models.base import Call, Capabilities, ChatModel, Message, Messages, Reply, Schema, TokenOdds
from agent.records.base import first_validation_error
from agent.records.provenance import Provenance
from sam3_tool.backends.recording.format import AnswerCache, Question, Recorder, RecordingReader
from sam3_tool.errors import RecordError
from sam3_tool.system.files import decode_json, write_atomically

log = logging.getLogger(__name__)

HEADER_FILE, MODEL_FOLDER = "planner.json", "model"
"""Inside the folder of a recording: what made it, and the folder of the model's calls."""

FORMAT: Final = "sam3-agent recording"
VERSION: Final = 1


class RecordingHeader(BaseModel):
    """What made a recording: enough to make the same planner again, with `ReplayingModel` in the model's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sam3-agent recording"] = FORMAT
    version: Literal[1] = VERSION
    made_by: Provenance
    """The planner, its toolset, view and budget, the model's name, the hashes of the prompts, SAM 3's name."""
    capabilities: Capabilities = Capabilities()
    """What the model can do; without a model, the default."""
    settings: dict[str, JsonValue] = {}
    """What a planner without a model was loaded with beside its toolset, e.g. the grammar's threshold."""

    def save(self, folder: str | Path) -> None:
        """Write `planner.json` into a folder, which is made if need be.

        Raises:
            PlannerError: The file cannot be written.
        """
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            write_atomically(
                Path(folder) / HEADER_FILE, (self.model_dump_json(indent=1) + "\n").encode("utf-8", "replace")
            )
        except OSError as error:
            raise PlannerError(f"cannot record into {folder}: {error.strerror or error}") from error

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the header of a recording.

        Raises:
            PlannerError: The folder holds no recording, a damaged one, or one of another version.
        """
        path = Path(folder) / HEADER_FILE
        try:
            header = decode_json(path.read_bytes())
        except OSError as error:
            raise PlannerError(f"{folder} holds no recording: cannot read {HEADER_FILE} ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise PlannerError(f"{path} is damaged or cut off") from error
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise PlannerError(f"{path} does not belong to a recording: it does not say format {FORMAT!r}")
        if header.get("version") != VERSION:
            raise PlannerError(f"{path} has version {header.get('version')!r} of recordings; expected {VERSION}")
        try:
            return cls.model_validate(header)
        except ValidationError as error:
            raise PlannerError(f"{path} is damaged: {first_validation_error(error)}") from error


class RecordingModel:
    """A ChatModel that asks another one and writes its replies into a folder. It is as thread-safe as that one.

    Only conversations, tools and replies are written; keys are in none of them.

    Args:
        model: The model that is asked.
        folder: The folder of the recording.

    Raises:
        PlannerError: The folder cannot be written.
    """

    def __init__(self, model: ChatModel, folder: str | Path) -> None:
        self.name, self.capabilities = model.name, model.capabilities
        self._model = model
        with _raise_planner_errors():
            self._recorder = Recorder(Path(folder) / MODEL_FOLDER)

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Ask the model, and write its replies down.

        Raises:
            PlannerError: The replies cannot be written, for instance because the disk is full.
        """
        replies = self._model.generate_replies(conversations, tools)
        model_facts = _describe_model(self.name, self.capabilities, {})
        with _raise_planner_errors():
            for conversation, reply in zip(conversations, replies, strict=True):
                self._recorder.add_answer(_build_question(conversation, tools, model_facts), _serialize_reply(reply))
        return replies


class ReplayingModel:
    """A ChatModel that replies as was recorded, byte for byte. It is safe to share between threads.

    Costs are those of the recording, so that reports and budgets agree with it. The planner's name in an episode's
    header, 'replay:…', says that nothing was paid again. What was not recorded gets a reply with an `error`.

    Args:
        folder: A folder that `RecordingModel` wrote.

    Raises:
        PlannerError: The folder holds no recording, or one that this program cannot read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.header = RecordingHeader.load(folder)
        self._recorded = RecordingReader(Path(folder) / MODEL_FOLDER)

    @property
    def name(self) -> str:
        return self.header.made_by.model

    @property
    def capabilities(self) -> Capabilities:
        return self.header.capabilities

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        model_facts = _describe_model(self.name, self.capabilities, {})
        return [self._replay_reply(_build_question(conversation, tools, model_facts)) for conversation in conversations]

    def _replay_reply(self, question: Question) -> Reply:
        try:
            return _parse_reply(self._recorded.read_answer(question))
        except RecordError as error:
            return Reply(error=f"{error}{self._describe_changed_prompts()}", recoverable=False)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return Reply(error=f"a recorded reply is damaged: {error}", recoverable=False)

    def _describe_changed_prompts(self) -> str:
        """Say which prompts have changed, where that may be why a question is not found."""
        before, now = self.header.made_by.prompts, prompts.hash_prompts()
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        return f"; since it was made, these prompts have changed: {', '.join(changed)}" if before and changed else ""


class CachingModel:
    """A ChatModel that asks another one only what nobody has asked it before. It is as thread-safe as that one.

    A known reply costs what it cost the first time, so that budgets and reports are the same either way. Errors are
    not kept.

    Args:
        model: The model that is asked.
        folder: The folder of the cache.
        settings: How the model generates, as plain JSON values. Other settings are other questions.

    Raises:
        PlannerError: The folder cannot be made.
    """

    def __init__(self, model: ChatModel, folder: str | Path, *, settings: Mapping[str, JsonValue]) -> None:
        self.name, self.capabilities = model.name, model.capabilities
        self.generation = dict(settings)
        self._model = model
        with _raise_planner_errors():
            self._remembered = AnswerCache(Path(folder) / MODEL_FOLDER)

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Return known replies, and ask the model for the others.

        Raises:
            PlannerError: A reply cannot be written, for instance because the disk is full.
        """
        model_facts = _describe_model(self.name, self.capabilities, self.generation)
        questions = [_build_question(conversation, tools, model_facts) for conversation in conversations]
        known = [self._find_reply(question) for question in questions]
        missing = [place for place, reply in enumerate(known) if reply is None]
        log.debug("%d of %d replies are known", len(known) - len(missing), len(known))
        fresh = self._model.generate_replies([conversations[place] for place in missing], tools) if missing else []
        for place, reply in zip(missing, fresh, strict=True):
            self._store_reply(questions[place], reply)
        rest = iter(fresh)
        return [next(rest) if reply is None else reply for reply in known]

    def _find_reply(self, question: Question) -> Reply | None:
        try:
            stored = self._remembered.get(question)
            return None if stored is None else _parse_reply(stored)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _store_reply(self, question: Question, reply: Reply) -> None:
        if not reply.error:
            with _raise_planner_errors():
                self._remembered.put(question, _serialize_reply(reply))


@contextmanager
def _raise_planner_errors() -> Iterator[None]:
    """Turn the errors of reading and writing into a PlannerError."""
    try:
        yield
    except RecordError as error:
        raise PlannerError(str(error)) from error


def is_deterministic(generation: Mapping[str, Any]) -> bool:
    """Whether a model's settings promise the same reply to the same question.

    >>> is_deterministic({"temperature": 0.0}), is_deterministic({"temperature": 0.7, "seed": 1}), is_deterministic({})
    (True, True, False)
    """
    return generation.get("temperature") == 0 or generation.get("seed") is not None


def _describe_model(name: str, capabilities: Capabilities, settings: Mapping[str, JsonValue]) -> Question:
    """Return what a question's content hash holds of the model. Only a cache, where many runs meet, has `settings`."""
    return {"model": name, "capabilities": asdict(capabilities), "settings": dict(settings)}


def _build_question(conversation: Messages, tools: Sequence[Schema], model_facts: Question) -> Question:
    """Build one question of plain JSON values."""
    return {
        **model_facts,
        "tools": list(tools),
        "conversation": [_serialize_message(message) for message in conversation],
    }


def _serialize_message(message: Message) -> Question:
    parts = [part if isinstance(part, str) else {"picture": part.key} for part in message.content]
    return {"role": message.role, "content": parts, "calls": [_serialize_call(call) for call in message.calls]}


def _serialize_reply(reply: Reply) -> dict[str, Any]:
    # a language model's reply never costs requests to SAM 3, which are younger than the format
    usage = {name: cost for name, cost in asdict(reply.usage).items() if name not in ("sam_requests", "sam_tokens")}
    stored = asdict(reply) | {"calls": [_serialize_call(call) for call in reply.calls], "usage": usage}
    return {name: value for name, value in stored.items() if name != "tokens" or value}  # most are never asked for


def _serialize_call(call: Call) -> dict[str, str]:
    """Leave out what no server wrote with the call: most write nothing."""
    return {name: value for name, value in asdict(call).items() if name != "extra" or value}


def _parse_reply(stored: Mapping[str, Any]) -> Reply:
    """Read back what `asdict` made of a reply. Raise KeyError or TypeError where it is damaged."""
    calls = tuple(Call(**call) for call in stored["calls"])
    tokens = tuple(TokenOdds(**token) for token in stored.get("tokens", ()))
    return Reply(**{**stored, "calls": calls, "usage": Usage(**stored["usage"]), "tokens": tokens})
