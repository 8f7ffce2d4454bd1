import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sam3_tool import Image, ImageError
from sam3_tool.image_files.reading import EXPECTED

RED_LEFT = PIL.Image.fromarray(np.repeat([[[200, 0, 0]] * 30 + [[0, 0, 200]] * 30], 40, axis=0).astype(np.uint8))
"""60 x 40, red on the left and blue on the right."""


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "a.gif"])
def test_the_common_formats_are_read_as_upright_rgb(tmp_path, name):
    RED_LEFT.save(tmp_path / name)
    pixels = Image.open(tmp_path / name).pixels
    assert (pixels.shape, pixels.dtype) == ((40, 60, 3), np.uint8)
    assert np.abs(pixels[20, [5, 55]].astype(int) - [[200, 0, 0], [0, 0, 200]]).max() < 12


def test_the_content_counts_and_not_the_ending_of_the_name(tmp_path):
    RED_LEFT.save(tmp_path / "a.txt", format="PNG")
    assert Image.open(tmp_path / "a.txt").width == 60


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (3, PIL.Image.Transpose.ROTATE_180),
        (4, PIL.Image.Transpose.FLIP_TOP_BOTTOM),
        (5, PIL.Image.Transpose.TRANSPOSE),
        (6, PIL.Image.Transpose.ROTATE_90),
        (7, PIL.Image.Transpose.TRANSVERSE),
        (8, PIL.Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation_is_applied_exactly_once(tmp_path, name, orientation, turned):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    RED_LEFT.transpose(turned).save(tmp_path / name, exif=exif)
    picture = Image.open(tmp_path / name)
    assert (picture.width, picture.height) == (60, 40)
    assert picture.pixels[20, 5, 0] > 180
    assert picture.pixels[20, 55, 2] > 180


def test_an_upright_picture_saved_again_stays_as_it_is(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    RED_LEFT.transpose(PIL.Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    first = Image.open(tmp_path / "a.png")
    first.to_pil().save(tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").key == first.key


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"])
def test_a_whole_picture_with_damaged_metadata_is_read_without_a_word(tmp_path, name, exif):
    RED_LEFT.save(tmp_path / name, exif=exif)
    assert Image.open(tmp_path / name).pixels[20, 5, 0] > 180


def test_grey_palette_and_cmyk_become_rgb(tmp_path):
    for mode in ("1", "L", "P", "CMYK"):
        file = tmp_path / f"{mode}.tif"
        RED_LEFT.convert(mode).save(file)
        expected = np.asarray(RED_LEFT.convert(mode).convert("RGB"))
        assert (Image.open(file).pixels == expected).all(), mode


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    RED_LEFT.convert("CMYK").save(tmp_path / "a.jpg")
    assert np.abs(Image.open(tmp_path / "a.jpg").pixels[20, 5].astype(int) - [200, 0, 0]).max() < 12


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_is_scaled_and_not_cut_off(tmp_path, name):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    PIL.Image.fromarray(values).save(tmp_path / name)
    assert Image.open(tmp_path / name).pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_colour_is_scaled_and_not_cut_off(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32896, 65535, 65535, 0, 257) for _ in range(2))
    chunks = [(b"IHDR", struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(load)) + kind + load + struct.pack(">I", zlib.crc32(kind + load)) for kind, load in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert Image.open(tmp_path / "a.png").pixels[0].tolist() == [[0, 128, 255], [255, 0, 1]]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.0, 0.5, 1.0, np.nan]], np.float32),
        np.array([[0, 128, 255, -7]], np.int32),
        np.array([[0, 32896, 65535, -7]], np.int32),
        np.array([[0.0, 5e5, 1e6, np.inf]], np.float32),
        np.array([[0, 0x43000000, 0x437F0000, 0x7FA00000]], np.uint32).view(np.float32),  # the last is a signalling NaN
    ],
)
def test_wide_grey_values_keep_their_order_of_brightness(tmp_path, values):
    PIL.Image.fromarray(values).save(tmp_path / "a.tif")
    assert Image.open(tmp_path / "a.tif").pixels[0, :, 1].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_becomes_white(tmp_path, mode):
    image = PIL.Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    (image if mode == "RGBA" else image.convert(mode)).save(tmp_path / "a.png" if mode != "PA" else tmp_path / "a.tif")
    assert Image.open(next(tmp_path.iterdir())).pixels[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_white(tmp_path, mode):
    image = PIL.Image.new(mode, (2, 1), 0 if mode != "RGB" else (0, 0, 0))
    image.putpixel((1, 0), 7 if mode != "RGB" else (7, 7, 7))
    if mode == "P":
        image.putpalette([0] * 768)
    image.save(tmp_path / "a.png", transparency=7 if mode != "RGB" else (7, 7, 7))
    assert Image.open(tmp_path / "a.png").pixels[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    PIL.Image.new("RGBA", (1, 1), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").pixels[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.mpo"])
def test_of_an_animation_the_first_frame_is_read(tmp_path, name):
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert Image.open(tmp_path / name).pixels[4, 4].argmax() == 0


def broken(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        Image.open(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert "too large" in message or message.endswith(EXPECTED)
    return message


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif"])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, kind):
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, format=kind)
    for share in (0.02, 0.3, 0.6, 0.9):
        file = tmp_path / f"cut.{kind}"
        file.write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
        broken(file)


def test_other_unusable_files_are_refused_in_one_line_that_says_why(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert "the file is empty" in broken(tmp_path / "empty.png")
    assert "not an image" in broken(tmp_path / "notes.png")
    assert "a folder" in broken(tmp_path / "folder.png")
    assert "not a regular file" in broken(tmp_path / "pipe.png")
    assert "no such file" in broken(tmp_path / "missing.png")


def test_a_picture_without_pixels_is_refused(tmp_path):
    (tmp_path / "flat.gif").write_bytes(b"GIF89a" + struct.pack("<HHBBB", 0, 5, 0, 0, 0) + b";")
    broken(tmp_path / "flat.gif")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    assert "too large" in broken(tmp_path / "bomb.png")


def test_opening_pictures_from_many_threads_leaves_the_warning_filters_alone(tmp_path):
    RED_LEFT.save(tmp_path / "a.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len({picture.key for picture in pool.map(Image.open, [tmp_path / "a.png"] * 64)}) == 1
    assert warnings.filters == before


def test_a_line_break_in_a_name_does_not_break_the_message(tmp_path):
    with pytest.raises(ImageError) as caught:
        Image.open(tmp_path / "two\nlines.png")
    assert "\n" not in str(caught.value)


def test_the_key_tells_pictures_apart_by_pixels_and_by_shape():
    dark = Image(np.zeros((2, 3, 3), np.uint8))
    assert dark.key == Image(np.zeros((2, 3, 3), np.uint8)).key
    assert dark.key != Image(np.zeros((3, 2, 3), np.uint8)).key
    assert dark.key != Image(np.ones((2, 3, 3), np.uint8)).key


def test_pixels_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Image(np.zeros((2, 3, 3), np.uint8)).pixels[0, 0] = 1


def test_a_crop_is_a_picture_of_its_own(picture):
    crop = picture.crop(205, 85, 285, 165)
    assert (crop.width, crop.height) == (80, 80)
    assert crop.pixels[40, 40].tolist() == [44, 84, 214]
    with pytest.raises(ValueError, match="the image is 320 x 240"):
        picture.crop(300, 0, 330, 10)


def test_pixels_of_another_type_or_shape_are_refused():
    for pixels in (np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="must be uint8"):
            Image(pixels)
