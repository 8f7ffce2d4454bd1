"""Image files of many kinds: what is read, what is told, and what is refused in one line."""

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL import ImageChops

from sam3_tool import Image, ImageError
from sam3_tool.image_files.brightness import SampleMeaning, to_8_bits
from sam3_tool.image_files.file_kinds import describe_file_kind

HEIGHT, WIDTH = 24, 32
RAMP = np.linspace(0, 1, WIDTH)[None].repeat(HEIGHT, 0)
"""0 on the left, 1 on the right."""
BYTES = (RAMP * 255).astype(np.uint8)
COLOURS = np.dstack([BYTES, 255 - BYTES, np.full_like(BYTES, 40)])
TWELVE = (RAMP * 4095).astype(np.uint16)
HEIGHTS = (100 + RAMP * 2900).astype(np.float32)


def open_bytes(folder: Path, content: bytes) -> Image:
    (folder / "a.bin").write_bytes(content)
    image = Image.open(folder / "a.bin")
    same = Image.read(content)
    assert (same.key, same.notes) == (image.key, image.notes)
    return image


def refuse(folder: Path, content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        open_bytes(folder, content)
    message = str(caught.value).removeprefix(f"{folder / 'a.bin'}: ")
    assert "\n" not in message
    with pytest.raises(ImageError, match=f"^image: {re.escape(message)}$"):
        Image.read(content)
    return message


def encode_tiff(values: np.ndarray, **how: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)  # type: ignore[arg-type]
    return file.getvalue()


def encode_pages(*pages: tuple[np.ndarray, dict[str, object]]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for values, how in pages:
            writer.write(values, **how)  # type: ignore[arg-type]
    return file.getvalue()


def encode(image: PIL.Image.Image, format: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **how)
    return file.getvalue()


def build_chunk(kind: bytes, body: bytes, *, damaged: bool = False) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damaged)


def encode_png(
    rows: Iterable[np.ndarray], bits: int, kind: int, *, before: bytes = b"", after: bytes = b"", end: bool = True
) -> bytes:
    data = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in rows)
    head = build_chunk(b"IHDR", struct.pack(">2I5B", WIDTH, HEIGHT, bits, kind, 0, 0, 0))
    pixels = build_chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + head + before + pixels + after + (build_chunk(b"IEND", b"") if end else b"")


# --- more than 8 bits


