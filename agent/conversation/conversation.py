"""A conversation: turns about an image, each an episode that starts from the answer before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from agent.conversation import edits, labels, storage
from agent.conversation.drawing import Drawing, build_drawing_turn
from agent.conversation.events import Event, ImageShown, build_context, count_image_bytes
from agent.conversation.labels import GivenMask
from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.context import ConversationContext
from agent.core.episode import Episode, Task
from agent.core.errors import ConversationError
from agent.core.outcome import Outcome
from agent.core.planner import Planner
from agent.core.text.english import format_ids
from agent.core.timeline import Timeline
from agent.core.workspace import Workspace
from agent.doubt.policy import NO_POLICY, AnswerDoubt, DoubtPolicy, apply_doubt, read_doubt
from agent.doubt.replies import read_reply
from agent.loop import run, watch
from agent.planners.scripted import ScriptEntry
from agent.tools import VIDEO, WORKSPACE
from sam3_tool import Image, Instances, Masklet, Sam3, ScriptedBackend, Video
from sam3_tool.errors import RecordError
from sam3_tool.masks.rle import RleMask, compute_areas, decode_masks
from sam3_tool.prompts import Box
from sam3_tool.video.time_stamps import format_time

SCORE_EDIT_PREFIX = "keep what scores above"
"""How the words of such an edit begin: of several in a row, the last one counts alone."""


@dataclass(frozen=True, eq=False)
class Conversation:
    """Hold images shown and turns taken, in order, and how many of them count; the rest was undone.

    A conversation is a value: every method returns another one. Mask ids go on counting while the image is the same.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner
        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> sam3 = Sam3(ScriptedBackend({}))
        >>> conversation = Conversation.start(Image(np.zeros((4, 6, 3), np.uint8)), "cups.png")
        >>> conversation = conversation.say("all the cups", GrammarPlanner(), sam3)
        >>> conversation.outcome, conversation.selected, conversation.undo().can_redo
        ('no_match', (), True)
    """

    events: tuple[Event, ...]
    """The first one shows an image."""
    cursor: int
    """How many events count; at least 1."""

    def __post_init__(self) -> None:
        if not self.events or not isinstance(self.events[0], ImageShown):
            raise ValueError("a conversation begins with an image")
        if not 1 <= self.cursor <= len(self.events):
            raise ValueError(f"of {len(self.events)} events between 1 and all can count, not {self.cursor}")

    @classmethod
    def start(cls, image: Image, name: str = "") -> "Conversation":
        """Begin a conversation about an image.

        Args:
            image: The image that the first query is about.
            name: The image's file name. Folders before it are left out.

        Returns:
            A conversation without a turn.
        """
        return cls((ImageShown(image, Path(name).name),), 1)

    @classmethod
    def start_video(
        cls, video: Video, name: str = "", *, since: float | None = None, until: float | None = None
    ) -> "Conversation":
        """Begin a conversation about a video.

        Args:
            video: The video that the first query is about.
            name: The video's file name. Folders before it are left out.
            since: Seconds: what is shown before is left out. Default: the beginning.
            until: Seconds: what is shown after that is left out. Default: the end.

        Returns:
            A conversation without a turn, for planners with the toolset `VIDEO`.

        Raises:
            ValueError: No frame is shown then.
        """
        task = Task.from_video(video, "", since=since, until=until)
        return cls((ImageShown(task.image, Path(name).name, video, task.timeline),), 1)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        max_pixels: int | None = None,
        max_masks: int | None = None,
        max_steps: int | None = None,
    ) -> "Conversation":
        """Open a saved conversation. Limits are checked before any image is decoded.

        Args:
            path: A file that `save` wrote.
            max_pixels: Pixels that all its images may have together.
            max_masks: Masks that all its turns may have found together.
            max_steps: Images shown, turns and steps of turns that it may have together.

        Returns:
            The conversation, undone turns included.

        Raises:
            RecordError: The file is missing, foreign or damaged, or it is beyond a limit.
        """
        events, cursor = storage.load_conversation(
            path, max_pixels=max_pixels, max_masks=max_masks, max_steps=max_steps
        )
        try:
            return cls(events, cursor)
        except ValueError as error:
            raise RecordError(f"{path} is damaged: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write one JSON file with the images in it, whole or not at all.

        Args:
            path: The file; one of that name is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        storage.save_conversation(self.events, self.cursor, path)

    def pack(self) -> bytes:
        """Return it in few bytes, for whoever keeps many: all but the pixels of its images, and what was undone.

        Returns:
            What `unpack` reads, in this version of the program.
        """
        return storage.pack_events(self.events, self.cursor)

    @classmethod
    def unpack(cls, packed: bytes, images: Sequence[Image]) -> "Conversation":
        """Rebuild a packed conversation.

        Args:
            packed: What `pack` returned.
            images: The images that it shows; of videos, the frames that stand for them.

        Returns:
            The conversation as it was. `show_video` hands in the videos.

        Raises:
            ValueError: An image is missing or another one.

        Example:
            >>> import numpy as np
            >>> from sam3_tool import Image
            >>> begun = Conversation.start(Image(np.zeros((4, 6, 3), np.uint8)), "cups.png")
            >>> Conversation.unpack(begun.pack(), [begun.image]).name
            'cups.png'
        """
        return cls(*storage.unpack_events(packed, {image.key: image for image in images}))

    # what it has come to

    @property
    def latest_image(self) -> ImageShown:
        """The image or video that the conversation is about now, as it was shown."""
        return next(event for event in reversed(self.events[: self.cursor]) if isinstance(event, ImageShown))

    @property
    def image(self) -> Image:
        """The image that the conversation is about now."""
        return self.latest_image.image

    @property
    def video(self) -> Video | None:
        """The video that the conversation is about now; None for an image, and where the video is not at hand."""
        return self.latest_image.video

    @property
    def timeline(self) -> Timeline | None:
        """When the frames of the video are shown; None for an image."""
        return self.latest_image.timeline

    @property
    def name(self) -> str:
        """The name of the file of the image or the video; it may be empty."""
        return self.latest_image.name

    @property
    def turns(self) -> tuple[Episode, ...]:
        """The turns that count, about all images, oldest first."""
        return tuple(event for event in self.events[: self.cursor] if isinstance(event, Episode))

    @property
    def last_turn(self) -> Episode | None:
        """The latest turn, if it was about this image."""
        event = self.events[self.cursor - 1]
        return event if isinstance(event, Episode) else None

    @cached_property
    def context(self) -> ConversationContext:
        """The context of the next query."""
        return build_context(self.events[: self.cursor])

    @property
    def workspace(self) -> Workspace:
        """Every mask found in this image, by its id."""
        return self.context.workspace or Workspace(self.image.height, self.image.width)

    @property
    def selected(self) -> tuple[int, ...]:
        """The ids of the current answer's masks."""
        return self.context.selected

    @property
    def answer(self) -> Instances:
        """The masks of the current answer."""
        return self.workspace.get_instances(self.selected)

    @property
    def displayed_ids(self) -> tuple[int, ...]:
        """The ids of the masks to draw: those in question while it asks, else those of the answer."""
        return (self.outcome == "asked" and self.last_turn is not None and self.last_turn.current_ids) or self.selected

    @property
    def masklets(self) -> Mapping[int, Masklet]:
        """The objects found in the video, by mask id; those of the latest answer at its times alone."""
        found = {candidate.id: candidate.masklet for candidate in self.workspace if candidate.masklet is not None}
        if self.last_turn is None or self.last_turn.task.timeline is None:
            return found
        answer = self.last_turn.masklets
        return {**found, **dict(zip(answer.ids, answer.masklets, strict=True))}

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the latest turn."""
        return self.last_turn.outcome if self.last_turn else None

    @property
    def options(self) -> tuple[str, ...]:
        """The readings between which the user may choose, where the latest turn asked."""
        return self.last_turn.steps[-1].observation.options if self.last_turn and self.last_turn.steps else ()

    @property
    def message(self) -> str:
        """What the latest turn said, and which earlier answer stays where it brought none."""
        if self.last_turn is None:
            return ""
        ended = self.outcome in ("answered", "asked") or self.last_turn.task.by_hand
        kept = () if ended else self.last_turn.task.context.selected
        return (
            f"{self.last_turn.message} The answer before it stays: {format_ids(kept)}."
            if kept
            else self.last_turn.message
        )

    @property
    def reasons(self) -> dict[int, str]:
        """Why masks belong to the answer, as the latest turn that said so put it."""
        events = self.events[self.events.index(self.latest_image) : self.cursor]
        return {id: why for turn in events if isinstance(turn, Episode) for id, why in turn.reasons.items()}

    def mask_at(
        self, x: float, y: float, *, candidate_ids: Sequence[int] | None = None, at: float | None = None
    ) -> int | None:
        """Find the smallest mask at a pixel.

        Args:
            x: Column in pixels, in [0, width).
            y: Row in pixels, in [0, height).
            candidate_ids: The mask ids to look among. Default: those of the answer.
            at: Of a video, the second in which the frame is shown. Default: its first frame.

        Returns:
            Its mask id; None where there is no mask.

        Raises:
            ConversationError: The pixel lies outside the image.
        """
        self._check_inside(x, y)
        ids = self.selected if candidate_ids is None else tuple(candidate_ids)
        rles = self._find_masks(ids, at)
        pixels = decode_masks([*rles.values()], self.image.height, self.image.width)[:, int(y), int(x)]
        hit = [id for id, covered in zip(rles, pixels.tolist(), strict=True) if covered]
        return min(hit, key=lambda id: compute_areas([rles[id]])[0], default=None)

    def _find_masks(self, ids: Sequence[int], at: float | None) -> dict[int, RleMask]:
        """The masks by id; of a video, those on the frame that is shown at that second."""
        timeline = self.timeline
        if timeline is None:
            return dict(zip(ids, self.workspace.get_rles(ids), strict=True))
        frame = timeline.start if at is None else timeline.find_frame(at)
        masks = zip(ids, (masklet.at(frame) for masklet in self.workspace.get_masklets(ids)), strict=True)
        return {id: mask for id, mask in masks if mask is not None}

    @property
    def image_bytes(self) -> int:
        """Bytes that its images, and frames of its videos, take in memory, each counted once; undone ones too."""
        return count_image_bytes(self.events)

    # saying something

    def build_task(self, query: str) -> Task:
        """Build the task that a planner gets when the user says this now.

        Args:
            query: What the user says.

        Returns:
            The query with the current image and the context.
        """
        return self.latest_image.build_task(query, self.context)

    def say(
        self,
        query: str,
        planner: Planner,
        sam3: Sam3,
        *,
        budget: Budget = DEFAULT_BUDGET,
        doubt: DoubtPolicy = NO_POLICY,
    ) -> "Conversation":
        """Take the turn that answers a query.

        Only an answer changes the selection. After 'nothing matches', a question back or a stopped turn, the earlier
        answer stays. Undone turns are forgotten.

        Args:
            query: What the user says. 'undo' and 'redo' are done at once, and so are replies about doubtful
                masks, see `apply_command`.
            planner: Decides on the calls of the turn.
            sam3: Finds the masks.
            budget: Limits of the turn.
            doubt: What becomes of doubtful masks of its answer.

        Returns:
            The conversation with the turn.

        Raises:
            PlannerError: The planner cannot even begin.
            ConversationError: There is nothing to undo or redo.
        """
        done = self.apply_command(query)
        if done is not None:
            return done
        return self.append(apply_doubt(run(self.build_task(query), planner, sam3, budget=budget), doubt))

    def watch(
        self,
        query: str,
        planner: Planner,
        sam3: Sam3,
        *,
        budget: Budget = DEFAULT_BUDGET,
    ) -> Iterator[Episode]:
        """Take a turn step by step, for callers that show progress. `append` takes the last episode.

        Args:
            query: What the user says; 'undo' and 'redo' are queries like any other here.
            planner: Decides on the calls of the turn.
            sam3: Finds the masks.
            budget: Limits of the turn.

        Returns:
            An iterator over the turn's episode after each step. The last one has an outcome.

        Raises:
            PlannerError: The planner cannot even begin.
        """
        return watch(self.build_task(query), planner, sam3, budget=budget)

    def apply_command(self, query: str) -> "Conversation | None":
        """Go back or forth, or settle what is in doubt, if the query asks for nothing else: 'undo', 'keep 3'.

        Args:
            query: What the user says.

        Returns:
            The conversation before or after a turn, or with the reply; None for any other query.

        Raises:
            ConversationError: There is nothing to undo or redo, or a reply names a mask that is not in question.
        """
        from agent.planners.grammar.dialogue.utterances import find_command  # loads the parser of queries

        match find_command(query):
            case "undo":
                return self.undo()
            case "redo":
                return self.redo()
        return self._settle_doubt(query)

    def _settle_doubt(self, query: str) -> "Conversation | None":
        """Make the masks the answer that a reply to a question about doubtful masks keeps; None for other queries."""
        doubt = AnswerDoubt(()) if self.last_turn is None or self.outcome != "asked" else read_doubt(self.last_turn)
        kept = read_reply(query, doubt) if doubt.asked else None
        return None if kept is None else self.select(kept, query.strip())

    def append(self, episode: Episode) -> "Conversation":
        """Add a finished turn that began where this conversation stands.

        Args:
            episode: Its task is the one that `build_task` made, and it has an outcome.

        Returns:
            The conversation with the turn. Undone turns are forgotten.

        Raises:
            ValueError: The episode has no outcome, or it began elsewhere.
        """
        if episode.outcome is None:
            raise ValueError(f"the turn has no outcome yet, after {len(episode.steps)} steps")
        if episode.task.image.key != self.image.key or episode.task.context != self.context:
            raise ValueError("the turn began elsewhere; make its task with `build_task`")
        return self._append_event(episode)

    def show(self, image: Image, name: str = "") -> "Conversation":
        """Turn to another image: mask ids count from 1 again, and the earlier turns are kept.

        Args:
            image: The image that the next query is about.
            name: The image's file name. Folders before it are left out.

        Returns:
            The conversation about the image. Undone turns are forgotten.
        """
        return self._append_event(ImageShown(image, Path(name).name))

    def show_video(
        self, video: Video, name: str = "", *, since: float | None = None, until: float | None = None
    ) -> "Conversation":
        """Turn to another video, or hand in the video that a saved conversation is about.

        Args:
            video: The video that the next query is about.
            name: The video's file name. Folders before it are left out.
            since: Of another video, seconds: what is shown before is left out. Default: the beginning.
            until: Of another video, seconds: what is shown after that is left out. Default: the end.

        Returns:
            The conversation about the video. If it is the one that the conversation was about when it was saved, it
            goes on as it was; else mask ids count from 1 again, and undone turns are forgotten.

        Raises:
            ValueError: No frame is shown then.
        """
        if self.timeline is None or self.latest_image.video_key != video.key:
            begun = Conversation.start_video(video, name, since=since, until=until)
            return self._append_event(begun.events[0])
        return replace(self, events=tuple(_hand_in_video(event, video) for event in self.events))

    def _append_event(self, event: Event) -> "Conversation":
        return Conversation((*self.events[: self.cursor], event), self.cursor + 1)

    # going back and forth

    @property
    def can_undo(self) -> bool:
        """Whether a turn or another image can be taken back."""
        return self.cursor > 1

    @property
    def can_redo(self) -> bool:
        """Whether something was undone and nothing came after it."""
        return self.cursor < len(self.events)

    def undo(self) -> "Conversation":
        """Go back to before the latest turn or image.

        Returns:
            The earlier conversation, which `redo` can take back.

        Raises:
            ConversationError: This is the beginning.
        """
        if not self.can_undo:
            raise ConversationError("there is nothing to undo")
        return replace(self, cursor=self.cursor - 1)

    def redo(self) -> "Conversation":
        """Take back the latest `undo`.

        Returns:
            The conversation as it was before that `undo`.

        Raises:
            ConversationError: Nothing was undone.
        """
        if not self.can_redo:
            raise ConversationError("there is nothing to redo")
        return replace(self, cursor=self.cursor + 1)

    # edits by hand: turns too, over the same tools

    def edit(
        self, decisions: Sequence[ScriptEntry], sam3: Sam3, description: str = "", *, label: str = ""
    ) -> "Conversation":
        """Take a turn by hand: these calls, and then an answer with the masks that they end at.

        Args:
            decisions: Tools, decisions, or functions from the episode so far to one of them.
            sam3: Finds the masks.
            description: What the user did, in words; it stands where other turns have a query.
            label: The class of the masks that are found. Default: none.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: A tool refuses a call, with the tool's sentence. The conversation is as it was.
        """
        name = labels.clean_label(label)
        task = replace(self.build_task(description or "(edited by hand)"), by_hand=True)
        toolset = WORKSPACE if self.timeline is None else VIDEO
        person = edits.ManualPlanner([*decisions, edits.answer_with_current], toolset=toolset)
        episode = run(task, person, sam3, budget=Budget(max_steps=len(decisions) + 2))
        return self.append(labels.label_new_masks(episode, name) if name else episode)

    def relabel(self, ids: Sequence[int], label: str) -> "Conversation":
        """Give masks a class. The answer stays as it is.

        Args:
            ids: Mask ids, from 1; one that is given twice counts once.
            label: The name of the class, 80 letters at most; empty takes the class away.

        Returns:
            The conversation with the turn; unchanged where every mask has this class.

        Raises:
            ConversationError: There is no mask of an id, or the name is too long.

        Example:
            >>> import numpy as np
            >>> from agent import GivenMask
            >>> from sam3_tool import Image
            >>> conversation = Conversation.start(Image(np.zeros((4, 6, 3), np.uint8)))
            >>> conversation = conversation.add_masks([GivenMask(RleMask((4, 6), "0h0"))])
            >>> relabelled = conversation.relabel([1], "cup")
            >>> relabelled.workspace[1].category, relabelled.undo().workspace[1].category
            ('cup', '')
        """
        self._check_known(ids)
        name = labels.clean_label(label)
        changed = [id for id in dict.fromkeys(ids) if self.workspace[id].label != name]
        if not changed:
            return self
        description = f"call {format_ids(changed)} {name}" if name else f"take the class from {format_ids(changed)}"
        task = replace(self.build_task(description), by_hand=True)
        return self.append(labels.build_label_turn(task, changed, name))

    def add_masks(self, masks: Sequence[GivenMask], description: str = "", *, origin: str = "given") -> "Conversation":
        """Add masks that no network made here, e.g. from another tool's file, to the answer.

        Args:
            masks: Masks in the size of the image. Those without a pixel are left out.
            description: What the user did, in words.
            origin: How they came about, e.g. 'from labels.json'.

        Returns:
            The conversation with the turn. The masks have the next ids.

        Raises:
            ConversationError: A mask has another size, none has a pixel, there are too many, or it is about a video.
        """
        if self.timeline is not None:
            raise ConversationError("masks can be added to an image, and this is a video")
        task = replace(self.build_task(description or "add masks"), by_hand=True)
        return self.append(labels.build_addition_turn(task, masks, origin))

    def draw(self, drawing: Drawing, description: str = "") -> "Conversation":
        """Put masks that a person drew in the place of others, or beside them.

        Args:
            drawing: The new pixels of known masks, masks that are added, and ids that leave the answer.
            description: What the user did, in words.

        Returns:
            The conversation with the turn. A mask that is drawn anew keeps its number.

        Raises:
            ConversationError: There is no mask of an id, a mask has another size or no pixel, or it is about a video.

        Example:
            >>> import numpy as np
            >>> from agent import Drawing
            >>> from sam3_tool import Image
            >>> from sam3_tool.masks.editing import paint_stroke
            >>> conversation = Conversation.start(Image(np.zeros((40, 60, 3), np.uint8)))
            >>> line = paint_stroke(RleMask((40, 60), "P[2"), [(5, 20), (55, 20)], 3)
            >>> conversation = conversation.draw(Drawing({}, added=[(line, None)]), "paint a line")
            >>> conversation.selected, conversation.undo().selected
            ((1,), ())
        """
        if self.timeline is not None:
            raise ConversationError("masks can be drawn on an image, and this is a video")
        self._check_known([*drawing.changed, *drawing.removed, *(id for _, id in drawing.added if id is not None)])
        task = replace(self.build_task(description or "draw masks"), by_hand=True)
        return self.append(build_drawing_turn(task, drawing))

    def select(self, ids: Sequence[int], description: str = "") -> "Conversation":
        """Make these masks the answer.

        Args:
            ids: Mask ids, from 1; one that is given twice counts once.
            description: What the user did, in words.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: There is no mask of an id.
        """
        self._check_known(ids)
        wanted = tuple(dict.fromkeys(ids))
        nobody = Sam3(ScriptedBackend({}))  # to choose among known masks is to ask nothing
        return self.edit(
            [partial(edits.answer_with_ids, wanted)], nobody, description or f"select {format_ids(wanted)}"
        )

    def remove(self, ids: Sequence[int]) -> "Conversation":
        """Remove masks from the answer.

        Args:
            ids: Ids of masks of the answer.

        Returns:
            The conversation with the turn. The masks stay known: `restore` brings them back.

        Raises:
            ConversationError: A mask is not in the answer.
        """
        self._check_selected(ids)
        return self.select([id for id in self.selected if id not in ids], f"remove {format_ids(dict.fromkeys(ids))}")

    def keep(self, ids: Sequence[int]) -> "Conversation":
        """Keep only these masks of the answer.

        Args:
            ids: Ids of masks of the answer.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: A mask is not in the answer.
        """
        self._check_selected(ids)
        return self.select([id for id in self.selected if id in ids], f"keep only {format_ids(dict.fromkeys(ids))}")

    def restore(self, ids: Sequence[int]) -> "Conversation":
        """Add known masks to the answer.

        Args:
            ids: Mask ids, from 1.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: There is no mask of an id.
        """
        return self.select([*self.selected, *ids], f"add {format_ids(dict.fromkeys(ids))}")

    def filter_by_score(self, threshold: float) -> "Conversation":
        """Keep the masks of the answer that score above a threshold. No network is asked.

        A threshold straight after another one takes its place, so that a slider can be moved back and forth.

        Args:
            threshold: In [0, 1). With 0 there is no threshold, and no turn.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: The threshold is out of range.
        """
        if not 0 <= threshold < 1:
            raise ConversationError(f"a threshold is at least 0 and below 1, not {threshold:g}")
        moved = (
            self.last_turn is not None
            and self.last_turn.task.by_hand
            and self.last_turn.task.query.startswith(SCORE_EDIT_PREFIX)
        )
        start = self.undo() if moved else self
        if threshold == 0:
            return start
        ids = [candidate.id for candidate in start.workspace.pick(start.selected) if candidate.score > threshold]
        return start.select(ids, f"{SCORE_EDIT_PREFIX} {threshold:g}")

    def click(
        self,
        x: float,
        y: float,
        sam3: Sam3,
        *,
        positive: bool = True,
        mask_id: int | None = None,
        new: bool = False,
        label: str = "",
        at: float | None = None,
    ) -> "Conversation":
        """Correct a mask at a pixel, or add the object there.

        A corrected mask keeps its id; `undo` brings back what it was. A mask of an image holds every positive click on
        it, and has neither specks nor small holes, as `Sam3.refine(tidy=True)` says.

        Args:
            x: Column in pixels, in [0, width).
            y: Row in pixels, in [0, height).
            sam3: Makes the mask.
            positive: True adds what is there, False takes it away.
            mask_id: The mask to correct. Default: the smallest mask of the answer there; without one, a new object.
            new: Whether it is a new object even where a mask of the answer is; a positive click without `mask_id`.
            label: The class of a new object. Default: none.
            at: Of a video, the second in which the frame is shown. Default: its first frame.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: The pixel lies outside the image, nothing is found, or a negative click hits no mask.
        """
        self._check_inside(x, y)
        if mask_id is None and not new:
            mask_id = self.mask_at(x, y, at=at)
        if mask_id is None and not positive:
            raise ConversationError(f"there is no mask at {x:g}, {y:g} to take anything from")
        self._check_known([] if mask_id is None else [mask_id])
        return self.edit(
            [
                edits.build_refine_call(x, y, positive, mask_id, self._get_second(at)),
                partial(edits.answer_with_refined, mask_id),
            ],
            sam3,
            edits.describe_click(x, y, positive, mask_id) + self._describe_moment(at),
            label=label,
        )

    def _get_second(self, at: float | None) -> float | None:
        """The second of a frame of the video; None for an image."""
        if self.timeline is None:
            return None
        return self.timeline.times[self.timeline.start] if at is None else at

    def _describe_moment(self, at: float | None) -> str:
        second = self._get_second(at)
        return "" if second is None else f" at {format_time(second)}"

    def apply_box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        sam3: Sam3,
        *,
        positive: bool = True,
        label: str = "",
        at: float | None = None,
    ) -> "Conversation":
        """Add everything that looks like the content of a box, or leave it out of the answer.

        Args:
            x0: First column of any corner, in pixels.
            y0: First row of that corner.
            x1: Column of the opposite corner.
            y1: Row of the opposite corner.
            sam3: Finds what looks alike.
            positive: True adds the objects, False leaves them out, that in the box included.
            label: The class of the objects that are added. Default: none.
            at: Of a video, the second in which the frame with the box is shown. Default: its first frame.

        Returns:
            The conversation with the turn.

        Raises:
            ConversationError: The box has no pixel in the image, it changes nothing, or there is no answer to change.
        """
        box = self._clip_box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
        where = f"what looks like the box {', '.join(f'{edge:g}' for edge in box)}{self._describe_moment(at)}"
        call = edits.build_exemplar_call(box, self._get_second(at))
        if positive:
            return self.edit([call, edits.union_with_answer], sam3, f"add {where}", label=label)
        if not self.selected:
            raise ConversationError("there is no answer yet to take anything from")
        calls = (call, edits.subtract_from_answer, partial(edits.exclude_boxed, box, self._get_second(at)))
        return self.edit(calls, sam3, f"leave out {where}")

    def outline_box(
        self, x0: float, y0: float, x1: float, y1: float, sam3: Sam3, *, label: str = "", at: float | None = None
    ) -> "Conversation":
        """Add the one object that a box is around.

        Args:
            x0: First column of any corner, in pixels.
            y0: First row of that corner.
            x1: Column of the opposite corner.
            y1: Row of the opposite corner.
            sam3: Makes the mask.
            label: The class of the object. Default: none.
            at: Of a video, the second in which the frame with the box is shown. Default: its first frame.

        Returns:
            The conversation with the turn. Clicks correct the mask further.

        Raises:
            ConversationError: The box has no pixel in the image, or nothing is found in it.
        """
        box = self._clip_box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
        where = f"the object in the box {', '.join(f'{edge:g}' for edge in box)}{self._describe_moment(at)}"
        call = edits.build_box_call(box, self._get_second(at))
        return self.edit([call, partial(edits.answer_with_refined, None)], sam3, f"add {where}", label=label)

    def _clip_box(self, box: Box) -> Box:
        """Cut the box to the image. Raises ConversationError where nothing of it is left."""
        edges = np.clip(box, 0, [self.image.width, self.image.height] * 2).tolist()
        x0, y0, x1, y1 = edges
        if not (np.isfinite(box).all() and x0 < x1 and y0 < y1):
            raise ConversationError(f"the box {', '.join(f'{edge:g}' for edge in box)} holds nothing of the image")
        return x0, y0, x1, y1

    def _check_inside(self, x: float, y: float) -> None:
        width, height = self.image.width, self.image.height
        if not (0 <= x < width and 0 <= y < height):
            raise ConversationError(f"{x:g}, {y:g} lies outside the image, which has {width} x {height} pixels")

    def _check_known(self, ids: Sequence[int]) -> None:
        if unknown := [id for id in dict.fromkeys(ids) if id not in self.workspace]:
            known = format_ids(range(1, len(self.workspace) + 1))
            raise ConversationError(f"there is no mask {format_ids(unknown, 'or')}; the known ones are {known}")

    def _check_selected(self, ids: Sequence[int]) -> None:
        if unknown := [id for id in dict.fromkeys(ids) if id not in self.selected]:
            has = f"which has {format_ids(self.selected)}" if self.selected else "which has no masks"
            raise ConversationError(f"mask {format_ids(unknown, 'or')} is not in the answer, {has}")


def _hand_in_video(event: Event, video: Video) -> Event:
    """The event with the video, if it is about it."""
    if isinstance(event, ImageShown):
        return replace(event, video=video) if event.video_key == video.key else event
    return replace(event, task=replace(event.task, video=video)) if event.task.video_key == video.key else event
