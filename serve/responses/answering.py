"""Answers line by line: of a phrase and of objects that are shown, in an image or a video, and of the agent."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agent import Budget, Planner, Task, watch
from agent.core.budget import DEFAULT_BUDGET
from sam3_tool import Concept, ConceptPrompt, Image, Instances, Masklets, Sam3, Video
from sam3_tool.masks.rle import decode_mask
from sam3_tool.prompts import VisualPrompt
from sam3_tool.tracking.frames import TrackedFrame
from serve.responses.prompts import ObjectPrompt, PromptError, is_object_prompt, parse_object_prompts
from serve.responses.requests import Metadata
from serve.responses.wire import FoundObject, write_frame


@dataclass
class TokenUsage:
    """Tokens of a language model that an answer cost; the agent's planner may be one."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Answerer:
    """Writes the lines of one answer."""

    sam3: Sam3
    metadata: Metadata
    planner: Planner | None = None
    """The agent's, with tools for what was sent; None answers phrases and object prompts."""
    concept: Concept | None = None
    """Examples in place of a phrase; a phrase beside them is looked for along with them."""
    budget: Budget = DEFAULT_BUDGET
    usage: TokenUsage = field(default_factory=TokenUsage)
    """What the answer cost, once it is complete."""

    def answer(self, subject: Image | Video, text: str) -> Iterator[str]:
        """Yield one line per frame on which something is found, and what the agent has to say.

        Args:
            subject: What was sent.
            text: A noun phrase, objects as tokens, or the agent's query.

        Yields:
            Lines that end in a line feed.

        Raises:
            UserError: The text cannot be read, or the answer cannot be begun.
        """
        if self.planner is not None:
            yield from self._ask_agent(subject, text, self.planner)
        elif self.concept is not None:
            yield from self._find_prompt(subject, _build_concept_prompt(self.concept, text))
        elif is_object_prompt(text):
            prompts = parse_object_prompts(text, width=subject.width, height=subject.height)
            yield from self._show_objects(subject, prompts)
        else:
            yield from self._find_prompt(subject, ConceptPrompt(text))

    def _find_prompt(self, subject: Image | Video, prompt: ConceptPrompt) -> Iterator[str]:
        if isinstance(subject, Image):
            [found] = self.sam3.segment_batch([(subject, prompt)])
            yield self._write(0, _list_objects(found, range(len(found))))
            return
        for tracked in self.sam3.track(subject, prompt):
            yield self._write_tracked(tracked)

    def _show_objects(self, subject: Image | Video, prompts: Sequence[ObjectPrompt]) -> Iterator[str]:
        if isinstance(subject, Video):
            yield from self._follow_objects(subject, prompts)
            return
        if any(prompt.frame for prompt in prompts):
            raise PromptError("an image has frame 0 only; send `input_video` for prompts on other frames")
        requests = [(subject, _build_visual_prompt(prompt)) for prompt in prompts]
        answers = self.sam3.segment_batch(requests)
        best = [_list_objects(found[[0]], [prompt.id])[0] for found, prompt in zip(answers, prompts, strict=True)]
        yield self._write(0, best)

    def _follow_objects(self, video: Video, prompts: Sequence[ObjectPrompt]) -> Iterator[str]:
        session = self.sam3.open_tracking(video)
        ours: dict[int, int] = {}
        for prompt in prompts:
            if prompt.frame >= len(video):
                raise PromptError(
                    f"the video has {len(video)} frames, counted from 0; there is no frame {prompt.frame}"
                )
            id, _ = session.add_prompt(prompt.frame, _build_visual_prompt(prompt), id=ours.get(prompt.id))
            ours[prompt.id] = id
        asked = {id: prompt for prompt, id in ours.items()}
        first, direction = min(prompt.frame for prompt in prompts), self.metadata.propagation_direction
        if direction != "backward":
            for tracked in session.propagate(first):
                yield self._write_tracked(tracked, asked)
        last = first - 1 if direction == "both" else max(prompt.frame for prompt in prompts)
        if direction != "forward" and last >= 0:
            for tracked in session.propagate(last, reverse=True):
                yield self._write_tracked(tracked, asked)

    def _ask_agent(self, subject: Image | Video, query: str, planner: Planner) -> Iterator[str]:
        task = Task(subject, query) if isinstance(subject, Image) else Task.from_video(subject, query)
        *_, episode = watch(task, planner, self.sam3, budget=self.budget)
        self.usage.input_tokens = episode.usage.prompt_tokens
        self.usage.output_tokens = episode.usage.completion_tokens
        if isinstance(subject, Image):
            yield self._write(0, _list_objects(episode.answer, episode.current_ids))
        else:
            for frame in range(len(subject)):
                yield self._write(frame, _list_seen(episode.masklets, frame))
        # a line that begins like a frame would be read as one
        said = re.sub(r"\s+", " ", episode.message).lstrip("< ")
        yield f"{said}\n" if said else ""

    def _write_tracked(self, tracked: TrackedFrame, asked: dict[int, int] | None = None) -> str:
        [found], [ids] = tracked.instances, tracked.ids
        return self._write(tracked.frame, _list_objects(found, [asked[id] if asked else id for id in ids]))

    def _write(self, frame: int, objects: Iterable[FoundObject]) -> str:
        return write_frame(
            frame,
            objects,
            encoding=self.metadata.mask_encoding,
            has_confidence=self.metadata.include_confidence == "true",
        )


def _build_concept_prompt(concept: Concept, text: str) -> ConceptPrompt:
    """Raises PromptError for boxes and points beside a concept."""
    if is_object_prompt(text):
        raise PromptError("boxes and points cannot be asked for beside a concept; send a noun phrase, or no text")
    return ConceptPrompt(concept=concept.with_phrase(text) if text else concept)


def _build_visual_prompt(prompt: ObjectPrompt) -> VisualPrompt:
    several = prompt.box is None and len(prompt.points) == 1
    return VisualPrompt(prompt.points, prompt.labels, prompt.box, multimask=several)


def _list_objects(found: Instances, ids: Iterable[int]) -> list[FoundObject]:
    return [FoundObject(id, mask, float(score)) for id, mask, score in zip(ids, found.masks, found.scores, strict=True)]


def _list_seen(found: Masklets, frame: int) -> list[FoundObject]:
    """The objects of an answer that are seen on a frame, each under its own id on all frames."""
    seen: list[FoundObject] = []
    for id, masklet in zip(found.ids, found.masklets, strict=True):
        if (mask := masklet.at(frame)) is not None:
            seen.append(FoundObject(id, decode_mask(mask), masklet.scores[masklet.frames.index(frame)]))
    return seen