@pytest.mark.parametrize("how", [{}, {"compression": "lzw"}, {"tile": (16, 16), "compression": "deflate"}])
@pytest.mark.parametrize("kind", ["int8", "uint16", "int16", "uint32", "int32", "uint64", "float16", "float64"])
def test_samples_that_fill_their_range_are_shown_as_they_are(tmp_path, kind, how):
    white = 1 if kind.startswith("float") else np.iinfo(kind).max
    image = open_bytes(tmp_path, encode_tiff((RAMP * white * 0.999).astype(kind), **how))
    assert np.abs(image.pixels[..., 1].astype(int) - BYTES).max() <= 2
    assert image.notes == ()


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("bands", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_bands_are_read_side_by_side_and_one_after_the_other(tmp_path, kind, bands, planes):
    white = 1 if kind == "float32" else 65535
    values = np.zeros((HEIGHT, WIDTH, bands), kind)
    values[..., 0] = RAMP * white
    values[..., -1] += white if bands == 4 else 0
    held = values if planes == "contig" else values.transpose(2, 0, 1)
    shown = {"photometric": "rgb"} if bands in (3, 4) else {"photometric": "minisblack"}
    alpha = {"extrasamples": ["unassalpha"]} if bands == 4 else {}
    image = open_bytes(tmp_path, encode_tiff(held, planarconfig=planes, **shown, **alpha))
    assert np.abs(image.pixels[..., 0].astype(int) - BYTES).max() <= 1
    assert (image.pixels[..., 1] == image.pixels[..., 0]).all() == (bands == 2)
    assert len(image.notes) == (bands in (2, 5))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64", "float32"])
def test_white_is_zero_whatever_the_bits(tmp_path, kind):
    white = 1 if kind == "float32" else np.iinfo(kind).max
    image = open_bytes(tmp_path, encode_tiff((RAMP * white * 0.999).astype(kind), photometric="miniswhite"))
    assert np.abs(255 - image.pixels[..., 2].astype(int) - BYTES).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_bits_are_told_apart(tmp_path, bits):
    values = (RAMP * (2**bits - 1)).astype(np.uint16)
    image = open_bytes(tmp_path, encode_tiff(values, bitspersample=bits, photometric="minisblack"))
    assert np.abs(image.pixels[..., 0].astype(int) - BYTES).max() <= 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("grey", encode_tiff(TWELVE)),
        ("grey", encode_tiff(TWELVE, byteorder=">")),
        ("grey", encode_tiff(TWELVE, bigtiff=True)),
        ("grey", encode_png(TWELVE, 16, 0, before=build_chunk(b"sBIT", b"\x0c"))),
        ("grey", b"P5 32 24 65535\n" + TWELVE.astype(">u2").tobytes()),
        ("grey", encode(PIL.Image.fromarray(TWELVE), "JPEG2000")),
        ("colour", encode_png(np.dstack([TWELVE] * 3), 16, 2)),
        ("colour", encode_png(np.dstack([*[TWELVE] * 3, np.full_like(TWELVE, 65535)]), 16, 6)),
        ("colour", encode_png(np.dstack([TWELVE, np.full_like(TWELVE, 65535)]), 16, 4)),
        ("colour", encode_tiff(np.dstack([TWELVE] * 3), photometric="rgb")),
        ("colour", b"P6 32 24 65535\n" + np.dstack([TWELVE] * 3).astype(">u2").tobytes()),
    ],
)
def test_12_bits_in_16_are_visible_and_told_in_every_format(tmp_path, kind, content):
    image = open_bytes(tmp_path, content)
    assert np.abs(image.pixels.astype(int) - BYTES[..., None]).max() <= 1
    assert image.notes == (f"The {kind} values lie between 0 and 4095: 0 is shown as black, and 4095 as white.",)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ((RAMP * 4000 - 1024).astype(np.int16), -1024, 2976),  # computed tomography
        ((RAMP * 2 - 1).astype(np.float32), -1, 1),  # a vegetation index
        (HEIGHTS, 100, 3000),
        ((RAMP * 1e-3).astype(np.float32), 0, 0.001),
        ((RAMP * 1.5).astype(np.float32), 0, 1.5),
        ((RAMP * 5).astype(np.uint16), 0, 5),  # class numbers
        ((60000 + RAMP * 100).astype(np.uint16), 60000, 60100),
        ((RAMP * 4095).astype(np.uint32), 0, 4095),
        ((1e6 + RAMP * 1e6).astype(np.float64), 1e6, 2e6),
    ],
)
def test_a_range_that_no_type_says_is_stretched_and_told(values, low, high):
    pixels, notes = to_8_bits(values)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert notes == (
        f"The grey values lie between {low:.6g} and {high:.6g}: {low:.6g} is shown as black, and {high:.6g} as white.",
    )


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_that_fill_a_usual_range_are_taken_for_it(white):
    pixels, notes = to_8_bits((RAMP * white).astype(np.float32))
    assert np.abs(pixels.astype(int) - BYTES).max() <= 1
    assert notes == ()


def test_one_hot_pixel_does_not_make_all_others_black():
    values = (RAMP * 300).astype(np.uint16).repeat(8, 0)
    values[3, 3] = 60000
    pixels, (note,) = to_8_bits(values)
    assert pixels[0, 0] == 0
    assert pixels[0, -1] == 255
    assert "nearly all of them in a small part of that" in note


@pytest.mark.parametrize("value", [0, 1, 4095, 65535])
def test_a_constant_image_keeps_its_brightness(value):
    pixels, notes = to_8_bits(np.full((4, 4), value, np.uint16))
    assert set(pixels.ravel().tolist()) == {round(value / 257)}
    assert len(notes) == (value in (1, 4095))


