"""What the routes of one server share."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Generic, TypeVar

from fastapi import Request

from agent.core.planner import Planner
from sam3_tool import Image, Sam3, Video
from sam3_tool.network.fetching import UrlFetcher
from serve.http.errors import ApiError
from serve.http.images import ImageStore
from serve.http.metrics import Metrics
from serve.http.middleware.admission import Admission
from serve.http.middleware.auth import Tenant
from serve.http.schemas import VIDEO_ROUTES
from serve.http.settings import ServeSettings
from serve.router.shared_images import SharedImages
from serve.videos.store import VideoStore

UNWATCHED_SECONDS = 0.03
"""A request is worked on for so long before somebody looks whether its client is still there."""

Model = TypeVar("Model")
Answer = TypeVar("Answer")


class BackgroundModel(Generic[Model]):
    """A model that is loaded in a thread, once."""

    def __init__(self, load: Callable[[], Model]) -> None:
        """Keep how to load it. `start` begins."""
        self._load = load
        self.future: Future[Model] = Future()

    @classmethod
    def from_loaded(cls, model: Model) -> "BackgroundModel[Model]":
        """Hold a model that is there."""
        held = cls(lambda: model)
        held.future.set_result(model)
        return held

    def start(self) -> None:
        """Begin to load it, unless that was done."""
        if not (self.future.running() or self.future.done()):
            self.future.set_running_or_notify_cancel()
            Thread(target=self._load_model, name="loading", daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether it is loaded."""
        return self.future.done() and self.future.exception() is None

    def get(self) -> Model:
        """Return the model.

        Raises:
            ApiError: It is being loaded, or that failed.
        """
        if not self.future.done():
            raise ApiError(
                503, "loading", "the models are being loaded; try again in some seconds", {"retry-after": "2"}
            )
        if self.future.exception() is not None:
            raise ApiError(503, "model_failed", "a model could not be loaded; the server's log says why")
        return self.future.result()

    def _load_model(self) -> None:
        try:
            self.future.set_result(self._load())
        except Exception as error:  # whoever waits for the future gets it
            self.future.set_exception(error)


