"""Why a file that is named like weights, or lies beside them, is none, by its first bytes. Nothing is loaded for it."""

import json
from pathlib import Path

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.errors import CheckpointError

MOST_HEADER_BYTES = 100 * 2**20
"""Of safetensors, by their definition."""
_HEAD_BYTES = 512
_POINTER = b"version https://git-lfs"
_FORMATS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "BOOL")
"""Of numbers in safetensors, as they are written there; whole numbers are positions and the like."""


def check_weight_file(file: Path) -> None:
    """Do nothing if a file may hold weights; who reads them finds what is wrong with the weights themselves.

    Raises:
        CheckpointError: It cannot be read, is something else by its first bytes, is a part of safetensors, or holds
            quantised weights.
    """
    if fault := describe_weight_fault(file):
        raise CheckpointError(f"{file} {fault}. {WORKS_NOW}")


def check_json_file(file: Path) -> None:
    """Do nothing if a file holds a JSON object, or is not there.

    Raises:
        CheckpointError: It cannot be read, or holds something else.
    """
    try:
        content = file.read_bytes() if file.exists() else b"{}"
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read ({error.strerror}). {WORKS_NOW}") from error
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        fault = describe_head(content[:_HEAD_BYTES]) or "holds no JSON object; download it again"
        raise CheckpointError(f"{file} {fault}. {WORKS_NOW}")


def describe_weight_fault(file: Path) -> str:
    """Say why a file holds no weights and what to do; "" where it may hold some.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     page = Path(folder, "sam3.pt")
    ...     _ = page.write_text("<!DOCTYPE html><title>Sign in</title>")
    ...     describe_weight_fault(page)
    'is an HTML page, which a server sends in place of a file; log in if it asks for that, and download again'
    """
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD_BYTES)
        return describe_head(head) or _describe_tensors(file, head)
    except OSError as error:
        return f"cannot be read ({error.strerror}); make it readable for this user, or name another file"


def describe_head(head: bytes) -> str:
    """Say what a file is that begins with these bytes and holds no weights; "" for anything else."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty; download it again"
    if head.startswith(_POINTER):
        return "is a Git LFS pointer, which stands for the file itself; fetch that with `git lfs pull` in its folder"
    if not head.strip(b"\0"):
        return "begins with zero bytes, as an interrupted download leaves; download it again"
    if text.startswith((b"<!doctype html", b"<html")):
        return (
            "is an HTML page, which a server sends in place of a file; log in if it asks for that, and download again"
        )
    if text.startswith((b"<", b"{", b"[")):
        return "is a text, perhaps what a server says in place of a file; read it, and download the file again"
    return ""


def _describe_tensors(file: Path, head: bytes) -> str:
    """Say that only a part of safetensors is there, or that they are quantised; "" for all else."""
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or length > MOST_HEADER_BYTES:
        return ""
    found = file.stat().st_size
    try:
        with file.open("rb") as content:
            header = json.loads(content.read(8 + length)[8:])
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        whole = 8 + length + max(ends, default=0)
        odd = next((name for name, tensor in header.items() if tensor.get("dtype", "F32") not in _FORMATS), "")
    except (ValueError, LookupError, TypeError, AttributeError):
        whole, odd = 8 + length, ""
    if odd:
        return (
            f"holds {odd} as {header[odd]['dtype']}; expected float32, float16 or bfloat16 (quantised weights are not"
            " read): name the original file"
        )
    return f"is only a part of a file: {found:,} of {whole:,} bytes are there; download it again" * (found < whole)