@pytest.mark.parametrize("seed", range(3))
def test_16_bits_that_fill_their_range_are_as_ever(seed):
    values = np.random.default_rng(seed).integers(0, 65536, (50, 50), np.uint16)
    pixels, notes = to_8_bits(values)
    assert (pixels == np.rint(values.astype(np.float64) * (255.0 / 65535.0)).astype(np.uint8)).all()
    assert notes == ()


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (3.4e38, "3.4e38"),
        (-3.4028235e38, "-3.4028234663852886e+38"),
        (np.nan, "nan"),
        (np.inf, None),
        (-9999, "-9999"),
        (-9999, None),
        (-32768, None),
        (1e36, None),
        (0, "0"),
        (5000, " 5e3 "),
    ],
)
def test_pixels_without_data_are_black_and_count_for_nothing(tmp_path, caplog, value, tag):
    values = HEIGHTS.copy()
    values[:4, -4:] = value
    image = open_bytes(tmp_path, encode_tiff(values, extratags=[(42113, "s", 0, tag, True)] if tag else []))
    assert image.pixels[:4, -4:].max() == 0
    assert np.abs(image.pixels[5:].astype(int) - BYTES[5:, :, None]).max() <= 1
    assert image.notes[1].startswith("16 of 768 values hold no data")


def test_a_whole_number_may_mark_missing_data_too():
    values = HEIGHTS.astype(np.uint16)
    values[0] = 65535
    pixels, notes = to_8_bits(values)
    assert pixels[0].max() == 0
    assert pixels[1].max() > 150
    assert len(notes) == 2


def test_an_image_without_any_data_is_black_and_says_so():
    pixels, notes = to_8_bits(np.full((4, 4), -9999.0), SampleMeaning(no_data=-9999.0))
    assert pixels.max() == 0
    assert notes == ("No pixel holds data, so the image is black.",)


def test_the_range_that_a_file_declares_is_taken_unless_its_values_do_not_fit():
    values = (RAMP * 900 + 100).astype(np.uint16)
    assert "1500 as white" in to_8_bits(values, SampleMeaning(declared=(0.0, 1500.0)))[1][0]
    assert "1023 as white" in to_8_bits(values, SampleMeaning(declared=(0.0, 1.0)))[1][0]


def test_8_bits_are_never_stretched(tmp_path):
    dark = (RAMP * 9).astype(np.uint8)
    for content in (encode_tiff(dark), encode_tiff(np.stack([dark] * 5), planarconfig="separate")):
        assert open_bytes(tmp_path, content).pixels.max() == 9


def test_no_warning_is_raised_and_nothing_is_logged_to_the_screen(tmp_path, capfd):
    values = HEIGHTS.copy()
    values[0] = 3.4e38
    open_bytes(tmp_path, encode_tiff(values, extratags=[(42113, "s", 0, "3.4e+38", True)]))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").handlers


# --- metadata

TEXT = b"k\0" + b"v" * 900
CHUNKS = {
    "a text with a wrong checksum": build_chunk(b"tEXt", TEXT, damaged=True),
    "a profile with a wrong checksum": build_chunk(b"iCCP", b"x\0\0junk", damaged=True),
    "a profile that is none": build_chunk(b"iCCP", b""),
    "a large profile": build_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3 << 20))),
    "EXIF with a wrong checksum": build_chunk(b"eXIf", b"MM\0*\0\0", damaged=True),
    "a large compressed text": build_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(5 << 20))),
    "a large international text": build_chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(5 << 20))),
    "more texts than Pillow takes": build_chunk(b"tEXt", b"k\0" + b"v" * 900_000) * 75,
    "a size of a pixel cut short": build_chunk(b"pHYs", b"1"),
    "a chunk with an odd name": build_chunk(b"\0\1\2\3", b"1"),
    "an animation that is none": build_chunk(b"acTL", struct.pack(">II", 0, 0)),
    "transparency with a wrong checksum": build_chunk(b"tRNS", b"1", damaged=True),
    "a private chunk with a wrong checksum": build_chunk(b"prVt", b"1", damaged=True),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("chunk", CHUNKS.values(), ids=CHUNKS)
def test_no_metadata_keeps_a_png_from_being_read(tmp_path, chunk, place):
    image = open_bytes(tmp_path, encode_png(COLOURS, 8, 2, **{place: chunk}))
    assert (image.pixels == COLOURS).all()
    assert image.notes == ()


