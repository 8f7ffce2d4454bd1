"""One query about every image of a source, answered one after the other."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.episode import Episode, Task
from agent.core.planner import Planner
from agent.loop import run
from agent.sources.expanding import SourceItem, expand_sources
from agent.sources.fetching import make_fetcher
from sam3_tool.errors import DeviceError, UserError
from sam3_tool.image import Image
from sam3_tool.sam3 import Sam3
from sam3_tool.video.video import Video

Source = str | Path | bytes | Image | Video
"""A path, a pattern or a URL; the content of an image file; an image or a video."""


@dataclass(frozen=True, eq=False)
class SourceAnswer:
    """What came of one image or video of a source: an episode, or why there is none."""

    source: str
    """Its path or URL; "" for what has none."""
    episode: Episode | None
    """The finished episode."""
    error: UserError | None = None
    """Why there is no episode, e.g. an image that cannot be read; None where there is one."""


def segment_source(
    source: Source | Iterable[Source],
    query: str,
    planner: Planner,
    sam3: Sam3,
    *,
    budget: Budget = DEFAULT_BUDGET,
    each: bool = True,
    max_pixels: int | None = None,
    allow_hosts: Collection[str] = (),
) -> Iterator[SourceAnswer]:
    """Answer one query about every image of a source. Each answer is yielded as soon as it is there.

    An image that cannot be read, or asked about, gives an answer with an error, and the next one is taken.

    Args:
        source: A file, a folder, a pattern such as "photos/*.jpg", a `.txt` file with one path or URL on each line, a
            URL, the bytes of an image file, an `Image`, a `Video`, or several of these.
        query: What to find.
        planner: It chooses the calls. Videos need one with the toolset `VIDEO`.
        sam3: The segmenter.
        budget: The limits of each episode.
        each: Take every image of a folder by itself; False takes a folder as a video, whose frames they are.
        max_pixels: Refuse larger images.
        allow_hosts: Hosts from which URLs may be fetched, since a source may come from somebody else; none by default.

    Yields:
        One answer for each image or video, in order.

    Raises:
        UsageError: The source matches nothing, or a host is none.
        PathError: The source cannot be the name of a file.
        DeviceError: SAM 3 cannot go on.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner
        >>> from sam3_tool import ScriptedBackend
        >>> images = [Image(np.zeros((4, 6, 3), np.uint8)), b"no image"]
        >>> answers = segment_source(images, "all the cups", GrammarPlanner(), Sam3(ScriptedBackend({})))
        >>> [(answer.episode and answer.episode.outcome, type(answer.error).__name__) for answer in answers]
        [('no_match', 'NoneType'), (None, 'ImageError')]
    """
    items, fetch = _list_items(source, each), make_fetcher([], allow_hosts, option="`allow_hosts`")
    return (_answer_item(item, query, planner, sam3, budget, max_pixels, fetch) for item in items)


def _list_items(source: Source | Iterable[Source], each: bool) -> list[SourceItem]:
    sources = [source] if isinstance(source, Source) else [*source]
    items: list[SourceItem] = []
    for named in sources:
        if isinstance(named, str | Path):
            items += expand_sources([str(named)], each=each).items
        else:
            items.append(SourceItem("", named))
    return items


def _answer_item(
    item: SourceItem,
    query: str,
    planner: Planner,
    sam3: Sam3,
    budget: Budget,
    max_pixels: int | None,
    fetch: Callable[[str], bytes],
) -> SourceAnswer:
    try:
        subject = item.open_subject(max_pixels=max_pixels, fetch=fetch)
        task = Task(subject, query) if isinstance(subject, Image) else Task.from_video(subject, query)
        return SourceAnswer(item.source, run(task, planner, sam3, budget=budget))
    except DeviceError:
        raise
    except UserError as error:
        return SourceAnswer(item.source, None, error)
