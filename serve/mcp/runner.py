"""The tools at work: each call reads the state of an image, runs in a thread, and puts the next state in its place."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from mimetypes import guess_type
from threading import Event
from typing import Any

from mcp_types import CallToolResult, ResourceLink, TextContent

from agent.conversation.edits import answer_with_ids
from agent.conversation.events import context_after
from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.context import ConversationContext
from agent.core.episode import Episode, Task
from agent.core.errors import ConversationError, ToolError
from agent.core.planner import Planner
from agent.core.text.english import format_ids, format_mask_count
from agent.core.text.sanitizing import to_one_line
from agent.doubt.policy import NO_POLICY, DoubtPolicy, apply_doubt
from agent.doubt.replies import settle_doubt
from agent.exports import ExportAnswer, Exporter, list_formats
from agent.exports.base import Medium
from agent.loop import run, watch
from agent.planners.scripted import ScriptedPlanner
from agent.tools import Tool
from agent.tools.ids import validate_ids
from agent.tools.refine import Refine
from agent.tools.segment import Segment
from sam3_tool import Image, Sam3, ScriptedBackend, Video
from sam3_tool.errors import ImageError
from sam3_tool.network.fetching import UrlFetcher
from serve.mcp.answers import EXPORT_URI, MaskAnswer, build_preview, encode_mask_png
from serve.mcp.folder import Folder
from serve.mcp.images import HANDLE_LETTERS, ImageShelf, OpenedImage
from serve.mcp.inputs import ImageFile, find_web_address, read_image_source
from serve.mcp.models import Models
from serve.mcp.offers import Ask, CloseImage, Export, OpenImage, OpenVideo, find_offer
from serve.mcp.videos import VIDEO_TOOLS, VideoAnswer, build_task, describe_video, encode_tracks, open_sent_video
from serve.mcp.workers import Report, Workers

CALLS_PER_CALLER = 4
"""At a time, so that no caller takes all threads."""
MAX_EXAMPLES = 32
"""Masks that show what is meant, or what is not: each becomes a box of the prompt."""
MAX_TURNS = 8
"""Earlier questions about an image that `ask` is told of."""
MAX_STEP_LETTERS = 160
"""Of a step, in a report on progress."""
_MASK = re.compile(r"sam3://images/([0-9a-f]{1,32})/masks/([0-9]{1,9})\.png")
_EXPORT = re.compile(r"sam3://images/([0-9a-f]{1,32})/exports/([\w.-]{1,40})/([0-9]{1,9}(?:,[0-9]{1,9}){0,9999})")
_FOLDERS = re.compile(r"(?<![\w:/.~\\])(?:~|[A-Za-z]:)?(?:[\\/][^\s\\/'\"`,;:()]+)+[\\/]")
"""All but the last part of a path from the root of a disk or a home folder; no part of a URL."""
NO_URLS = UrlFetcher.from_hosts((), max_bytes=0)
_NOBODY = ScriptedPlanner([])
"""Tools that assistants call examine nothing."""


@dataclass(frozen=True)
class Limits:
    """What one call may take."""

    max_pixels: int
    max_bytes: int
    """Of an image file."""
    overlay_side: int = 1024
    """Pixels of the long side of the images that are shown; 0 = none are."""
    budget: Budget = DEFAULT_BUDGET
    """Of `ask`."""
    doubt: DoubtPolicy = NO_POLICY
    """What becomes of doubtful masks in the answers of `ask`."""


@dataclass(frozen=True)
class Resource:
    """What a link leads to."""

    content: bytes
    mime_type: str


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs calls. It belongs to one event loop."""

    models: Models
    shelf: ImageShelf
    folder: Folder | None
    """What paths lead into; None = no files are read or written."""
    limits: Limits
    fetcher: UrlFetcher = NO_URLS
    """For images of other servers."""
    workers: Workers = field(default_factory=lambda: Workers(16))
    decoders: Workers = field(default_factory=lambda: Workers(2))
    """For images, which take most memory while they are decoded."""
    turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    """By caller."""

    async def run_call(self, caller: str, name: str, arguments: Mapping[str, Any], report: Report) -> CallToolResult:
        """Run the tool of this name.

        Args:
            caller: Whose images may be used.
            name: Of the tool.
            arguments: As the assistant wrote them.
            report: Tells the client how far the call has come.

        Returns:
            What the protocol carries.

        Raises:
            ToolError: The assistant made a mistake; the sentence says what to do.
            UserError: SAM 3 or the planner cannot go on.
        """
        handle, call = find_offer(name).read_call(arguments)
        async with self._get_turns(caller):
            return await self._run(caller, handle, call, report)

    def _get_turns(self, caller: str) -> asyncio.Semaphore:
        return self.turns.setdefault(caller, asyncio.Semaphore(CALLS_PER_CALLER))

    async def _run(self, caller: str, handle: str, call: Tool, report: Report) -> CallToolResult:
        match call:
            case OpenVideo():
                return await self._open_video(caller, call, report)
            case OpenImage():
                return await self._open_image(caller, call, report)
            case CloseImage():
                return self._close_image(caller, handle)
            case Export():
                return await self._export_masks(self.shelf.get_image(caller, handle), call, report)
        opened = self.shelf.get_image(caller, handle)
        if opened.video is not None and not isinstance(call, Ask):
            raise ToolError(f"{opened.handle} is a video, and `{call.name}` takes an image; videos take {VIDEO_TOOLS}.")
        cancel = Event()
        async with opened.lock:
            try:
                context, result = await self._find_masks(caller, opened, call, cancel, report)
            finally:
                cancel.set()  # of a call that is given up, what has not begun is not computed
            self.shelf.update_context(caller, opened, context)
        return result

    async def _open_video(self, caller: str, call: OpenVideo, report: Report) -> CallToolResult:
        fetched = await self._fetch_source(call)

        def open_file() -> tuple[Video, Image, str]:
            file = self._read_source(call, fetched)
            video = open_sent_video(file.content, max_pixels=self.limits.max_pixels)
            _ = video.key  # hashed here, in a thread
            return video, video.read_frame(0), file.name

        video, first, name = await self.decoders.run(open_file, report, "reading the video")
        opened = self.shelf.put_image(caller, first, name, video)
        preview = await self.workers.run(partial(build_preview, first, self.limits.overlay_side), report, "drawing")
        size = {"width": video.width, "height": video.height}
        return CallToolResult(
            content=[TextContent(text=describe_video(opened, video)), *preview],
            structured_content={
                "image": opened.handle,
                **size,
                "frames": len(video),
                "seconds": round(float(video.times[-1]), 3),
            },
        )

    async def _fetch_source(self, call: OpenImage) -> bytes | None:
        """Fetch what lies at another server; None for any other source."""
        address = find_web_address(call)
        return None if address is None else await self.fetcher.fetch(address)

    def _read_source(self, call: OpenImage, fetched: bytes | None) -> ImageFile:
        if fetched is None:
            return read_image_source(call, self.folder, max_bytes=self.limits.max_bytes)
        return ImageFile(fetched, is_seen=False)

    async def _open_image(self, caller: str, call: OpenImage, report: Report) -> CallToolResult:
        fetched = await self._fetch_source(call)

        def open_file() -> tuple[Image, str, bool]:
            file = self._read_source(call, fetched)
            try:
                image = Image.read(file.content, max_pixels=self.limits.max_pixels)
            except ImageError as error:
                if "; extract a frame first" in str(error):
                    raise ToolError("The file is a video; open it with `open_video`, and `ask` about it.") from error
                raise
            _ = image.key  # hashed here, in a thread, for that takes a while with a large image
            return image, file.name, file.is_seen

        image, name, is_seen = await self.decoders.run(open_file, report, "reading the image")
        opened = self.shelf.put_image(caller, image, name)
        if self.models.sam3.future.done() and self.models.sam3.future.exception() is None:
            self._get_sam3(self.models.sam3.future.result(), caller).prefetch(image)
        side = 0 if is_seen else self.limits.overlay_side
        preview = await self.workers.run(partial(build_preview, image, side), report, "drawing")
        return CallToolResult(
            content=[TextContent(text=_describe_image(opened)), *preview],
            structured_content={"image": opened.handle, "width": image.width, "height": image.height},
        )

    def _close_image(self, caller: str, handle: str) -> CallToolResult:
        was_open = self.shelf.close_image(caller, handle)
        text = "The image and its masks are forgotten." if was_open else f"No image {handle[:40]!r} was open."
        return CallToolResult(content=[TextContent(text=text)], structured_content={"closed": was_open})

    async def _find_masks(
        self, caller: str, opened: OpenedImage, call: Tool, cancel: Event, report: Report
    ) -> tuple[ConversationContext, CallToolResult]:
        """Run a tool that answers with masks. What it found is in the context; the image stays as it was."""
        if isinstance(call, Ask):
            settled = _settle_doubt(opened, call.query)
            if settled is not None:
                return await self.workers.run(partial(self._finish_episode, settled), report, "drawing")
            sam3 = await self.models.sam3.wait_until_loaded(report)
            loaded = self.models.planner if opened.video is None else self.models.video_planner
            planner = await loaded.wait_until_loaded(report)
            task = build_task(opened, call.query)
            episode = await self._run_episode(task, planner, self._get_sam3(sam3, caller, cancel), report)
            return await self.workers.run(partial(self._finish_episode, episode), report, "drawing")
        if isinstance(call, Segment) and len(call.exemplars) + len(call.negatives) > MAX_EXAMPLES:
            raise ToolError(
                f"Give at most {MAX_EXAMPLES} exemplars and negatives together; a few good ones are enough."
            )
        needs_network = isinstance(call, Segment | Refine)
        sam3 = await self.models.sam3.wait_until_loaded(report) if needs_network else Sam3(ScriptedBackend({}))
        run_tool = partial(self._run_tool, opened, call, self._get_sam3(sam3, caller, cancel))
        return await self.workers.run(run_tool, report, call.name)

    def _get_sam3(self, sam3: Sam3, caller: str, cancel: Event | None = None) -> Sam3:
        return sam3.for_caller(f"mcp {caller}", cancel=cancel)

    def _run_tool(self, opened: OpenedImage, call: Tool, sam3: Sam3) -> tuple[ConversationContext, CallToolResult]:
        observation = call.run(Episode(Task(opened.image, "", opened.context)), sam3, _NOBODY)
        workspace = observation.workspace or opened.workspace
        selected = opened.context.selected if observation.shown is None else observation.shown
        warnings = _list_warnings(call.phrases, sam3) if isinstance(call, Segment) else []
        answer = MaskAnswer(
            opened.image,
            workspace,
            " ".join([observation.text, *warnings]),
            observation.shown or (),
            has_overlay=isinstance(call, Segment | Refine) or observation.workspace is not None,
        )
        context = replace(opened.context, workspace=workspace, selected=selected)
        return context, answer.to_result(self.limits.overlay_side)

    async def _run_episode(self, task: Task, planner: Planner, sam3: Sam3, report: Report) -> Episode:
        """Answer a query, and report each step."""
        turns, episode = watch(task, planner, sam3, budget=self.limits.budget), Episode(task)
        while episode.outcome is None:
            episode = await self.workers.run(partial(next, turns, episode), report, "thinking")
            await report(format_step(episode))
        return apply_doubt(episode, self.limits.doubt)

    def _finish_episode(self, episode: Episode) -> tuple[ConversationContext, CallToolResult]:
        options = " or ".join(f"'{option}'" for option in episode.steps[-1].observation.options)
        hint = f" Ask the user, then call `ask` with the reading: {options}." if episode.outcome == "asked" else ""
        message = hide_paths(episode.message) if episode.outcome == "failed" else episode.message
        context = context_after(episode)
        context = replace(context, turns=context.turns[-MAX_TURNS:])
        if episode.task.video is not None:
            handle = episode.task.video.key[:HANDLE_LETTERS]
            return context, VideoAnswer(handle, episode, message + hint).to_result(self.limits.overlay_side)
        answer = MaskAnswer(
            episode.task.image,
            episode.workspace,
            message + hint,
            episode.current_ids,
            outcome=episode.outcome or "",
            reasons=episode.reasons,
        )
        return context, answer.to_result(self.limits.overlay_side)

    async def _export_masks(self, opened: OpenedImage, call: Export, report: Report) -> CallToolResult:
        ids = validate_ids(call.ids or opened.context.selected, opened.workspace)
        if not ids:
            raise ToolError("There is nothing to save, as no masks were shown yet; call `segment` or `ask` first.")
        exporter, name = _select_exporter(call.format, opened), call.format
        values: dict[str, Any] = {"masks": len(ids)}
        if self.folder is None:
            uri = EXPORT_URI.format(image=opened.handle, format=name, ids=",".join(map(str, ids)))
            text = f"{format_mask_count(len(ids))} as {name}, to be read from the link: this server has no folder."
            link = ResourceLink(uri=uri, name=_build_file_name(opened, exporter), mime_type=_guess_type(exporter))
            return CallToolResult(content=[TextContent(text=text), link], structured_content={**values, "uri": uri})
        target = (
            f"{call.file.removesuffix(exporter.suffix)}{exporter.suffix}"
            if call.file
            else _build_file_name(opened, exporter)
        )
        folder = self.folder
        written = await self.workers.run(
            lambda: folder.write_file(target, _encode_masks(opened, ids, exporter)), report, "saving"
        )
        text = f"Saved {format_mask_count(len(ids))} as {name} in {written!r}, in the folder of this server."
        return CallToolResult(content=[TextContent(text=text)], structured_content={**values, "file": written})

    async def read_resource(self, caller: str, uri: str, report: Report) -> Resource:
        """Read what a link of an answer leads to.

        Raises:
            ToolError: There is no such thing, or not for this caller.
        """
        if found := _MASK.fullmatch(uri):
            opened = self.shelf.get_image(caller, found[1])
            [id] = validate_ids([int(found[2])], opened.workspace)
            content = await self.workers.run(partial(encode_mask_png, opened.workspace[id]), report, "encoding")
            return Resource(content, "image/png")
        if found := _EXPORT.fullmatch(uri):
            opened = self.shelf.get_image(caller, found[1])
            ids = validate_ids([int(id) for id in found[3].split(",")], opened.workspace)
            exporter = _select_exporter(found[2], opened)
            content = await self.workers.run(partial(_encode_masks, opened, ids, exporter), report, "encoding")
            return Resource(content, _guess_type(exporter))
        raise ToolError(f"There is no resource {uri[:80]!r}; read the links that the tools answer with.")


