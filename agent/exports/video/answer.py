"""What every format of a video is made from: the video, and the objects through it that are its answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.exports.answer import ExportAnswer, to_category
from sam3_tool.masks.rle import RleMask
from sam3_tool.video.masklets import Masklet, Masklets
from sam3_tool.video.time_stamps import measure_durations
from sam3_tool.video.video import Video

DEFAULT_NAME = "video"
"""The name of a video that came from no file."""


@dataclass(frozen=True, eq=False)
class ExportTrack:
    r"""One object of an answer about a video.

    Example:
        >>> ExportTrack(3, Masklet((), (), (), 0.5), "red\n ball").category
        'red ball'
    """

    id: int
    """Its number in the answer and on drawings, from 1."""
    masklet: Masklet
    """Where it is on the frames on which it is seen."""
    phrase: str
    """The noun phrase that found it."""
    reason: str = ""
    """Why it belongs to the answer, where the planner said so."""

    @property
    def category(self) -> str:
        """Its phrase on one line; 'object' where no phrase found it."""
        return to_category(self.phrase)


@dataclass(frozen=True, eq=False)
class VideoExportAnswer:
    """Hold what a format is made from: a video, and the objects through it that are the answer.

    Example:
        >>> import numpy as np
        >>> from sam3_tool import Image
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 2)
        >>> ball = ExportTrack(1, Masklet.from_masks(np.ones((2, 4, 6), bool)), "ball")
        >>> answer = VideoExportAnswer.from_tracks(video, [ball], "clips/throw.mp4")
        >>> answer.name, answer.stem, answer.categories, answer.frame_paths
        ('throw.mp4', 'throw', ['ball'], ['throw/00000.jpg', 'throw/00001.jpg'])
    """

    video: Video
    tracks: tuple[ExportTrack, ...]
    """Each is seen on a frame at least."""
    name: str
    """The video's file name as it is, with no folder in it."""

    @classmethod
    def from_tracks(cls, video: Video, tracks: Sequence[ExportTrack], name: str) -> "VideoExportAnswer":
        """Check the objects, and leave out those that are seen on no frame.

        Args:
            video: The video that they are in.
            tracks: The objects, in the order of the answer.
            name: The video's file name. Folders before it are left out.

        Returns:
            What `Exporter.write_video` gets.

        Raises:
            ValueError: Two objects have one id, or one has another size than the video or goes on after its end.
        """
        if len({track.id for track in tracks}) < len(tracks):
            raise ValueError(f"each object needs an id of its own, got {[track.id for track in tracks]}")
        seen = tuple(track for track in tracks if track.masklet.frames)
        size = video.height, video.width
        for track in seen:
            if track.masklet.rles[0].size != size:
                raise ValueError(
                    f"object {track.id} is {track.masklet.rles[0].size}, the video is {size} (height, width)"
                )
            if track.masklet.last >= len(video):
                raise ValueError(
                    f"object {track.id} is on frame {track.masklet.last}, the video has {len(video)} frames"
                )
        return cls(video, seen, Path(name).name or DEFAULT_NAME)

    @classmethod
    def from_masklets(
        cls, video: Video, found: Masklets | Iterable[Masklets], name: str, reasons: Mapping[int, str] | None = None
    ) -> "VideoExportAnswer":
        """Take what tracking found: the objects of one phrase, or of several.

        Args:
            video: The video that was searched.
            found: The objects of one phrase, or those of each phrase.
            name: The video's file name. Folders before it are left out.
            reasons: Track id -> why the object belongs to the answer.

        Returns:
            What `Exporter.write_video` gets.

        Raises:
            ValueError: As for `from_tracks`.
        """
        groups = [found] if isinstance(found, Masklets) else found
        tracks = [
            ExportTrack(track_id, masklet, group.phrase, (reasons or {}).get(track_id, ""))
            for group in groups
            for track_id, masklet in zip(group.ids, group.masklets, strict=True)
        ]
        return cls.from_tracks(video, tracks, name)

    @property
    def stem(self) -> str:
        """The video's file name without the ending that tells its format."""
        return ExportAnswer.build_stem(self.name)

    @property
    def categories(self) -> list[str]:
        """The phrases that found the objects: each once, in the order of the objects."""
        return list(dict.fromkeys(track.category for track in self.tracks))

    @property
    def frame_paths(self) -> list[str]:
        """What data sets of frames call each frame: 'throw/00000.jpg' is the first."""
        return [f"{self.stem}/{index:05}.jpg" for index in range(len(self.video))]

    @property
    def duration(self) -> float:
        """Seconds; the last frame is shown as long as is usual in this video."""
        return sum(measure_durations(self.video.times.tolist()))

    def iterate_frames(self) -> Iterator[list[tuple[ExportTrack, RleMask, int]]]:
        """Return the objects that are seen on each frame.

        Returns:
            An iterator over all frames: of each, every object that is seen there, its mask, and the place of the frame
            among the object's frames.
        """
        for index in range(len(self.video)):
            places = ((track, track.masklet.find_place(index)) for track in self.tracks)
            yield [(track, track.masklet.rles[place], place) for track, place in places if place is not None]

    def rank_tracks(self) -> list[ExportTrack]:
        """Return the objects by their scores, the best first, and of equals the earlier.

        In formats that give a pixel to one object, it belongs to the best one. The order is the same on all frames, so
        that no pixel flickers.
        """
        return sorted(self.tracks, key=lambda track: -track.masklet.score)
