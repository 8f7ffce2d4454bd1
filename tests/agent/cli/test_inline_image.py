"""Pictures in a terminal, read back by the rules of each protocol."""

import base64
import re
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from agent.cli.terminal.inline_image import KITTY_CHUNK, MAX_SIDE, detect_inline_mode, encode_inline_image


@pytest.fixture
def image() -> PIL.Image.Image:
    pixels = np.zeros((130, 210, 3), np.uint8)
    pixels[10:50, 20:90] = (255, 0, 0)
    pixels[60:, 100:] = (0, 0, 255)
    pixels[3, ::2] = (255, 255, 255)
    return PIL.Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("environment", "inline"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "foot-extra"}, "sixel"),
        ({"TERM": "xterm-256color"}, "never"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "never"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, "never"),
        ({}, "never"),
    ],
)
def test_the_terminal_is_known_by_its_environment(environment, inline) -> None:
    assert detect_inline_mode(environment) == inline


def test_kitty_gets_a_png_in_chunks_and_is_told_not_to_answer() -> None:
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", encode_inline_image(noise, "kitty"))
    assert "".join(f"\x1b_G{keys};{text}\x1b\\" for keys, text in chunks) == encode_inline_image(noise, "kitty")
    assert chunks[0][0] == "a=T,f=100,q=2,m=1"
    assert [keys for keys, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"]
    assert max(len(text) for _, text in chunks) == KITTY_CHUNK
    shown = PIL.Image.open(BytesIO(base64.b64decode("".join(text for _, text in chunks))))
    assert np.array_equal(np.asarray(shown), np.asarray(noise))


def test_iterm_gets_a_png_with_its_length(image) -> None:
    size, text = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);preserveAspectRatio=1:(.*)\a", encode_inline_image(image, "iterm")
    ).groups()
    png = base64.b64decode(text)
    assert len(png) == int(size)
    assert np.array_equal(np.asarray(PIL.Image.open(BytesIO(png))), np.asarray(image))


def drawn(sixels: str) -> np.ndarray:
    """What a terminal draws: uint8, (height, width, 3)."""
    header, body = re.fullmatch(r'\x1bP0;1q"1;1;(\d+;\d+)((?:[^\x1b])*)\x1b\\', sixels).groups()
    width, height = map(int, header.split(";"))
    canvas = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    x = y = colour = 0
    tokens = re.findall(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", body)
    for number, red, green, blue, times, repeated, letter, move in tokens:
        if number:
            colour = int(number)
            if red:
                palette[colour] = tuple(round(int(part) * 255 / 100) for part in (red, green, blue))
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            length, bits = int(times or 1), ord(repeated or letter) - 63
            for row in range(6):
                if bits >> row & 1:
                    canvas[y + row, x : x + length] = palette[colour]
            x += length
    return canvas[:height]


def test_sixels_draw_the_picture(image) -> None:
    assert np.abs(drawn(encode_inline_image(image, "sixel")).astype(int) - np.asarray(image)).max() <= 4


def test_a_large_picture_is_reduced_and_never_is_nothing(image) -> None:
    assert encode_inline_image(image, "never") == ""
    large = encode_inline_image(image.resize((4200, 2600)), "sixel")
    assert drawn(large).shape == (MAX_SIDE * 13 // 21, MAX_SIDE, 3)
    assert image.size == (210, 130)
