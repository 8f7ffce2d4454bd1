"""The tool that asks SAM 3 for noun phrases and follows what it finds, through the video or a part of it."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.timeline import Timeline
from agent.core.tools.examiner import Examiner
from agent.core.usage import NO_COST
from agent.core.workspace import SearchRecord, Workspace
from agent.tools.base import Boxes, Ids, Phrases, Tool
from agent.tools.ids import validate_ids
from agent.tools.segment import MAX_PHRASES
from agent.tools.video.times import Seconds, describe_part, describe_tracks, format_track_count, get_timeline
from agent.tools.video.tracking import Tracking, follow_objects, get_video
from sam3_tool import ConceptPrompt, FramePrompt, Sam3
from sam3_tool.phrases import normalize_phrase
from sam3_tool.prompts import Box

TrackingPrompt = ConceptPrompt | FramePrompt


class SegmentVideo(Tool):
    """Find every instance of each noun phrase and follow it through the video; each gets a track with a number.

    Phrases are short and simple, such as 'red car': no motions, no relations, no numbers, no negation. One call with
    many phrases is the fastest.
    """

    name: ClassVar[str] = "segment"
    aliases: ClassVar = ("segment_video", "track", "segment_phrase", "segment_phrases", "find", "detect")
    field_aliases: ClassVar = {
        **dict.fromkeys(("phrase", "text_prompt", "text_prompts", "prompt", "prompts"), "phrases"),
        **dict.fromkeys(("start", "from", "begin"), "since"),
        **dict.fromkeys(("end", "to", "stop"), "until"),
        **dict.fromkeys(("box", "bbox"), "boxes"),
    }

    phrases: Phrases = Field(
        default=[], max_length=MAX_PHRASES, description=f"Up to {MAX_PHRASES} noun phrases; none if examples say it."
    )
    exemplars: Ids = Field(default=[], description="Numbers of tracks that show what is meant.")
    boxes: Boxes = Field(default=[], max_length=16, description="Exemplars as boxes, x0, y0, x1, y1 in pixels.")
    at: Seconds | None = Field(default=None, description="When the frame with `boxes` is shown, in seconds.")
    threshold: float = Field(default=0.5, ge=0, lt=1, description="Detections with a score above this are followed.")
    since: Seconds | None = Field(default=None, description="Seconds: look only from here on.")
    until: Seconds | None = Field(default=None, description="Seconds: look only up to here.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        before, timeline = episode.workspace, get_timeline(episode, self.since, self.until)
        prompts = {
            normalize_phrase(phrase): self._build_prompt(phrase, before, timeline) for phrase in self._require_phrases()
        }
        known = self._find_known_searches(before)
        missing = [prompt for key, prompt in prompts.items() if key not in known]
        tracking = self._follow(episode, sam3, missing, timeline) if missing else Tracking([], NO_COST)
        workspace = before
        for found in tracking.found:
            origin = f"segment{self._describe_scope(timeline)}"
            workspace = workspace.with_tracks(found, origin=origin, arguments=self._serialize_question(tracking.reach))
        fresh = {normalize_phrase(search.phrase): search for search in workspace.searches[len(before.searches) :]}
        searches = [(known | fresh)[key] for key in prompts]
        words = [
            describe_search(search, workspace, timeline, again=search not in fresh.values()) for search in searches
        ]
        scope = [f"looked{self._describe_scope(timeline)}"] if self._describe_scope(timeline) else []
        stopped = [tracking.stopped] if tracking.stopped else []
        ids = tuple(dict.fromkeys(id for search in searches for id in search.ids))
        observation = Observation(
            text=f"Found {'; '.join(words + scope + stopped)}.",
            workspace=workspace if workspace is not before else None,
            shown=ids,
            usage=tracking.usage,
        )
        return tracking.finish_observation(observation, describe_tracks(ids, workspace.get_masklets(ids), timeline))

    def _require_phrases(self) -> list[str]:
        """The phrases; the empty one where examples say it all."""
        if not self.phrases and not self.exemplars and not self.boxes:
            raise ToolError("`segment` needs `phrases`, or `exemplars` or `boxes` that show what is meant.")
        if self.boxes and self.at is None:
            raise ToolError("`boxes` lie in one frame; say in `at` when it is shown, in seconds.")
        return self.phrases or [""]

    def _build_prompt(self, phrase: str, workspace: Workspace, timeline: Timeline) -> TrackingPrompt:
        frame, boxes = self._find_examples(workspace, timeline)
        prompt = ConceptPrompt(phrase or None, boxes, (1,) * len(boxes), self.threshold)
        return FramePrompt(frame, prompt) if boxes else prompt

    def _find_examples(self, workspace: Workspace, timeline: Timeline) -> tuple[int, tuple[Box, ...]]:
        """Find the frame with the examples, and their boxes there. Raises ToolError where they are on no one frame."""
        ids = validate_ids(self.exemplars, workspace)
        masklets = workspace.get_masklets(ids)
        frame = timeline.start
        if self.at is not None:
            try:
                frame = timeline.find_frame_of_part(self.at)
            except ValueError as error:
                raise ToolError(str(error)) from error
        elif masklets:
            frame = max(
                masklets[0].frames, key=lambda frame: sum(masklet.find_place(frame) is not None for masklet in masklets)
            )
        if not timeline.start <= frame < timeline.stop:
            raise ToolError("The frame with the examples lies outside the part that is looked at; choose another.")
        places = [(masklet, masklet.find_place(frame)) for masklet in masklets]
        if unseen := [id for id, (_, place) in zip(ids, places, strict=True) if place is None]:
            raise ToolError(f"Track {unseen[0]} is not seen at the same time as the other examples; leave it out.")
        seen = [masklet.boxes[place].tolist() for masklet, place in places if place is not None]
        return frame, tuple((box[0], box[1], box[2], box[3]) for box in [*seen, *self.boxes])

    def _follow(self, episode: Episode, sam3: Sam3, prompts: Sequence[TrackingPrompt], timeline: Timeline) -> Tracking:
        video = get_video(episode)
        phrases = [(prompt.prompt if isinstance(prompt, FramePrompt) else prompt).phrase or "" for prompt in prompts]
        frames = sam3.track(video, prompts, start=timeline.start, stop=timeline.stop)
        return follow_objects(frames, video, phrases, timeline, count=timeline.stop - timeline.start)

    def _find_known_searches(self, workspace: Workspace) -> dict[str, SearchRecord]:
        """Find earlier searches with the same arguments, by the normal form of the phrase."""
        question = self._serialize_question()
        return {normalize_phrase(search.phrase): search for search in workspace.searches if search.how == question}

    def _serialize_question(self, reach: float | None = None) -> str:
        """All that an answer depends on beside the phrase. `reach`: when it had to stop, if it had to."""
        asked = self if reach is None else self.model_copy(update={"until": reach})
        return asked.model_dump_json(exclude={"phrases"}, exclude_defaults=True)

    def _describe_scope(self, timeline: Timeline) -> str:
        """Describe what was special about the question, e.g. ' from 0:01.0 to 0:02.0'."""
        asked = self.since is not None or self.until is not None
        examples = [f"tracks {', '.join(map(str, self.exemplars))}"] if self.exemplars else []
        examples += [f"the box {','.join(f'{edge:g}' for edge in box)}" for box in self.boxes]
        return (describe_part(timeline) if asked else "") + (f" like {' and '.join(examples)}" if examples else "")


def describe_search(search: SearchRecord, workspace: Workspace, timeline: Timeline, *, again: bool = False) -> str:
    """E.g. "2 tracks for 'dog': 1 (0:00.0 to 0:02.0), 2 (0:01.2)" or "nothing for 'cat' (presence 0.04)"."""
    before = ", as before" if again else ""
    what = repr(search.phrase) if search.phrase else "the examples"
    if not search.ids:
        return f"nothing for {what} (presence {search.presence:.2f}){before}"
    named = describe_tracks(search.ids, workspace.get_masklets(search.ids), timeline)
    return f"{format_track_count(len(search.ids))} for {what}: {named}{before}"
