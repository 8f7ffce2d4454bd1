"""The default tools: every mask ever found keeps its number, and sets of numbers can be compared and combined."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.episode import Episode, Observation, Search, Usage, Workspace
from agent.planner import Planner
from agent.tools.base import Ids, Number, Phrases, Tool, ToolError, forgiving_word
from agent.tools.calls import parse_call
from agent.tools.endings import ending
from agent.tools.finding import distinct, in_words, without_empty
from agent.tools.relations import SAME_OBJECT, Measure, Place, Relation
from agent.tools.window import Window
from agent.tools.words import counted, listed, masks
from sam3_tool import ConceptPrompt, Instances, Sam3
from sam3_tool.backends.scripted import plain
from sam3_tool.boxes import around
from sam3_tool.prompt import Box
from sam3_tool.rle import decode, ious, merge

IN_WORDS = {"nearest": "nearest to", "farthest": "farthest from", "larger": "larger than", "smaller": "smaller than"}
"""Relations that do not read as they are spelled."""


class Segment(Tool):
    """Find and number every instance of each noun phrase; one call with many phrases is the fastest.

    Phrases are short and simple, such as 'red cup': no relations, no numbers, no negation.
    """

    name: ClassVar[str] = "segment"
    aliases: ClassVar = ("segment_phrase", "segment_phrases", "segment_concept", "find", "detect")
    field_aliases: ClassVar = {
        **dict.fromkeys(("phrase", "text_prompt", "text_prompts", "prompt", "prompts"), "phrases"),
        **dict.fromkeys(("box", "bbox", "crop"), "region"),
    }

    phrases: Phrases = Field(min_length=1, max_length=8, description="Up to 8 noun phrases.")
    region: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels: look only there, enlarged."
    )
    exemplars: Ids = Field(default=[], description="Numbers of masks that show what is meant.")
    negatives: Ids = Field(default=[], description="Numbers of masks that show what is not meant.")
    threshold: float = Field(default=0.5, ge=0, lt=1, description="Masks with a score above this are kept.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        before, picture = episode.workspace, episode.task.picture
        window = Window.of(picture, self.region)
        prompts = {plain(phrase): self._prompt(phrase, before, window) for phrase in self.phrases}
        known = self._known(episode)
        report = sam3.run([(window.view(picture), prompt) for key, prompt in prompts.items() if key not in known])
        found = [window.in_picture(without_empty(instances), picture) for instances in report.instances]
        workspace = before
        for instances in found:
            workspace = workspace.found(distinct(instances), origin=f"segment{self._how(window)}")
        fresh = {plain(search.phrase): search for search in workspace.searches[len(before.searches) :]}
        searches = [(known | fresh)[key] for key in prompts]
        words = [in_words(search, workspace, again=search not in fresh.values()) for search in searches]
        repeats = sum(map(len, found)) - (len(workspace) - len(before))
        return Observation(
            text=self._text(words, repeats, window),
            workspace=workspace if fresh else None,
            shown=tuple(id for search in searches for id in search.ids),
            usage=Usage(sam_encodes=report.encodes, sam_decodes=report.decodes),
        )

    def _prompt(self, phrase: str, workspace: Workspace, window: Window) -> ConceptPrompt:
        boxes = [_box(id, workspace, window) for id in (*self.exemplars, *self.negatives)]
        labels = (1,) * len(self.exemplars) + (0,) * len(self.negatives)
        return ConceptPrompt(phrase, tuple(boxes), labels, self.threshold)

    def _known(self, episode: Episode) -> dict[str, Search]:
        """What earlier calls with the same arguments found, by the normal form of the phrase."""
        return {
            plain(search.phrase): search
            for call, search in _earlier_searches(episode)
            if call.model_copy(update={"phrases": self.phrases}) == self
        }

    def _how(self, window: Window) -> str:
        """What was special about the question, e.g. ' in 10,20,200,220 like 3'."""
        where = "" if self.region is None else f" in {window.x0},{window.y0},{window.x1},{window.y1}"
        like = f" like {listed(self.exemplars)}" if self.exemplars else ""
        return where + like + (f" unlike {listed(self.negatives)}" if self.negatives else "")

    def _text(self, found: list[str], repeats: int, window: Window) -> str:
        left_out = [f"{counted(repeats, 'near duplicate')} left out"] if repeats else []
        how = [f"looked{self._how(window)}"] if self._how(window) else []
        return f"Found {'; '.join(found + left_out + how)}."


class Relate(Tool):
    """Keep those masks that stand in a relation to at least one of others, by their geometry."""

    name: ClassVar[str] = "relate"
    aliases: ClassVar = ("relation", "filter_by_relation")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    relation: Annotated[Relation, forgiving_word] = Field(description="How they must stand to the others.")
    to: Ids = Field(description="Numbers of the others.")
    other: Ids = Field(default=[], description="For `between` only: between one of `to` and one of these.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import related  # loads OpenCV

        if self.other and self.relation != "between":
            raise ToolError(f"`other` is for the relation 'between' only, not {self.relation!r}; leave it out.")
        workspace = episode.workspace
        ids, to, other = (known_ids(group, workspace) for group in (self.ids, self.to, self.other))
        holds = related(self.relation, *(workspace.instances(group).masks for group in (ids, to, other)))
        return _kept(ids, holds, self._words(to, other))

    def _words(self, to: Sequence[int], other: Sequence[int]) -> str:
        relation = IN_WORDS.get(self.relation, self.relation.replace("_", " "))
        if not to:
            return f"{relation} anything, as `to` is empty"
        if self.relation != "between":
            return f"{relation} {listed(to, 'or')}"
        return f"between {listed(to, 'or')} and {listed(other, 'or')}" if other else f"between two of {listed(to)}"


class Locate(Tool):
    """Keep those masks that lie in a part of the picture."""

    name: ClassVar[str] = "locate"
    aliases: ClassVar = ("location", "filter_by_place")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    place: Annotated[Place, forgiving_word] = Field(description="A half, a quarter or the middle of the picture.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import located  # loads OpenCV

        ids = known_ids(self.ids, episode.workspace)
        holds = located(self.place, episode.workspace.instances(ids).masks)
        return _kept(ids, holds, f"in the {self.place.replace('_', ' ')} of the picture")


class Rank(Tool):
    """Sort masks and take some: the largest, the second from the left (by x, ascending, start 2), the three highest."""

    name: ClassVar[str] = "rank"
    aliases: ClassVar = ("sort", "order")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    by: Annotated[Measure, forgiving_word] = Field(
        description="What to sort by: area, centre (y grows downwards), score, gap to the nearest of `to`, or extent."
    )
    order: Annotated[Literal["ascending", "descending"], forgiving_word] = Field(
        description="ascending: the smallest, leftmost, topmost or nearest first."
    )
    start: Number = Field(default=1, ge=1, description="The first place to take, counting from 1.")
    take: Number = Field(default=1, ge=1, description="How many to take.")
    to: Ids = Field(default=[], description="For `distance` only: the masks to measure from.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import measure  # loads OpenCV

        if self.to and self.by != "distance":
            raise ToolError(f"`to` is for sorting by 'distance' only, not by {self.by!r}; leave it out.")
        workspace = episode.workspace
        ids, to = known_ids(self.ids, workspace), known_ids(self.to, workspace)
        found = workspace.instances(ids)
        values = measure(self.by, found.masks, found.scores, workspace.instances(to).masks)
        measured = np.isfinite(values)  # an object has no distance to itself
        ids, values = _where(ids, measured), values[measured]
        ranked = np.lexsort((np.array(ids), values if self.order == "ascending" else -values))
        taken = ranked[self.start - 1 : self.start - 1 + self.take]
        return Observation(self._text(ids, values, taken), shown=tuple(ids[index] for index in taken))

    def _text(self, ids: Sequence[int], values: np.ndarray, taken: np.ndarray) -> str:
        last = self.start + len(taken) - 1
        by = f"By {self.by}, {self.order}"
        if len(taken) == 0:
            nothing = "" if self.by != "distance" or self.to else ", as `to` is empty"
            return f"{by}, there is no place {self.start} among {masks(len(ids))}{nothing}."
        places = (
            f"place {last} of {len(ids)} is" if len(taken) == 1 else f"places {self.start} to {last} of {len(ids)} are"
        )
        return f"{by}, {places} {', '.join(f'{ids[index]} ({self._value(values[index])})' for index in taken)}."

    def _value(self, value: float) -> str:
        match self.by:
            case "score":
                return f"{value:.2f}"
            case "size":
                return f"{value:.0f} pixels"
            case _:
                return f"{value:.0f} px"


class Combine(Tool):
    """Put two sets of masks together as sets of objects, where masks that mostly coincide are one object.

    union: all of both; minus: those of a that b has not; intersect: those of a that b has too; merge: one mask with a
    number of its own out of all pixels, for an object that was found in parts.
    """

    name: ClassVar[str] = "combine"
    aliases: ClassVar = ("combine_masks", "set_operation")
    field_aliases: ClassVar = {"operation": "op", "operator": "op"}

    op: Annotated[Literal["union", "minus", "intersect", "merge"], forgiving_word] = Field(description="What to do.")
    a: Ids = Field(description="Numbers of masks.")
    b: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        workspace = episode.workspace
        a, b = known_ids(self.a, workspace), known_ids(self.b, workspace)
        if self.op == "merge":
            return merged(tuple(dict.fromkeys(a + b)), workspace)
        same = same_objects(a, b, workspace)
        match self.op:
            case "union":
                ids, what = a + _where(b, np.logical_not(same.any(axis=0))), "together"
            case "minus":
                ids, what = _where(a, np.logical_not(same.any(axis=1))), "the first without the second"
            case "intersect":
                ids, what = _where(a, np.asarray(same.any(axis=1))), "what both have"
        return Observation(f"Of {list(a)} and {list(b)}, {what}: {_counted(ids)}.", shown=ids)


class Count(Tool):
    """Say how many masks these are."""

    name: ClassVar[str] = "count"

    ids: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        ids = known_ids(self.ids, episode.workspace)
        return Observation(f"{_counted(ids)}.", shown=ids)


class Answer(Tool):
    """Finish: these masks are the answer."""

    name: ClassVar[str] = "answer"
    aliases: ClassVar = (
        *("final_answer", "select_masks", "select_masks_and_return", "select", "select_and_return"),
        *("return_masks", "submit", "finish"),
    )
    field_aliases: ClassVar = dict.fromkeys(("masks", "mask_ids", "final_answer_masks", "numbers"), "ids")

    ids: Ids = Field(min_length=1, description="Numbers of all masks of the answer.")
    message: str = Field(default="", description="The answer in words, for the user.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        ids = known_ids(self.ids, episode.workspace)
        message = self.message.strip() or f"{masks(len(ids))}."
        return ending(episode, sam3, ids=ids, outcome="answered", message=message)


class ReportNoMask(Tool):
    """Finish: nothing in the picture matches the query."""

    name: ClassVar[str] = "report_no_mask"
    aliases: ClassVar = ("report_no_masks", "no_mask", "no_masks", "no_match")
    field_aliases: ClassVar = {"message": "reason", "explanation": "reason"}

    reason: str = Field(default="", description="Why, for the user.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        message = self.reason.strip() or "Nothing in the picture matches."
        return ending(episode, sam3, ids=(), outcome="no_match", message=message)


TOOLS: tuple[type[Tool], ...] = (Segment, Relate, Locate, Rank, Combine, Count, Answer, ReportNoMask)


def known_ids(ids: Sequence[int], workspace: Workspace) -> tuple[int, ...]:
    """Each of `ids` once, in the order given. Raises ToolError when there is no such mask."""
    unknown = [id for id in dict.fromkeys(ids) if id not in workspace]
    if unknown and len(workspace) == 0:
        raise ToolError(f"There is no mask {listed(unknown, 'or')}, as none was found so far; call `segment` first.")
    if unknown:
        valid = listed(range(1, len(workspace) + 1))
        raise ToolError(f"There is no mask {listed(unknown, 'or')}; the valid numbers are {valid}.")
    return tuple(dict.fromkeys(ids))


def same_objects(a: Sequence[int], b: Sequence[int], workspace: Workspace) -> np.ndarray:
    """bool, (len(a), len(b)): whether two masks are one object."""
    overlap = ious(*([candidate.rle for candidate in workspace.pick(ids)] for ids in (a, b)))
    return np.asarray((overlap > SAME_OBJECT) | np.equal.outer(np.array(a, int), np.array(b, int)))


def merged(ids: tuple[int, ...], workspace: Workspace) -> Observation:
    """One mask of all pixels, with the best score among its parts; the known one where they were merged before."""
    if not ids:
        raise ToolError("There is nothing to merge, as `a` and `b` are empty; give the numbers of the parts.")
    if len(ids) == 1:
        return Observation(f"{ids[0]} alone, so there is nothing to merge.", shown=ids)
    origin = f"merge of {', '.join(map(str, ids))}"
    known = next((candidate.id for candidate in workspace if candidate.origin == origin), None)
    if known is not None:
        return Observation(f"{listed(ids)} are mask {known} already.", shown=(known,))
    parts = workspace.instances(ids)
    mask = decode(merge([candidate.rle for candidate in workspace.pick(ids)]))[None]
    whole = Instances(mask, around(mask), parts.scores.max(keepdims=True), parts.presence, parts.phrase)
    grown = workspace.add(whole, origin=origin)
    return Observation(f"{listed(ids)} together are mask {len(grown)}.", workspace=grown, shown=(len(grown),))


def _box(id: int, workspace: Workspace, window: Window) -> Box:
    """The box of an exemplar, as it is in the window. Raises ToolError for one that is not there."""
    [id] = known_ids([id], workspace)
    box = window.box_in_view(workspace[id].box)
    if box is None:
        raise ToolError(f"Mask {id} lies outside the region; leave it out or choose another region.")
    return box


def _earlier_searches(episode: Episode) -> Iterator[tuple[Tool, Search]]:
    """Each search so far, with the call that made it."""
    done = 0
    for step in episode.steps:
        if step.observation.workspace is not None:
            searches = step.observation.workspace.searches
            with suppress(ToolError):  # made by another tool
                call = parse_call(step.decision, [Segment])
                yield from ((call, search) for search in searches[done:])
            done = len(searches)


def _kept(ids: tuple[int, ...], holds: np.ndarray, what: str) -> Observation:
    """Those of `ids` where `holds`, bool (N,), and `what` that means in words."""
    kept = _where(ids, holds)
    if kept:
        verb = "is" if len(kept) == 1 else "are"
        return Observation(f"{len(kept)} of {masks(len(ids))} {verb} {what}: {listed(kept)}.", shown=kept)
    return Observation(f"None of {masks(len(ids))} is {what}.", shown=())


def _where(ids: Sequence[int], holds: np.ndarray) -> tuple[int, ...]:
    return tuple(id for id, keep in zip(ids, holds.tolist(), strict=True) if keep)


def _counted(ids: Sequence[int]) -> str:
    return f"{masks(len(ids))}: {listed(ids)}" if ids else masks(0)
