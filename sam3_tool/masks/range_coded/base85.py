"""Bytes as the base-85 text of Meta's SAM API: a length in five digits, then five digits for every four bytes."""

from sam3_tool.masks.range_coded.errors import MaskTextError

DIGITS = "".join(chr(code) for code in range(0x21, 0x7C) if chr(code) not in '"\\,;<>|')
"""The 85 characters that no other part of an answer uses."""
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_LENGTH_DIGITS = 5


def pack_bytes(content: bytes) -> str:
    """Write bytes in base 85: five digits of their number, then five for every four bytes.

    >>> pack_bytes(b"masks")
    "!!!!'I00Q%Jx"
    """
    tail = len(content) % 4
    padded = content + bytes(-len(content) % 4)
    groups = [_write_digits(int.from_bytes(padded[at : at + 4], "big")) for at in range(0, len(padded), 4)]
    if tail:
        groups[-1] = groups[-1][: tail + 1]
    return _write_digits(len(content)) + "".join(groups)


def unpack_bytes(text: str) -> bytes:
    """Read what `pack_bytes` wrote; every other spelling of the same bytes is refused.

    Raises:
        MaskTextError: A character is no digit, the length does not fit, or the spelling is another one.

    >>> unpack_bytes("!!!!'I00Q%Jx")
    b'masks'
    """
    length = _read_digits(text[:_LENGTH_DIGITS]) if len(text) >= _LENGTH_DIGITS else -1
    tail = length % 4
    if len(text) != _LENGTH_DIGITS + length // 4 * 5 + (tail + 1 if tail else 0):
        raise MaskTextError(f"it has {len(text)} characters, which its own length does not announce")
    padded = text[_LENGTH_DIGITS:] + DIGITS[-1] * (-(len(text) - _LENGTH_DIGITS) % 5)
    numbers = [_read_digits(padded[at : at + 5]) for at in range(0, len(padded), 5)]
    if any(number >> 32 for number in numbers):
        raise MaskTextError("five of its digits are more than four bytes hold")
    content = b"".join(number.to_bytes(4, "big") for number in numbers)[:length]
    if pack_bytes(content) != text:
        raise MaskTextError("its last digits are not those of its bytes")
    return content


def _write_digits(number: int) -> str:
    return "".join(DIGITS[number // 85**power % 85] for power in range(4, -1, -1))


def _read_digits(digits: str) -> int:
    number = 0
    for digit in digits:
        if digit not in _VALUES:
            raise MaskTextError(f"{digit!r} is no digit of base 85")
        number = number * 85 + _VALUES[digit]
    return number
