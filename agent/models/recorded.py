"""A chat model's replies, written down and read back: a replay needs no model, no server and no key.

The folder of a recording holds `planner.json` (what made it), `model/` (the replies) and `sam3/` (what SAM 3 found).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

import prompts
from agent.episode import Usage
from agent.models import Call, Capabilities, ChatModel, Message, Messages, Reply, Schema
from agent.planner import PlannerError
from agent.transcript import MadeBy, first_fault
from sam3_tool.files import write_whole
from sam3_tool.recording import Asked, Recorded, Recorder, RecordingError, Remembered

HEADER, FOLDER = "planner.json", "model"
"""Inside the folder of a recording: what made it, and the folder of the model's calls."""

FORMAT: Final = "sam3-agent recording"
VERSION: Final = 1


class RecordedPlanner(BaseModel):
    """What made a recording: enough to make the same planner again, with `ReplayingModel` in the model's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sam3-agent recording"] = FORMAT
    version: Literal[1] = VERSION
    made_by: MadeBy
    """The planner, its protocol, view and budget, the model's name, the hashes of the prompts, SAM 3's name."""
    capabilities: Capabilities = Capabilities()
    """Of the model; without one, the default."""
    settings: dict[str, JsonValue] = {}
    """What a planner without a model was loaded with beside its protocol, e.g. the grammar's threshold."""

    def save(self, folder: str | Path) -> None:
        """Writes `planner.json`. Raises PlannerError if that is impossible."""
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            write_whole(Path(folder) / HEADER, (self.model_dump_json(indent=1) + "\n").encode("utf-8", "replace"))
        except OSError as error:
            raise PlannerError(f"cannot record into {folder}: {error.strerror or error}") from error

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Raises PlannerError, with one sentence, for a folder without a recording, or one of another version."""
        path = Path(folder) / HEADER
        try:
            held = json.loads(path.read_bytes())
        except OSError as error:
            raise PlannerError(f"{folder} holds no recording: cannot read {HEADER} ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise PlannerError(f"{path} is damaged or cut off") from error
        if not isinstance(held, dict) or held.get("format") != FORMAT:
            raise PlannerError(f"{path} does not belong to a recording: it does not say format {FORMAT!r}")
        if held.get("version") != VERSION:
            raise PlannerError(f"{path} has version {held.get('version')!r} of recordings; expected {VERSION}")
        try:
            return cls.model_validate(held)
        except ValidationError as error:
            raise PlannerError(f"{path} is damaged: {first_fault(error)}") from error


class RecordingModel:
    """Asks another model, and writes its replies into `folder`. As safe between threads as that model.

    Nothing but conversations, tools and replies is written: keys are in none of them.
    """

    def __init__(self, model: ChatModel, folder: str | Path) -> None:
        """Raises PlannerError if it cannot write."""
        self.name, self.capabilities = model.name, model.capabilities
        self._model = model
        with _for_planners():
            self._recorder = Recorder(Path(folder) / FOLDER)

    def reply(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """The model's replies. Raises PlannerError if they cannot be written, as on a full disk."""
        replies = self._model.reply(conversations, tools)
        how = _how(self.name, self.capabilities, {})
        with _for_planners():
            for conversation, reply in zip(conversations, replies, strict=True):
                self._recorder.add(_asked(conversation, tools, how), asdict(reply))
        return replies


