"""The images that clients have sent: pixels by tenant and key, for an hour, within a budget of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from threading import Lock
from time import monotonic

import numpy as np

from sam3_tool import Image
from sam3_tool.errors import ImageError, ImageSizeError
from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant
from serve.router.shared_images import SharedImages


@dataclass(frozen=True, eq=False)
class TenantImage(Image):
    """An image under a key of its tenant's own.

    Two tenants with the same image share no embedding, so that neither can tell from an answer, or from how quickly
    it came, that the other has it.
    """

    owner: str = ""

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits, of the content and the tenant."""
        content = Image(self.pixels).key
        return blake2b(content.encode(), digest_size=16, key=blake2b(self.owner.encode()).digest()).hexdigest()


def read_image(content: bytes, tenant: Tenant, *, max_pixels: int) -> Image:
    """Read an image file that a client has sent.

    Args:
        content: The file.
        tenant: Whose it is.
        max_pixels: The server's limit; the tenant may have a lower one.

    Returns:
        The image, with the tenant's own key.

    Raises:
        ApiError: It is no image, or too large.
    """
    most = max_pixels if tenant.max_pixels is None else min(max_pixels, tenant.max_pixels)
    try:
        return give_owner(Image.read(content, max_pixels=most), tenant)
    except ImageSizeError as error:
        raise ApiError(413, "too_many_pixels", str(error)) from error
    except ImageError as error:
        if "; extract a frame first" in str(error):
            raise ApiError(415, "not_an_image", VIDEO_SENT) from error
        raise ApiError(415, "not_an_image", str(error)) from error


def give_owner(image: Image, tenant: Tenant) -> Image:
    """Return the image with the tenant's own key; without tenants, with that of its content."""
    is_owned = not tenant.name or (isinstance(image, TenantImage) and image.owner == tenant.name)
    return image if is_owned else TenantImage(image.pixels, image.notes, tenant.name)


def _build_image(pixels: np.ndarray, tenant: Tenant, key: str, *, notes: tuple[str, ...] = ()) -> Image:
    """Return an image whose key is known."""
    image = TenantImage(pixels, notes, tenant.name) if tenant.name else Image(pixels, notes)
    vars(image)["key"] = key
    return image


VIDEO_SENT = "this is a video, and an image is expected; upload it to /v1/videos, or give it as `input_video`"
FORGETTING_SECONDS = 60.0
"""How often what is not used any more is forgotten."""
MIN_IMAGE_BYTES = 2**16
"""Bytes that an image counts at least, so that small ones have a limit too."""


@dataclass
class _Kept:
    image: Image
    until: float

    @property
    def nbytes(self) -> int:
        return max(MIN_IMAGE_BYTES, self.image.pixels.nbytes)


class _Shelf:
    """The images of one tenant, the least recently used first."""

    def __init__(self) -> None:
        self.nbytes = 0
        self.kept: OrderedDict[str, _Kept] = OrderedDict()

    def put(self, key: str, kept: _Kept) -> None:
        self.kept[key] = kept
        self.nbytes += kept.nbytes

    def pop(self, key: str) -> _Kept | None:
        kept = self.kept.pop(key, None)
        self.nbytes -= 0 if kept is None else kept.nbytes
        return kept

    def pop_oldest(self) -> str:
        oldest = next(iter(self.kept))
        self.pop(oldest)
        return oldest


