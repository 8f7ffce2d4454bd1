"""The videos that clients have sent: files by tenant and key in one folder, for an hour, within a budget of bytes."""

import re
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from sam3_tool import Video
from sam3_tool.system.files import write_atomically
from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant
from serve.videos.opening import open_sent_video

OPEN_VIDEOS = 8
"""Videos that stay open in a process: each remembers frames that were decoded last."""
_KEY = re.compile(r"[0-9a-f]{32}")


def build_key(content: bytes, tenant: Tenant) -> str:
    """Return 32 hexadecimal digits, of the content of a file and its tenant.

    >>> build_key(b"film", Tenant())
    'cfee9917d81780264ec06921ea46ab66'
    """
    return blake2b(content, digest_size=16, key=blake2b(tenant.name.encode()).digest()).hexdigest()


class VideoStore:
    """Video files by tenant and key. Safe to share between threads; several processes may share its folder.

    The files that a tenant has not used for the longest time make room for that tenant's new ones.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_pixels: int,
        seconds: float,
        tenants: Sequence[Tenant] = (),
        folder: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Create an empty store.

        Args:
            max_bytes: Room for the files of all videos.
            max_pixels: Of a frame.
            seconds: A video is forgotten so long after it was last used.
            tenants: Everybody who may use it. Where there are several, each has half of the room at most.
            folder: Where other processes find the videos too. Default: a temporary folder, made with the first video.
            now: A clock in seconds since 1970.
        """
        self._max_bytes, self._max_pixels, self.seconds, self._now = max_bytes, max_pixels, seconds, now
        self._fair_bytes = max_bytes if len(tenants) < 2 else max_bytes // 2
        self._folder, self._is_shared = folder, folder is not None
        self._lock = Lock()
        self._open: OrderedDict[Path, Video] = OrderedDict()

    def put(self, tenant: Tenant, content: bytes) -> tuple[str, Video]:
        """Keep a video file.

        Args:
            tenant: Whose it is.
            content: The file.

        Returns:
            The video's key, and the video.

        Raises:
            ApiError: It is no video, or too large, or there is no room.
        """
        if len(content) > self._fair_bytes:
            message = (
                f"the video has {len(content):,} bytes, and there is room for {self._fair_bytes:,}; make it smaller"
            )
            raise ApiError(413, "no_room", message)
        key = build_key(content, tenant)
        path = self._make_folder() / self._build_name(tenant, key)
        if not path.exists():
            self._make_room(tenant, len(content))
            write_atomically(path, content)
        try:
            return key, self.get(tenant, key)
        except ApiError:
            path.unlink(missing_ok=True)
            raise

    def get(self, tenant: Tenant, key: str) -> Video:
        """Return a video, which thereby is the most recently used.

        Raises:
            ApiError: This tenant has no such video, or no more. Whether somebody else has it is not told.
        """
        path = self._find_path(tenant, key)
        if path is None:
            raise ApiError(404, "video_gone", "there is no video with this key here, or no more; upload it again")
        path.touch()
        with self._lock:
            known = self._open.pop(path, None)
        video = known or open_sent_video(path, tenant, key, max_pixels=self._max_pixels)
        with self._lock:
            self._open[path] = video
            while len(self._open) > OPEN_VIDEOS:
                self._open.popitem(last=False)
        return video

    def has(self, tenant: Tenant, key: str) -> bool:
        """Tell whether a tenant has a video of this key."""
        return self._find_path(tenant, key) is not None

    def drop(self, tenant: Tenant, key: str) -> None:
        """Forget a video, if it is there. Who works with it goes on to see it."""
        if (path := self._find_path(tenant, key)) is not None:
            self._remove(path)

    def drop_expired(self) -> None:
        """Forget the videos that nobody has used for too long."""
        for path, used, _ in self._list_files("*"):
            if used < self._now() - self.seconds:
                self._remove(path)

    def close(self) -> None:
        """Forget all videos, unless other processes share them."""
        with self._lock:
            self._open.clear()
        if self._folder is not None and not self._is_shared:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._list_files("*"))

    def _make_room(self, tenant: Tenant, needed: int) -> None:
        """Forget what must leave for so many bytes. Raises ApiError where others have all of the room."""
        own = self._list_files(f"{_hash_owner(tenant)}-*")
        taken, total = sum(size for *_, size in own), sum(size for *_, size in self._list_files("*"))
        for path, _, size in own:
            if taken + needed <= self._fair_bytes and total + needed <= self._max_bytes:
                return
            self._remove(path)
            taken, total = taken - size, total - size
        if total + needed > self._max_bytes:
            raise ApiError(429, "no_room", "the room for videos is full; try again later", {"retry-after": "60"})

    def _list_files(self, pattern: str) -> list[tuple[Path, float, int]]:
        """List files, when each was last used, and its bytes: the least recently used first."""

        def find_files() -> Iterator[tuple[Path, float, int]]:
            for path in () if self._folder is None else self._folder.glob(f"{pattern}.video"):
                with suppress(FileNotFoundError):  # another process was faster
                    found = path.stat()
                    yield path, found.st_mtime, found.st_size

        return sorted(find_files(), key=lambda file: file[1])

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with self._lock:
            self._open.pop(path, None)

    def _make_folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="sam3-agent-videos-"))
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return self._folder

    def _find_path(self, tenant: Tenant, key: str) -> Path | None:
        """Return the file of a video; None where there is none. A key alone opens nobody else's video."""
        if self._folder is None or _KEY.fullmatch(key) is None:
            return None
        path = self._folder / self._build_name(tenant, key)
        return path if path.exists() else None

    def _build_name(self, tenant: Tenant, key: str) -> str:
        return f"{_hash_owner(tenant)}-{key}.video"


def _hash_owner(tenant: Tenant) -> str:
    return blake2b(tenant.name.encode(), digest_size=16).hexdigest()
