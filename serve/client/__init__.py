"""A client of the HTTP interface: typed, synchronous or asynchronous. It loads no network and no server."""

from serve.client.async_client import AsyncSam3Client
from serve.client.client import Sam3Client
from serve.client.exchanges import FoundPhrase, RefinedMasks, RemoteError, UploadedImage, UploadedVideo
from serve.client.masks import decode_answer

__all__ = [
    "AsyncSam3Client",
    "FoundPhrase",
    "RefinedMasks",
    "RemoteError",
    "Sam3Client",
    "UploadedImage",
    "UploadedVideo",
    "decode_answer",
]