def test_exif_turns_a_png_whatever_its_checksum(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    chunk = build_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"), damaged=True)
    assert open_bytes(tmp_path, encode_png(COLOURS, 8, 2, before=chunk)).pixels.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE])
@pytest.mark.parametrize(
    "body", [b"", b"Exif\0\0junk", b"ICC_PROFILE\0\1\2x", b"Photoshop 3.0\x008BIM\4\4", b"MPF\0junk", b"Adobe", b"JFIF"]
)
def test_no_metadata_keeps_a_jpeg_from_being_read(tmp_path, marker, body):
    content = encode(PIL.Image.fromarray(COLOURS), "JPEG")
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    assert (
        open_bytes(tmp_path, content[:2] + segment + content[2:]).pixels == open_bytes(tmp_path, content).pixels
    ).all()


@pytest.mark.parametrize("format", ["WEBP", "TIFF", "JPEG2000", "AVIF"])
def test_a_profile_that_is_none_keeps_no_other_format_from_being_read(tmp_path, format):
    content = encode(PIL.Image.fromarray(COLOURS), format, icc_profile=b"junk")
    assert open_bytes(tmp_path, content).pixels.shape == COLOURS.shape


def test_a_webp_that_ends_within_its_metadata_is_read(tmp_path):
    content = encode(PIL.Image.fromarray(COLOURS), "WEBP", lossless=True, xmp=b"x" * 1000)
    assert (open_bytes(tmp_path, content[:-300]).pixels == COLOURS).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_bomb_stays_one_beside_damaged_metadata(tmp_path, format):
    head = build_chunk(b"IHDR", struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + build_chunk(b"tEXt", TEXT, damaged=True) + build_chunk(b"IDAT", b"x")
    if format == "JPEG":
        content = encode(PIL.Image.fromarray(COLOURS), "JPEG")
        place = content.index(b"\xff\xc0") + 5
        content = content[:place] + struct.pack(">2H", 60_000, 60_000) + content[place + 4 :]
    assert refuse(tmp_path, content).startswith("too large (3,600,000,000 pixels, and the limit is 89,478,485)")


# --- the end of a file

NOISE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
COMPLETE = ("The file is cut off after its last pixel; the image is complete.",)


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_a_jpeg_without_its_end_mark_is_read_with_a_note(tmp_path, how):
    content = encode(NOISE, "JPEG", **how)
    whole = open_bytes(tmp_path, content)
    for missing in (1, 2):
        image = open_bytes(tmp_path, content[:-missing])
        assert (image.pixels == whole.pixels).all()
        assert image.notes == COMPLETE
    for missing in (10, 50, 400):
        assert "truncated" in refuse(tmp_path, content[:-missing])


def test_a_png_that_ends_within_a_text_after_its_pixels_is_read_with_a_note(tmp_path):
    image = open_bytes(tmp_path, encode_png(COLOURS, 8, 2, after=build_chunk(b"tEXt", TEXT)[:40], end=False))
    assert (image.pixels == COLOURS).all()
    assert image.notes == COMPLETE


@pytest.mark.parametrize("how", [{}, {"compression": "deflate"}, {"compression": "zstd"}])
def test_a_wide_tiff_that_is_cut_off_is_refused(tmp_path, how):
    content = encode_tiff(np.random.default_rng(0).random((64, 64)), **how)
    for share in (0.02, 0.3, 0.6, 0.9):
        refuse(tmp_path, content[: int(share * len(content))])


# --- pages, frames and sizes

FLOATS = (COLOURS / 255).astype(np.float32)
SMALL = COLOURS[::4, ::4]
RGB: dict[str, object] = {"photometric": "rgb"}
REDUCED = {**RGB, "subfiletype": 1}


@pytest.mark.parametrize(
    ("pages", "note"),
    [
        ([(SMALL, REDUCED), (COLOURS, RGB)], "The file has 2 pages; page 2 is read, the first one of full size."),
        ([(COLOURS, RGB), (COLOURS, RGB), (SMALL, RGB)], "The file has 3 pages; page 1 is read."),
        ([(COLOURS, RGB), (SMALL, REDUCED)], "The file has 2 pages; page 1 is read."),
        (
            [(SMALL, {**REDUCED, "subifds": 1}), (COLOURS, RGB)],
            "The file begins with a reduced copy; the image of full size inside it is read.",
        ),
        ([(COLOURS, {**RGB, "subifds": 1}), (SMALL, REDUCED)], ""),
        (
            [(SMALL, REDUCED), (FLOATS, RGB)],
            "The file has 2 pages; page 2 is read, the first one of full size.",
        ),
        (
            [(FLOATS, RGB), (COLOURS, RGB)],
            "The file has 2 pages; page 1 is read.",
        ),
    ],
)
def test_of_several_pages_the_first_one_of_full_size_is_read(tmp_path, pages, note):
    image = open_bytes(tmp_path, encode_pages(*pages))
    assert (image.pixels == COLOURS).all()
    assert image.notes == ((note,) if note else ())


def test_a_file_with_nothing_but_a_reduced_copy_is_read(tmp_path):
    assert open_bytes(tmp_path, encode_pages((SMALL, REDUCED))).pixels.shape == SMALL.shape


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_says_that_its_first_frame_is_read(tmp_path, format):
    frames = [PIL.Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue", "lime")]
    image = open_bytes(tmp_path, encode(frames[0], format, save_all=True, append_images=frames[1:]))
    assert image.pixels[0, 0].argmax() == 0
    assert image.notes == ("The file is an animation of 3 frames; the first one is read.",)


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        (COLOURS, SMALL, ()),  # a preview, or the gain map of a phone
        (COLOURS, COLOURS, ("The file has 2 images of this size; the first one is read.",)),
        (SMALL, COLOURS, ("The file has a smaller image first; number 2, the largest, is read.",)),
    ],
)
def test_of_several_images_in_a_jpeg_the_largest_is_read(tmp_path, first, second, note):
    other = PIL.Image.fromarray(second)
    image = open_bytes(tmp_path, encode(PIL.Image.fromarray(first), "MPO", save_all=True, append_images=[other]))
    assert (image.pixels.shape, image.notes) == (COLOURS.shape, note)


