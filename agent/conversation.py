"""What a person has with the agent: turns about a picture, each an episode that starts from what was there before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from agent import by_hand
from agent.budget import DEFAULT_BUDGET, Budget
from agent.by_hand import ConversationError
from agent.episode import NOTHING_BEFORE, STOPPED, Before, Episode, Outcome, Said, Task, Workspace
from agent.loop import run, watch
from agent.planner import Planner
from agent.scripted import Line
from agent.tools import TOOLS, Tool
from agent.tools.words import listed
from sam3_tool import Instances, Picture, Sam3, ScriptedBackend
from sam3_tool.prompt import Box
from sam3_tool.rle import areas, decode_all

__all__ = ["Conversation", "ConversationError", "Event", "Shown", "after", "before"]

ABOVE = "keep what scores above"
"""How the words of such an edit begin: of several in a row, the last one counts alone."""


@dataclass(frozen=True, eq=False)
class Shown:
    """From here on, the conversation is about this picture."""

    picture: Picture
    name: str = ""
    """Of its file, without folders."""


Event = Shown | Episode


@dataclass(frozen=True, eq=False)
class Conversation:
    """Pictures shown and turns taken, in order, and how many of them count: the rest was undone.

    A value: whatever is done gives another conversation. Numbers of masks go on counting while the picture is the same.

        conversation = Conversation.start(Picture.open("table.jpg"))
        conversation = conversation.say("all the cups", planner, sam3)
        conversation = conversation.say("only the red ones", planner, sam3).remove([3])
        conversation.undo().selected
    """

    events: tuple[Event, ...]
    """The first one is a picture."""
    cursor: int
    """How many events count; at least 1."""

    def __post_init__(self) -> None:
        if not self.events or not isinstance(self.events[0], Shown):
            raise ValueError("a conversation begins with a picture")
        if not 1 <= self.cursor <= len(self.events):
            raise ValueError(f"of {len(self.events)} events between 1 and all can count, not {self.cursor}")

    @classmethod
    def start(cls, picture: Picture, name: str = "") -> "Conversation":
        """`name`: of the picture's file."""
        return cls((Shown(picture, Path(name).name),), 1)

    @classmethod
    def open(cls, path: str | Path, *, most_pixels: int | None = None) -> "Conversation":
        """A saved one. Raises TranscriptError for a file that is missing, foreign or damaged.

        `most_pixels`: how many all its pictures may have together; more are refused before they are decoded.
        """
        from agent.conversation_file import load

        return load(path, most_pixels=most_pixels)

    def save(self, path: str | Path) -> None:
        """Writes one JSON file with the pictures in it, whole or not at all. Raises OSError."""
        from agent.conversation_file import save

        save(self, path)

    # what it has come to

    @property
    def _shown(self) -> Shown:
        return next(event for event in reversed(self.events[: self.cursor]) if isinstance(event, Shown))

    @property
    def picture(self) -> Picture:
        """The one that is talked about now."""
        return self._shown.picture

    @property
    def name(self) -> str:
        """Of the picture's file; may be empty."""
        return self._shown.name

    @property
    def turns(self) -> tuple[Episode, ...]:
        """Those that count, about all pictures, oldest first."""
        return tuple(event for event in self.events[: self.cursor] if isinstance(event, Episode))

    @property
    def last(self) -> Episode | None:
        """The latest turn, where one was taken about this picture."""
        event = self.events[self.cursor - 1]
        return event if isinstance(event, Episode) else None

    @cached_property
    def before(self) -> Before:
        """What the next query goes on with."""
        return before(self.events[: self.cursor])

    @property
    def workspace(self) -> Workspace:
        """Every mask found in this picture, by number."""
        return self.before.workspace or Workspace(self.picture.height, self.picture.width)

    @property
    def selected(self) -> tuple[int, ...]:
        """The numbers of the current answer's masks."""
        return self.before.selected

    @property
    def answer(self) -> Instances:
        """The masks of the current answer."""
        return self.workspace.instances(self.selected)

    @property
    def visible(self) -> tuple[int, ...]:
        """The numbers of the masks to draw: while it asks, those in question; else the answer's."""
        return (self.outcome == "asked" and self.last is not None and self.last.shown) or self.selected

    @property
    def outcome(self) -> Outcome | None:
        """Of the latest turn."""
        return self.last.outcome if self.last else None

    @property
    def options(self) -> tuple[str, ...]:
        """The readings between which the user may choose, where the latest turn asked."""
        return self.last.steps[-1].observation.options if self.last and self.last.steps else ()

    @property
    def message(self) -> str:
        """What the latest turn said, and which earlier answer stays where it brought none."""
        if self.last is None:
            return ""
        ended = self.outcome in ("answered", "asked") or self.last.task.by_hand
        kept = () if ended else self.last.task.before.selected
        return f"{self.last.message} The answer before it stays: {listed(kept)}." if kept else self.last.message

    @property
    def reasons(self) -> dict[int, str]:
        """Why masks belong to the answer, as the latest turn that said so put it."""
        here = self.events[self.events.index(self._shown) : self.cursor]
        return {id: why for turn in here if isinstance(turn, Episode) for id, why in turn.reasons.items()}

    def at(self, x: float, y: float, *, of: Sequence[int] | None = None) -> int | None:
        """The number of the smallest mask of the answer at this pixel; None where there is none.

        `of`: the numbers to look among instead.
        """
        self._check_inside(x, y)
        ids = self.selected if of is None else tuple(of)
        pixels = decode_all(self.workspace.rles(ids), self.picture.height, self.picture.width)[:, int(y), int(x)]
        hit = [id for id, covered in zip(ids, pixels.tolist(), strict=True) if covered]
        return min(hit, key=lambda id: areas(self.workspace.rles([id]))[0], default=None)

    # saying something

    def task(self, query: str) -> Task:
        """What a planner is asked when the user says this now."""
        return Task(self.picture, query, self.before)

    def say(
        self,
        query: str,
        planner: Planner,
        sam3: Sam3,
        *,
        tools: Sequence[type[Tool]] = TOOLS,
        budget: Budget = DEFAULT_BUDGET,
    ) -> "Conversation":
        """With the turn that answers `query`; 'undo' and 'redo' are done at once, see `obey`.

        Only what is answered changes the selection: after 'nothing matches', after a question back, and after a turn
        that was stopped, the answer before it stays. What was undone is forgotten. Raises PlannerError where the
        planner cannot even begin, ConversationError where there is nothing to undo or redo.
        """
        done = self.obey(query)
        return done or self.append(run(self.task(query), planner, sam3, tools=tools, budget=budget))

    def watch(
        self,
        query: str,
        planner: Planner,
        sam3: Sam3,
        *,
        tools: Sequence[type[Tool]] = TOOLS,
        budget: Budget = DEFAULT_BUDGET,
    ) -> Iterator[Episode]:
        """The turn's episode after each step, for callers that show progress. `append` takes the last one."""
        return watch(self.task(query), planner, sam3, tools=tools, budget=budget)

    def obey(self, query: str) -> "Conversation | None":
        """What comes of a query that asks for nothing but to go back or forth: 'undo', 'redo'; None for any other.

        Raises ConversationError where there is nothing to undo or redo.
        """
        from agent.followup_words import command  # loads the parser of queries

        match command(query):
            case "undo":
                return self.undo()
            case "redo":
                return self.redo()
        return None

    def append(self, episode: Episode) -> "Conversation":
        """With a finished turn that began where this conversation stands. Raises ValueError for any other episode."""
        if episode.outcome is None:
            raise ValueError(f"the turn has no outcome yet, after {len(episode.steps)} steps")
        if episode.task.picture.key != self.picture.key or episode.task.before != self.before:
            raise ValueError("the turn began elsewhere; make its task with `task`")
        return self._then(episode)

    def show(self, picture: Picture, name: str = "") -> "Conversation":
        """About another picture from here on: masks are counted from 1 again, what was said is kept."""
        return self._then(Shown(picture, Path(name).name))

    def _then(self, event: Event) -> "Conversation":
        return Conversation((*self.events[: self.cursor], event), self.cursor + 1)

    # going back and forth

    @property
    def can_undo(self) -> bool:
        return self.cursor > 1

    @property
    def can_redo(self) -> bool:
        return self.cursor < len(self.events)

    def undo(self) -> "Conversation":
        """As it was before the latest turn, or before the latest picture. Raises ConversationError at the beginning."""
        if not self.can_undo:
            raise ConversationError("there is nothing to undo")
        return replace(self, cursor=self.cursor - 1)

    def redo(self) -> "Conversation":
        """With what was undone last. Raises ConversationError where nothing was."""
        if not self.can_redo:
            raise ConversationError("there is nothing to redo")
        return replace(self, cursor=self.cursor + 1)

    # edits by hand: turns too, over the same tools

    def edit(self, decisions: Sequence[Line], sam3: Sam3, said: str = "") -> "Conversation":
        """With a turn made by hand: these calls, and then an answer with the masks that they end at.

        `said`: what was done, in words. Raises ConversationError with a tool's sentence where it refuses a call; the
        conversation is then as it was.
        """
        task = replace(self.task(said or "(edited by hand)"), by_hand=True)
        person = by_hand.ByHand([*decisions, by_hand.as_answer])
        return self.append(run(task, person, sam3, budget=Budget(max_steps=len(decisions) + 2)))

    def select(self, ids: Sequence[int], said: str = "") -> "Conversation":
        """With these masks, and no others, as the answer. Raises ConversationError for one that there is not."""
        self._check_known(ids)
        wanted = tuple(dict.fromkeys(ids))
        nobody = Sam3(ScriptedBackend({}))  # to choose among known masks is to ask nothing
        return self.edit([partial(by_hand.select, wanted)], nobody, said or f"select {listed(wanted)}")

    def remove(self, ids: Sequence[int]) -> "Conversation":
        """Without these masks in the answer. Raises ConversationError for one that is not in it."""
        self._check_selected(ids)
        return self.select([id for id in self.selected if id not in ids], f"remove {listed(dict.fromkeys(ids))}")

    def keep(self, ids: Sequence[int]) -> "Conversation":
        """With only these of the answer's masks. Raises ConversationError for one that is not in it."""
        self._check_selected(ids)
        return self.select([id for id in self.selected if id in ids], f"keep only {listed(dict.fromkeys(ids))}")

    def restore(self, ids: Sequence[int]) -> "Conversation":
        """With these known masks in the answer as well. Raises ConversationError for one that there is not."""
        return self.select([*self.selected, *ids], f"add {listed(dict.fromkeys(ids))}")

    def above(self, threshold: float) -> "Conversation":
        """With those of the answer's masks that score above `threshold`, in [0, 1); no network is asked.

        Straight after another threshold it takes that one's place, so that a slider can be moved back and forth; at 0
        there is none, and no turn.
        """
        if not 0 <= threshold < 1:
            raise ConversationError(f"a threshold is at least 0 and below 1, not {threshold:g}")
        moved = self.last is not None and self.last.task.by_hand and self.last.task.query.startswith(ABOVE)
        start = self.undo() if moved else self
        if threshold == 0:
            return start
        ids = [candidate.id for candidate in start.workspace.pick(start.selected) if candidate.score > threshold]
        return start.select(ids, f"{ABOVE} {threshold:g}")

    def click(self, x: float, y: float, sam3: Sam3, *, positive: bool = True, id: int | None = None) -> "Conversation":
        """With a mask corrected at this pixel: one more object, or mask `id` with it; negative, a mask without it.

        Without `id` it is the smallest mask of the answer there, if there is one. A corrected mask takes the place of
        the one it corrects, which keeps its number outside the answer. Raises ConversationError for a click beside the
        picture, where nothing is found, and for a negative click where there is no mask.
        """
        id = self.at(x, y) if id is None else id
        if id is None and not positive:
            raise ConversationError(f"there is no mask at {x:g}, {y:g} to take anything from")
        self._check_known([] if id is None else [id])
        return self.edit(
            [by_hand.refine(x, y, positive, id), partial(by_hand.refined, id)],
            sam3,
            by_hand.click_said(x, y, positive, id),
        )

    def box(self, x0: float, y0: float, x1: float, y1: float, sam3: Sam3, *, positive: bool = True) -> "Conversation":
        """With all that looks like what is in this box; negative, without what of the answer looks like it, or is it.

        Pixels, in any order of the corners. Raises ConversationError for a box without a pixel in the picture, and for
        a negative one while there is no answer.
        """
        box = self._inside((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
        where = f"what looks like the box {', '.join(f'{edge:g}' for edge in box)}"
        if positive:
            return self.edit([by_hand.like(box), by_hand.and_before], sam3, f"add {where}")
        if not self.selected:
            raise ConversationError("there is no answer yet to take anything from")
        calls = (by_hand.like(box), by_hand.but_not_these, partial(by_hand.without_boxed, box))
        return self.edit(calls, sam3, f"leave out {where}")

    def _inside(self, box: Box) -> Box:
        """The part of the box that lies in the picture. Raises ConversationError where that is none."""
        edges = np.clip(box, 0, [self.picture.width, self.picture.height] * 2).tolist()
        x0, y0, x1, y1 = edges
        if not (np.isfinite(box).all() and x0 < x1 and y0 < y1):
            raise ConversationError(f"the box {', '.join(f'{edge:g}' for edge in box)} holds nothing of the picture")
        return x0, y0, x1, y1

    def _check_inside(self, x: float, y: float) -> None:
        width, height = self.picture.width, self.picture.height
        if not (0 <= x < width and 0 <= y < height):
            raise ConversationError(f"{x:g}, {y:g} lies outside the picture, which has {width} x {height} pixels")

    def _check_known(self, ids: Sequence[int]) -> None:
        if unknown := [id for id in dict.fromkeys(ids) if id not in self.workspace]:
            known = listed(range(1, len(self.workspace) + 1))
            raise ConversationError(f"there is no mask {listed(unknown, 'or')}; the known ones are {known}")

    def _check_selected(self, ids: Sequence[int]) -> None:
        if unknown := [id for id in dict.fromkeys(ids) if id not in self.selected]:
            has = f"which has {listed(self.selected)}" if self.selected else "which has no masks"
            raise ConversationError(f"mask {listed(unknown, 'or')} is not in the answer, {has}")


def before(events: Sequence[Event]) -> Before:
    """What these events have come to."""
    latest = next((event for event in reversed(events) if isinstance(event, Episode)), None)
    if latest is None:
        return NOTHING_BEFORE
    come_to = after(latest)
    if latest is events[-1]:
        return come_to
    return Before(turns=tuple(replace(turn, elsewhere=True) for turn in come_to.turns))


def after(episode: Episode) -> Before:
    """What a finished turn has come to."""
    task, outcome = episode.task, episode.outcome or "failed"
    options = episode.steps[-1].observation.options if episode.steps else ()
    shown = _selected(episode) if outcome == "no_match" else episode.shown
    said = Said(task.query, outcome, episode.message, shown, options, task.by_hand)
    return Before(episode.workspace, _selected(episode), (*task.before.turns, said))


def _selected(episode: Episode) -> tuple[int, ...]:
    """The answer where there is one; else what was there before; else the best that a stopped turn had come to."""
    if episode.outcome == "answered" or episode.task.by_hand:
        return episode.shown
    stopped = episode.outcome in STOPPED
    return episode.task.before.selected or (episode.shown if stopped else ())