def format_step(episode: Episode) -> str:
    """The last step of an episode in one line, e.g. "segment: Found 2 masks for 'cup': 1 and 2."."""
    step = episode.steps[-1]
    return f"{step.decision.tool}: {to_one_line(step.observation.text)}"[:MAX_STEP_LETTERS]


def _settle_doubt(opened: OpenedImage, query: str) -> Episode | None:
    """Return the turn of a reply about doubtful masks; None for any other query. Raises ToolError for a wrong mask."""
    try:
        kept = settle_doubt(opened.context, query)
    except ConversationError as error:
        raise ToolError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    if kept is None:
        return None
    task = replace(build_task(opened, query), by_hand=True)
    return run(task, ScriptedPlanner([partial(answer_with_ids, kept)]), Sam3(ScriptedBackend({})))


def hide_paths(text: str) -> str:
    """Return the text without the folders of this machine, whoever wrote it.

    >>> hide_paths("cannot read /srv/models/sam3.json; see http://localhost/v1/models")
    'cannot read …/sam3.json; see http://localhost/v1/models'
    """
    return _FOLDERS.sub("…/", text)


def _describe_image(opened: OpenedImage) -> str:
    image, workspace = opened.image, opened.workspace
    masks = f" It is open already, with masks {format_ids(range(1, len(workspace) + 1))}." if len(workspace) else ""
    notes = " ".join(["", *image.notes])
    return (
        f"Image {opened.handle} is {image.width} x {image.height} pixels.{masks}{notes} Next: `segment` with short noun"
        " phrases, or `ask` with a whole question."
    )


def _list_warnings(phrases: Sequence[str], sam3: Sam3) -> list[str]:
    return [warning for phrase in phrases if (warning := sam3.vocabulary_warning(phrase))]


def _select_exporter(name: str, opened: OpenedImage) -> Exporter:
    medium: Medium = "image" if opened.video is None else "video"
    formats = list_formats(medium)
    if name not in formats:
        known = ", ".join(formats)
        raise ToolError(
            f"There is no format {name[:40]!r} of an answer about this {medium}; `format` is one of {known}."
        )
    return formats[name]


def _build_file_name(opened: OpenedImage, exporter: Exporter) -> str:
    return exporter.build_file_name(opened.name or opened.handle)


def _encode_masks(opened: OpenedImage, ids: Sequence[int], exporter: Exporter) -> bytes:
    """What the format makes of these masks."""
    if opened.video is not None:
        return encode_tracks(opened, ids, exporter)
    assert exporter.encode is not None, "it is a format of images"
    candidates, name = opened.workspace.pick(ids), opened.name or opened.handle
    return exporter.encode(ExportAnswer.from_candidates(opened.image, candidates, name, {}))


def _guess_type(exporter: Exporter) -> str:
    return guess_type(f"masks{exporter.suffix}")[0] or "application/octet-stream"