def test_of_an_icon_the_largest_size_is_read(tmp_path):
    icon = encode(NOISE, "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    image = open_bytes(tmp_path, icon)
    assert (image.width, image.notes) == (64, ("The file has 3 sizes; the largest, 64 x 64, is read.",))


# --- colours


def test_cmyk_is_read_with_and_without_adobes_marker(tmp_path):
    cyan = PIL.Image.new("CMYK", (WIDTH, HEIGHT), (255, 0, 0, 0))
    adobe = encode(cyan, "JPEG", quality=95)
    plain = encode(ImageChops.invert(cyan), "JPEG", quality=95)
    begin = plain.index(b"\xff\xee")
    end = begin + 2 + int.from_bytes(plain[begin + 2 : begin + 4], "big")
    for content in (adobe, plain[:begin] + plain[end:]):
        assert open_bytes(tmp_path, content).pixels[3, 3].tolist() == [0, 255, 255]


def test_lab_is_read(tmp_path):
    parts = [PIL.Image.new("L", (WIDTH, HEIGHT), level) for level in (255, 128, 128)]
    image = open_bytes(tmp_path, encode(PIL.Image.merge("LAB", parts), "TIFF"))
    assert image.pixels.min() > 250


# --- what cannot be read


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>404", "an HTML page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML file"),
        (b'{"error": "no such key"}', "a JSON file"),
        ("Grüße".encode(), "a text file"),
        ("hello".encode("utf-16"), "a text file"),
        (b"%PDF-1.7 ", "a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC (HEIF) photo"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "an HEIC (HEIF) photo"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"\x1aE\xdf\xa3\0\0\0\0", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a raw camera file"),
        (b"FUJIFILMCCD-RAW 0201", "a raw camera file"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\x76\x2f\x31\x01\2\0\0\0", "an OpenEXR image"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
        (b"8BPS\0\1\0\0", "a Photoshop document"),
        (b"PK\3\4\0\0", "a ZIP archive"),
        (bytes(4000), "zero bytes"),
        (b"GIF89a", "a damaged or incomplete GIF file"),
        (b"P7\nWIDTH 4\nHEIGHT 4\n", "a PAM image"),
        (b"\x0a\x05\x01\x08\0\0", "a PCX image"),
        (b"\0\x05\x16\x07\0\2\0\0Mac OS X        ", "what macOS keeps beside a file"),
        (b"\0\0\0\1Bud1\0\0", "what macOS keeps of a folder"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"iVBORw0KGgoAAAANSUhEUgAA\n", "one as base64 text"),
        (b"/9j/4AAQSkZJRgABAQ==", "one as base64 text"),
        (b"a" * 257 + b"ustar\x0000", "a tar archive"),
        (b"\xef\xbb\xbf\x89PNG\r\n\x1a\n", "a damaged PNG file: 3 other bytes stand before its beginning"),
        (b"\r\n\xff\xd8\xff\xe0\0\x10JFIF", "a damaged JPEG file: 2 other bytes stand before its beginning"),
        (b"A text about RIFF and GIF89a", "a text file"),
        (b"\x89PNG\r\n\x1a\n", "a damaged or incomplete PNG file"),
        (b"II*\0\x08\0\0\0", "a damaged or incomplete TIFF file"),
    ],
)
def test_what_is_no_image_that_can_be_read_is_named(tmp_path, head, kind):
    assert kind in describe_file_kind(head)
    message = refuse(tmp_path, head)
    assert kind in message
    assert "expected an image file" in message


def test_bytes_that_mean_nothing_are_named_nothing():
    assert describe_file_kind(bytes(range(128, 256))) == ""
    assert describe_file_kind(b"") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encode_tiff((RAMP + 1j).astype(np.complex64)), "1 band of 64-bit complex floats"),
        (encode_tiff(TWELVE, photometric="cfa", extratags=[(33421, "H", 2, (2, 2), True)]), "a raw camera file"),
    ],
)
def test_a_whole_tiff_that_cannot_be_shown_says_what_it_holds(tmp_path, content, words):
    assert words in refuse(tmp_path, content)


