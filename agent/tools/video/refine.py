"""The tool that corrects one track, or follows one object by itself, by points and a box on a frame of the video."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.timeline import Timeline
from agent.core.tools.examiner import Examiner
from agent.core.usage import Usage
from agent.core.workspace import Candidate
from agent.tools.ids import validate_ids
from agent.tools.refine import (
    REFINE_ORIGIN,
    Clicks,
    Refine,
    compute_shown_ids,
    correct_in_place,
    format_marks,
    parse_marks,
)
from agent.tools.video.times import Seconds, describe_tracks, get_timeline
from agent.tools.video.tracking import follow_objects, get_video
from sam3_tool import Sam3, VisualPrompt
from sam3_tool.masks.rle import decode_mask
from sam3_tool.prompts import Box
from sam3_tool.video.time_stamps import format_time

_FRAME_MARKS = re.compile(r"frame (\d+): ([^;]*)")


class RefineTrack(Refine):
    """Correct one track, or follow one object by itself, by points and a box on a frame; the result is a new track.

    A positive point lies on what belongs to the object, a negative one on what does not.
    """

    name: ClassVar[str] = "refine"
    aliases: ClassVar[tuple[str, ...]] = (*Refine.aliases, "refine_track", "correct_track")
    field_aliases: ClassVar = {
        **Refine.field_aliases,
        **dict.fromkeys(("track", "track_id"), "id"),
        **dict.fromkeys(("time", "second", "when"), "at"),
    }

    at: Seconds | None = Field(
        default=None,
        description="When the frame is shown, in seconds; left out, where the track is largest, or the first frame.",
    )

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        workspace, timeline, video = episode.workspace, get_timeline(episode), get_video(episode)
        [earlier] = [None] if self.id is None else workspace.pick(validate_ids([self.id], workspace))
        frame = self._choose_frame(earlier, timeline)
        prompts = self._build_prompts(earlier, frame, episode)
        session, track_id = sam3.open_tracking(video), None
        for place, prompt in sorted(prompts.items()):
            track_id, found = session.add_prompt(place, prompt, id=track_id)
            if place == frame and not len(found):
                text = f"Nothing was found there at {format_time(timeline.times[frame])}."
                text = f"{text} Track {self.id} is as it was." if earlier else text
                return Observation(text, usage=Usage(sam_encodes=1, sam_decodes=1))
        first, phrase = min(prompts), earlier.phrase if earlier else ""
        forward = session.propagate(first, stop=timeline.stop)
        backward = session.propagate(first, stop=timeline.start - 1, reverse=True)
        count = timeline.stop - timeline.start + 1
        tracking = follow_objects(chain(forward, backward), video, [phrase], timeline, count=count)
        origin = _format_origin(earlier, prompts)
        grown, new = workspace.with_tracks(tracking.found[0], origin=origin), len(workspace) + 1
        what = f"Track {earlier.id} corrected is track" if earlier else "The object there is track"
        if earlier is not None and episode.task.by_hand:
            what, new = "Corrected is track", earlier.id
            grown = correct_in_place(workspace, grown, new)
        stopped = f"; {tracking.stopped}" if tracking.stopped else ""
        named = describe_tracks([new], grown.get_masklets([new]), timeline)
        observation = Observation(
            f"{what} {named}{stopped}.", grown, compute_shown_ids(episode, earlier, new), usage=tracking.usage
        )
        return tracking.finish_observation(observation, named)

    def _choose_frame(self, earlier: Candidate | None, timeline: Timeline) -> int:
        """Raises ToolError for a time outside the part that is asked about."""
        if self.at is None:
            return timeline.start if earlier is None else earlier.key_frame
        try:
            return timeline.find_frame_of_part(self.at)
        except ValueError as error:
            raise ToolError(str(error)) from error

    def _build_prompts(self, earlier: Candidate | None, frame: int, episode: Episode) -> dict[int, VisualPrompt]:
        """Build the prompts by frame: what the track was made of already, and what is added now."""
        timeline = get_timeline(episode)
        marks = {
            place: mark for place, mark in _parse_frames(earlier).items() if timeline.start <= place < timeline.stop
        }
        marks[frame] = self.add_marks(*marks.get(frame, ([], None)), episode.task.image)
        masklet = None if earlier is None else earlier.masklet
        prompts = {}
        for place, (clicks, box) in marks.items():
            rle = None if masklet is None else masklet.at(place)
            mask = None if rle is None else decode_mask(rle)
            points, labels = tuple((x, y) for x, y, _ in clicks), tuple(int(yes) for *_, yes in clicks)
            prompt = VisualPrompt(points, labels, box, mask)
            prompts[place] = replace(prompt, multimask=prompt.is_ambiguous)
        return prompts


def _parse_frames(earlier: Candidate | None) -> dict[int, tuple[Clicks, Box | None]]:
    """The clicks and boxes behind a refined track, by frame."""
    if earlier is None or not earlier.origin.startswith(REFINE_ORIGIN):
        return {}
    return {int(frame): parse_marks(text) for frame, text in _FRAME_MARKS.findall(earlier.origin)}


def _format_origin(earlier: Candidate | None, prompts: Mapping[int, VisualPrompt]) -> str:
    """E.g. 'refine of 3: frame 12: +90,120 -30.5,40; frame 20: in 30,60,150,180'."""
    whose = f" of {earlier.id}" if earlier else ""
    marks = (f"frame {frame}: {format_marks(prompt)}" for frame, prompt in sorted(prompts.items()))
    return f"{REFINE_ORIGIN}{whose}: {'; '.join(marks)}"