class ImageStore:
    """Images by tenant and key. Safe to share between threads.

    What was used least recently is forgotten first: of a tenant whose own room is full, and else of the tenant whose
    images take most room. Nobody can push out the images of somebody who has fewer.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        seconds: float,
        tenants: Sequence[Tenant] = (),
        now: Callable[[], float] = monotonic,
        shared: SharedImages | None = None,
    ) -> None:
        """Create an empty store.

        Args:
            max_bytes: Room for the pixels of all images.
            seconds: An image is forgotten so long after it was last used.
            tenants: Everybody who may use it.
            now: A clock in seconds.
            shared: Where other processes find the images too, and this one theirs.
        """
        self._shared = shared
        self.seconds, self._max_bytes, self._now = seconds, max_bytes, now
        self._fair_bytes = max_bytes if len(tenants) < 2 else max_bytes // 2
        self._lock = Lock()
        self._shelves: dict[str, _Shelf] = {}

    def put(self, tenant: Tenant, image: Image) -> Image:
        """Keep an image.

        Args:
            tenant: Whose it is.
            image: The image.

        Returns:
            The image as it is kept, with the tenant's own key.

        Raises:
            ApiError: It is larger than the tenant's room.
        """
        own = give_owner(image, tenant)
        room, needed = self._get_room(tenant), _Kept(own, 0.0).nbytes
        if needed > room:
            raise ApiError(
                413, "no_room", f"the image takes {needed:,} bytes, and there is room for {room:,}; make it smaller"
            )
        if self._shared is not None:
            shared = self._shared.write(tenant.name, own.key, own.pixels)
            own = _build_image(shared, tenant, own.key, notes=own.notes)
        return self._keep(tenant, own)

    def _get_room(self, tenant: Tenant) -> int:
        return min(self._max_bytes, self._fair_bytes if tenant.max_image_bytes is None else tenant.max_image_bytes)

    def _keep(self, tenant: Tenant, image: Image) -> Image:
        kept = _Kept(image, self._now() + self.seconds)
        with self._lock:
            shelf = self._shelves.setdefault(tenant.name, _Shelf())
            if (known := shelf.pop(image.key)) is not None:
                kept.image = known.image
            shelf.put(image.key, kept)
            while shelf.nbytes > self._get_room(tenant):
                self._drop_oldest(tenant.name)
            while sum(each.nbytes for each in self._shelves.values()) > self._max_bytes:
                self._drop_oldest(max(self._shelves, key=lambda name: self._shelves[name].nbytes))
            return kept.image

    def _drop_oldest(self, owner: str) -> None:
        key = self._shelves[owner].pop_oldest()
        if self._shared is not None:
            self._shared.remove(owner, key)

    def get(self, tenant: Tenant, key: str) -> Image:
        """Return an image, which thereby is the most recently used.

        Raises:
            ApiError: This tenant has no such image, or no more. Whether somebody else has it is not told.
        """
        with self._lock:
            shelf = self._shelves.get(tenant.name, _Shelf())
            kept = shelf.kept.get(key)
            if kept is not None and kept.until > self._now():
                shelf.kept.move_to_end(key)
                kept.until = self._now() + self.seconds
                return kept.image
        pixels = None if self._shared is None else self._shared.read(tenant.name, key)
        if pixels is None:
            raise ApiError(404, "image_gone", "there is no image with this key here, or no more; upload it again")
        return self._keep(tenant, _build_image(pixels, tenant, key))

    def has(self, tenant: Tenant, key: str) -> bool:
        """Tell whether a tenant has an image of this key."""
        try:
            return self.get(tenant, key) is not None
        except ApiError:
            return False

    def drop(self, tenant: Tenant, key: str) -> None:
        """Forget an image, if it is there."""
        with self._lock:
            if tenant.name in self._shelves:
                self._shelves[tenant.name].pop(key)
        if self._shared is not None:
            self._shared.remove(tenant.name, key)

    def drop_expired(self) -> None:
        """Forget the images that nobody has used for too long."""
        with self._lock:
            for owner, shelf in self._shelves.items():
                for key in [key for key, kept in shelf.kept.items() if kept.until <= self._now()]:
                    shelf.pop(key)
                if self._shared is not None:
                    for key in shelf.kept:
                        self._shared.touch(owner, key)
        if self._shared is not None:
            self._shared.remove_unused(self.seconds + FORGETTING_SECONDS)

    @property
    def nbytes(self) -> int:
        """Bytes that all images count."""
        with self._lock:
            return sum(shelf.nbytes for shelf in self._shelves.values())

    def __len__(self) -> int:
        with self._lock:
            return sum(len(shelf.kept) for shelf in self._shelves.values())