def build_tiff(*tags: tuple[int, int, int, int], content: bytes = bytes(2000), following: int = 0) -> bytes:
    """A page with these tags: number, type, count, value. `content` lies at 300."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (head + struct.pack("<I", following)).ljust(300, b"\0") + content


def list_tags(width: int, *, bits: int = 64, compression: int = 1, bands: int = 1, size: int = 2000) -> list:
    float_or_integer = 3 if bits >= 32 else 1
    return [
        *((256, 4, 1, width), (257, 4, 1, width), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((273, 4, 1, 300), (277, 3, 1, bands), (278, 4, 1, width), (279, 4, 1, size), (339, 3, 1, float_or_integer)),
    ]


def test_a_tiff_may_be_as_large_as_its_pixels_and_no_larger(tmp_path):
    assert "too large" in refuse(tmp_path, build_tiff(*list_tags(200_000)))
    assert "too large" in refuse(tmp_path, build_tiff(*list_tags(9_000, bands=60_000)))
    bomb = zlib.compress(bytes(30 << 20), 9)
    assert "cannot be read" in refuse(tmp_path, build_tiff(*list_tags(16, compression=8, size=len(bomb)), content=bomb))


@pytest.mark.parametrize("bits", [8, 64])
def test_a_page_that_is_followed_by_itself_is_read_once(tmp_path, bits):
    content = build_tiff(*list_tags(15, bits=bits), following=8)
    assert open_bytes(tmp_path, content).pixels.shape == (15, 15, 3)


def test_damage_anywhere_is_one_line_or_an_image(tmp_path):
    chance = np.random.default_rng(0)
    other = PIL.Image.new("RGB", (WIDTH, HEIGHT))
    contents = [
        encode_tiff(TWELVE, compression="lzw"),
        encode_tiff(RAMP, compression="zstd", predictor=True),
        encode(PIL.Image.fromarray(COLOURS), "MPO", save_all=True, append_images=[other]),
        *(encode(PIL.Image.fromarray(COLOURS), format) for format in ("AVIF", "JPEG2000", "ICO", "WEBP", "PNG")),
    ]
    outcomes = set()
    for content in contents:
        for _ in range(12):
            spoilt = bytearray(content)
            for place in chance.integers(0, min(len(spoilt), 400), 3):
                spoilt[place] = chance.integers(256)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of Pillow, about what it reads all the same
                    outcomes.add(type(open_bytes(tmp_path, bytes(spoilt))))
            except ImageError:
                outcomes.add(ImageError)
    assert outcomes == {Image, ImageError}


# --- limits


def test_the_limit_of_pixels_can_be_set(tmp_path, monkeypatch):
    content = encode(PIL.Image.fromarray(COLOURS), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"too large \(768 pixels, and the limit is 767\)"):
        Image.open(tmp_path / "a.png", max_pixels=767)
    assert Image.open(tmp_path / "a.png", max_pixels=768).width == WIDTH
    monkeypatch.setenv("SAM3_AGENT_MAX_PIXELS", "100")
    with pytest.raises(ImageError, match="raise the limit with --max-pixels or SAM3_AGENT_MAX_PIXELS"):
        Image.open(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png", max_pixels=768).width == WIDTH


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_named(tmp_path, monkeypatch, value):
    monkeypatch.setenv("SAM3_AGENT_MAX_PIXELS", value)
    with pytest.raises(ImageError, match="SAM3_AGENT_MAX_PIXELS must be a whole number of pixels above 0"):
        Image.open(tmp_path / "a.png")


def test_the_limit_that_a_program_gave_to_pillow_is_left_as_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(PIL.Image.fromarray(COLOURS), "PNG"))
    usual, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, 100
    try:
        assert Image.open(tmp_path / "a.png", max_pixels=768).width == WIDTH
        assert PIL.Image.MAX_IMAGE_PIXELS == 100
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = usual


def encode_packed_tiff(values: np.ndarray, bits: int) -> bytes:
    """A TIFF file of so many bits in each sample, (H, W, bands): rows begin at whole bytes."""
    height, width, bands = values.shape
    digits = (values.reshape(height, -1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    photometric = 2 if bands == 3 else 1
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, photometric)]
    tags += [(273, 4, 1, 0), (277, 3, 1, bands), (278, 3, 1, height), (279, 4, 1, len(data))]
    start = 8 + 2 + 12 * len(tags) + 4
    if bands == 3:
        tags[2] = (258, 3, 3, start)
        data, start = struct.pack("<3H", bits, bits, bits) + data, start + 6
    tags[5] = (273, 4, 1, start)
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 10, 12, 14])
def test_the_white_of_a_tiff_is_the_largest_value_that_its_bits_hold(tmp_path, bits, bands):
    steps = np.rint(RAMP * (2**bits - 1)).astype(np.int64)
    shown = open_bytes(tmp_path, encode_packed_tiff(np.repeat(steps[..., None], bands, 2), bits))
    expected = np.rint(steps * (255 / (2**bits - 1)))
    assert np.abs(shown.pixels - expected[..., None]).max() <= 1


@pytest.mark.parametrize("bands", [2, 3, 4])
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 16])
def test_white_stays_white_in_a_jpeg_2000_of_any_depth(tmp_path, bits, bands):
    values = np.repeat(np.rint(RAMP * (2**bits - 1))[..., None], bands, 2).astype(np.uint8 if bits == 8 else np.uint16)
    if bands != 3:
        values[..., -1] = 2**bits - 1  # opaque
    content = imagecodecs.jpeg2k_encode(values, codecformat="jp2", bitspersample=bits, reversible=True)
    shown = open_bytes(tmp_path, content)
    assert shown.notes == ()
    assert np.abs(shown.pixels.astype(int) - BYTES[..., None]).max() <= 1


def test_colours_with_a_sign_in_a_jpeg_2000_begin_at_black(tmp_path):
    values = np.repeat(np.rint(RAMP * 65535 - 32768)[..., None], 3, 2).astype(np.int16)
    shown = open_bytes(tmp_path, imagecodecs.jpeg2k_encode(values, codecformat="jp2", reversible=True))
    assert np.abs(shown.pixels.astype(int) - BYTES[..., None]).max() <= 1


def test_a_jpeg_2000_of_many_bits_that_is_cut_off_is_one_line(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    content = imagecodecs.jpeg2k_encode(values, codecformat="jp2", bitspersample=12, reversible=True)
    for end in range(0, len(content), 97):
        assert "expected an image file" in refuse(tmp_path, content[:end])