@dataclass(frozen=True, eq=False)
class Work:
    """A request that is worked on."""

    sam3: Sam3
    """Whatever it is asked for belongs to this request, and is not computed any more once the client has left."""
    deadline: float
    """When to give up what has not begun, in seconds of `time.monotonic`."""
    cancel: Event
    """Is set when the client has left."""
    pool: ThreadPoolExecutor
    """Threads for what blocks."""
    _request: Request

    async def run(self, function: Callable[[], Answer]) -> Answer:
        """Call a function in a thread, and watch whether the client leaves meanwhile."""
        loop = asyncio.get_running_loop()
        watching: list[asyncio.Task[None]] = []
        # most requests are answered before, and a task costs more than a timer
        timer = loop.call_later(UNWATCHED_SECONDS, lambda: watching.append(loop.create_task(self._watch_client())))
        try:
            return await loop.run_in_executor(self.pool, function)
        except asyncio.CancelledError:
            self.cancel.set()
            raise
        finally:
            timer.cancel()
            for task in watching:
                task.cancel()

    def build_unhurried(self) -> Sam3:
        """Return SAM 3 for what asks it again and again once it has begun, as videos do: only leaving ends it."""
        state = self._request.state
        return self.sam3.for_caller(f"{state.tenant.name}/{state.request_id}", cancel=self.cancel)

    async def _watch_client(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.cancel.set()


@dataclass(eq=False)
class Services:
    """Everything that a request may need; `get_services` gives it to a route."""

    settings: ServeSettings
    sam3: BackgroundModel[Sam3]
    planner: BackgroundModel[Planner]
    metrics: Metrics
    images: ImageStore = field(init=False)
    videos: VideoStore = field(init=False)
    admission: Admission = field(init=False)
    """For what SAM 3 works at."""
    uploads: Admission = field(init=False)
    """For files that are read and decoded."""
    pool: ThreadPoolExecutor = field(init=False)
    """Threads for what blocks."""
    fetcher: UrlFetcher = field(init=False)
    """For what clients name by URL."""
    draining: bool = False
    """Whether the server is about to end."""

    def __post_init__(self) -> None:
        """Make what the settings ask for."""
        settings, tenants = self.settings, self.settings.tokens.tenants
        shared = None if settings.image_folder is None else SharedImages(settings.image_folder)
        self.images = ImageStore(
            max_bytes=settings.image_bytes, seconds=settings.image_seconds, tenants=tenants, shared=shared
        )
        self.videos = VideoStore(
            max_bytes=settings.video_bytes,
            max_pixels=settings.max_pixels,
            seconds=settings.image_seconds,
            tenants=tenants,
            folder=settings.video_folder,
        )
        self.admission = Admission(inflight=settings.inflight, waiting=settings.waiting, tenants=len(tenants))
        self.uploads = Admission(
            inflight=settings.upload_inflight, waiting=settings.upload_waiting, tenants=len(tenants)
        )
        self.pool = ThreadPoolExecutor(settings.inflight + settings.upload_inflight, "serve")
        self.fetcher = UrlFetcher.from_hosts(settings.allowed_urls, max_bytes=settings.max_file_bytes)
        for name, text, read in (
            ("sam3_inflight", "Requests that SAM 3 works at.", lambda: self.admission.inside),
            ("sam3_waiting", "Requests that wait for that.", lambda: self.admission.waiting),
            ("sam3_uploads", "Uploads that are read or decoded.", lambda: self.uploads.held),
            ("sam3_kept_images", "Images that are kept.", lambda: len(self.images)),
            ("sam3_kept_videos", "Videos that are kept.", lambda: len(self.videos)),
            ("sam3_kept_image_bytes", "Bytes of the images that are kept.", lambda: self.images.nbytes),
        ):
            self.metrics.watch_number(name, text, read)

    @asynccontextmanager
    async def open_work(self, request: Request, *, seconds: float | None = None) -> AsyncIterator[Work]:
        """Wait for the turn of a request that SAM 3 works at.

        Args:
            request: The request, whose body has been read.
            seconds: How long it may wait; default: as its header `x-timeout` or the settings say.

        Raises:
            ApiError: SAM 3 is not loaded yet, too many requests wait, or this one has waited too long.
        """
        sam3, tenant = self.sam3.get(), request.state.tenant
        deadline = time.monotonic() + (_read_timeout(request, self.settings.deadline) if seconds is None else seconds)
        async with self.admission.hold_place(tenant), self.admission.enter(deadline) as waited:
            self.metrics.queue_seconds.observe(waited)
            cancel = threading.Event()
            caller = f"{tenant.name}/{request.state.request_id}"
            view = sam3.for_caller(caller, deadline=deadline, cancel=cancel)
            yield Work(view, deadline, cancel, self.pool, request)

    async def fetch_image(self, url: str) -> bytes:
        """Return the bytes at an address that a client names.

        Raises:
            FetchError: The server may not fetch from there, or nothing useful came.
        """
        return await self.fetcher.fetch(url)

    def get_image(self, tenant: Tenant, key: str) -> Image:
        """Return an image that is kept.

        Raises:
            ApiError: There is none of this key, or it is a video's.
        """
        try:
            return self.images.get(tenant, key)
        except ApiError:
            if self.videos.has(tenant, key):
                raise ApiError(422, "is_a_video", f"the key is a video's: {VIDEO_ROUTES}") from None
            raise

    async def open_video(self, tenant: Tenant, key: str) -> Video:
        """Return a video that is kept, opened in a thread.

        Raises:
            ApiError: There is none of this key, or it is an image's.
        """
        if not self.videos.has(tenant, key) and self.images.has(tenant, key):
            raise ApiError(422, "is_an_image", "this is the key of an image; give it as `image`, not as `video`")
        return await asyncio.get_running_loop().run_in_executor(self.pool, self.videos.get, tenant, key)

    def prefetch_image(self, tenant: Tenant, image: Image) -> None:
        """Begin to encode an image, in the one of several processes that will be asked about it."""
        slot = self.settings.slot
        if self.sam3.is_ready and (slot is None or slot.owns(image.key)):
            self.sam3.get().for_caller(tenant.name).prefetch(image)

    def find_failure(self) -> BaseException | None:
        """Return why the server cannot go on: what a model raised when it was loaded."""
        for future in (self.sam3.future, self.planner.future):
            if future.done() and (error := future.exception()) is not None:
                return error
        return None

    def close(self) -> None:
        """End the threads, and forget the videos."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.videos.close()


def _read_timeout(request: Request, most: float) -> float:
    """Return the seconds that a request may wait: what its header asks for, or less. Raises ApiError."""
    text = request.headers.get("x-timeout")
    if text is None:
        return most
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ApiError(422, "invalid", "x-timeout: expected a number of seconds above 0")
    return min(seconds, most)


async def get_services(request: Request) -> Services:
    """Return what the routes share. A dependency of routes."""
    services: Services = request.app.state.services
    return services