class ReplayingModel:
    """Replies as was recorded in `folder`, byte for byte. Safe to share between threads.

    Costs are those of the recording, so that reports and budgets agree with it; that nothing was paid again is said by
    the planner's name in an episode's header, 'replay:…'. What was not recorded is a reply with an `error`.
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises PlannerError if there is no recording, or one that this program cannot read."""
        self.header = RecordedPlanner.load(folder)
        self._recorded = Recorded(Path(folder) / FOLDER)

    @property
    def name(self) -> str:
        return self.header.made_by.model

    @property
    def capabilities(self) -> Capabilities:
        return self.header.capabilities

    def reply(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        how = _how(self.name, self.capabilities, {})
        return [self._reply(_asked(conversation, tools, how)) for conversation in conversations]

    def _reply(self, asked: Asked) -> Reply:
        try:
            return _from_json(self._recorded.answer(asked))
        except RecordingError as error:
            return Reply(error=f"{error}{self._changed()}", recoverable=False)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return Reply(error=f"a recorded reply is damaged: {error}", recoverable=False)

    def _changed(self) -> str:
        """Why a question may be another than it was, where that is known."""
        before, now = self.header.made_by.prompts, prompts.hashes()
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        return f"; since it was made, these prompts have changed: {', '.join(changed)}" if before and changed else ""


class CachingModel:
    """Asks another model only what nobody has asked it before. As safe between threads as that model.

    A reply that is known costs what it did cost the first time, so that budgets and reports are the same either way.
    Errors are not kept.
    """

    def __init__(self, model: ChatModel, folder: str | Path, *, settings: Mapping[str, JsonValue]) -> None:
        """`settings`: how the model generates. Raises PlannerError if the folder cannot be made."""
        self.name, self.capabilities = model.name, model.capabilities
        self.generation = dict(settings)
        self._model = model
        with _for_planners():
            self._remembered = Remembered(Path(folder) / FOLDER)

    def reply(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Raises PlannerError if a reply cannot be written, as on a full disk."""
        how = _how(self.name, self.capabilities, self.generation)
        asked = [_asked(conversation, tools, how) for conversation in conversations]
        known = [self._known(one) for one in asked]
        missing = [place for place, reply in enumerate(known) if reply is None]
        fresh = self._model.reply([conversations[place] for place in missing], tools) if missing else []
        for place, reply in zip(missing, fresh, strict=True):
            self._keep(asked[place], reply)
        rest = iter(fresh)
        return [next(rest) if reply is None else reply for reply in known]

    def _known(self, asked: Asked) -> Reply | None:
        try:
            held = self._remembered.get(asked)
            return None if held is None else _from_json(held)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _keep(self, asked: Asked, reply: Reply) -> None:
        if not reply.error:
            with _for_planners():
                self._remembered.put(asked, asdict(reply))


@contextmanager
def _for_planners() -> Iterator[None]:
    """What cannot be written is a PlannerError."""
    try:
        yield
    except RecordingError as error:
        raise PlannerError(str(error)) from error


def repeats_itself(generation: Mapping[str, Any]) -> bool:
    """Whether the same question gets the same reply, as far as a model's settings can tell.

    >>> repeats_itself({"temperature": 0.0}), repeats_itself({"temperature": 0.7, "seed": 1}), repeats_itself({})
    (True, True, False)
    """
    return generation.get("temperature") == 0 or generation.get("seed") is not None


def _how(name: str, capabilities: Capabilities, settings: Mapping[str, JsonValue]) -> Asked:
    """What a question's content hash holds of the model; its `settings` in a cache, where many runs meet, alone."""
    return {"model": name, "capabilities": asdict(capabilities), "settings": dict(settings)}


def _asked(conversation: Messages, tools: Sequence[Schema], how: Asked) -> Asked:
    """One question, as plain JSON values."""
    return {**how, "tools": list(tools), "conversation": [_said(message) for message in conversation]}


def _said(message: Message) -> Asked:
    parts = [part if isinstance(part, str) else {"picture": part.key} for part in message.content]
    return {"role": message.role, "content": parts, "calls": [asdict(call) for call in message.calls]}


def _from_json(held: Mapping[str, Any]) -> Reply:
    """What `asdict` made of a reply. Raises KeyError or TypeError where it is damaged."""
    calls = tuple(Call(**call) for call in held["calls"])
    return Reply(**{**held, "calls": calls, "usage": Usage(**held["usage"])})
