"""What a file is that is no image that can be read here, by its first bytes: so that the refusal names it."""

HEAD_BYTES = 4096
"""How much of a file `describe_file_kind` looks at."""

_TO_PNG = "convert it to PNG, JPEG or TIFF first"
_HEIC = "an HEIC (HEIF) photo, which cannot be read here; convert it first, e.g. heif-convert IMAGE.heic IMAGE.jpg"
_RAW = "a raw camera file, which cannot be read here; develop it first, e.g. to TIFF or JPEG"
_NO_IMAGE = "not an image but"
_VIDEO = "a video; extract a frame first, e.g. ffmpeg -i VIDEO -frames:v 1 IMAGE.png"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "not an image but a Git LFS pointer; fetch the file itself with: git lfs pull"),
    (0, b"%PDF", "a PDF document; render a page first, e.g. pdftoppm -png -r 150 FILE.pdf PAGE"),
    (0, b"%!PS", f"a PostScript file; {_TO_PNG}"),
    (0, b"\xc5\xd0\xd3\xc6", f"a PostScript file; {_TO_PNG}"),
    (0, b"8BPS", f"a Photoshop document; {_TO_PNG}"),
    (0, b"gimp xcf", f"a GIMP project; {_TO_PNG}"),
    (0, b"\xff\x0a", f"a JPEG XL image; {_TO_PNG}"),
    (0, b"\0\0\0\x0cJXL ", f"a JPEG XL image; {_TO_PNG}"),
    (0, b"II\xbc", f"a JPEG XR image; {_TO_PNG}"),
    (0, b"\x76\x2f\x31\x01", f"an OpenEXR image; {_TO_PNG}"),
    (0, b"#?RADIANCE", f"a Radiance HDR image; {_TO_PNG}"),
    (0, b"DDS ", f"a DirectDraw texture; {_TO_PNG}"),
    (0, b"qoif", f"a QOI image; {_TO_PNG}"),
    (0, b"\x0a\x05\x01\x08", f"a PCX image; {_TO_PNG}"),
    (0, b"\x01\xda", f"an SGI image; {_TO_PNG}"),
    (0, b"\x59\xa6\x6a\x95", f"a Sun raster image; {_TO_PNG}"),
    (0, b"P7\n", f"a PAM image; {_TO_PNG}"),
    (0, b"P7 332", f"an XV thumbnail; {_TO_PNG}"),
    (0, b"PF\n", f"a PFM image in colour; {_TO_PNG}"),
    (0, b"PF4\n", f"a PFM image in colour; {_TO_PNG}"),
    (0, b"id=ImageMagick", f"an image in ImageMagick's own format; {_TO_PNG}"),
    (0, b"/* XPM */", f"an XPM image; {_TO_PNG}"),
    (0, b"\x8bMNG", f"an MNG animation; {_TO_PNG}"),
    (0, b"\x8bJNG", f"a JNG image; {_TO_PNG}"),
    (0, b"\xabKTX", f"a KTX texture; {_TO_PNG}"),
    (0, b"NRRD000", "an NRRD volume; save a slice as PNG or TIFF first"),
    (0, b"\xd7\xcd\xc6\x9a", f"a Windows metafile; {_TO_PNG}"),
    (40, b" EMF", f"a Windows metafile; {_TO_PNG}"),
    (0, b"icns", f"an Apple icon file; {_TO_PNG}"),
    (0, b"AT&TFORM", f"a DjVu document; {_TO_PNG}"),
    (0, b"SIMPLE  =", f"a FITS file; {_TO_PNG}"),
    (128, b"DICM", "a DICOM file; convert it to PNG or TIFF first, e.g. dcm2img"),
    (344, b"n+1\0", "a NIfTI volume; save a slice as PNG or TIFF first"),
    (0, b"\x89HDF", "an HDF5 file; save an image as PNG or TIFF first"),
    (0, b"\x93NUMPY", "a NumPy array; save it as PNG or TIFF first, or give its pixels to sam3_tool.Image"),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"FOVb", _RAW),
    (0, b"\0MRM", _RAW),
    (8, b"CR\x02\0", _RAW),
    (4, b"ftypcrx", _RAW),
    *((4, b"ftyp" + brand, _HEIC) for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    *((4, b"ftyp" + brand, "") for brand in (b"avif", b"avis")),  # it could be read, if it were whole
    (4, b"ftyp", _VIDEO),
    (4, b"moov", _VIDEO),
    (4, b"mdat", _VIDEO),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"OggS", _VIDEO),
    (0, b"\0\0\x01\xba", _VIDEO),
    (0, b"\0\0\x01\xb3", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (8, b"WAVE", "not an image but a sound file"),
    (0, b"ID3", "not an image but a sound file"),
    (0, b"fLaC", "not an image but a sound file"),
    (0, b"PK\x03\x04", "not an image but a ZIP archive or an office document; unpack it first"),
    (0, b"\x1f\x8b", "not an image but a gzip archive; unpack it first"),
    (0, b"BZh", "not an image but a bzip2 archive; unpack it first"),
    (0, b"\xfd7zXZ", "not an image but an xz archive; unpack it first"),
    (0, b"7z\xbc\xaf", "not an image but a 7z archive; unpack it first"),
    (257, b"ustar", "not an image but a tar archive; unpack it first"),
    (0, b"(\xb5/\xfd", "not an image but a Zstandard archive; unpack it first"),
    (
        0,
        b"\0\x05\x16\x07",
        f"{_NO_IMAGE} what macOS keeps beside a file (its name begins with ._); take the file itself",
    ),
    (0, b"\0\0\0\x01Bud1", f"{_NO_IMAGE} what macOS keeps of a folder (.DS_Store)"),
    (0, b"{\\rtf", f"{_NO_IMAGE} an RTF document"),
    (0, b"\x80\x04\x95", f"{_NO_IMAGE} a Python pickle; save an image as PNG or TIFF first"),
    (0, b"Rar!", "not an image but a RAR archive; unpack it first"),
    (0, b"\xd0\xcf\x11\xe0", "not an image but an office document"),
    (0, b"\x7fELF", "not an image but a program"),
    (0, b"MZ", "not an image but a program"),
    (0, b"SQLite format 3", "not an image but a SQLite database"),
)

_READABLE: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"RIFF", "WebP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
"""How files begin that can be read, if they are whole."""
_TEXT = "not an image but a text file"
_MAX_BEFORE = 64
"""Bytes before the beginning of an image, as a byte-order mark or the line break of a script leaves them."""
_BASE64_STARTS = ("ivborw0kggo", "/9j/", "r0lgodlh", "uklgr")
"""How PNG, JPEG, GIF and WebP files begin as base64, in small letters."""
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WebP": ".webp", "TIFF": ".tif", "JPEG 2000": ".jp2"}
"""How the names of readable files end, by what they are."""


def find_suffix(content: bytes) -> str:
    r"""Return how the name of an image file ends that begins so; '' for what is not known.

    >>> find_suffix(b"\x89PNG\r\n\x1a\n"), find_suffix(b"BM\0\0"), find_suffix(b"what?")
    ('.png', '.bmp', '')
    """
    for signature, name in _READABLE:
        if content.startswith(signature):
            return _SUFFIXES[name]
    if content[4:8] == b"ftyp" and content[8:12] in (b"avif", b"avis"):
        return ".avif"
    return ".bmp" if content.startswith(b"BM") else ""


def describe_file_kind(head: bytes) -> str:
    """Name what a file is, and what to do with it.

    Args:
        head: Its first `HEAD_BYTES` bytes.

    Returns:
        A few words; '' where nobody knows.

    >>> describe_file_kind(b"<!DOCTYPE html><title>404</title>")
    'not an image but an HTML page, perhaps what a server says in place of the image; download the image again'
    """
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    for signature, name in _READABLE:
        if head.startswith(signature):
            return f"a damaged or incomplete {name} file; get it again from where it came from"
        before = head[: _MAX_BEFORE + len(signature)].find(signature)
        if before > 0 and not signature.isascii():  # letters might stand in any text
            return f"a damaged {name} file: {before} other bytes stand before its beginning; get it again"
    if head and not head.strip(b"\0"):
        return "not an image but zero bytes, as an interrupted download leaves; get the file again"
    text = _decode_text(head)
    return "" if text is None else _describe_text(text)


def is_plain_text(head: bytes) -> bool:
    r"""Tell whether a file is a text that is no markup, no JSON and no image in letters.

    >>> is_plain_text(b"photos/1.jpg\n"), is_plain_text(b"<svg/>"), is_plain_text(b"\x89PNG"), is_plain_text(b"")
    (True, False, False, False)
    """
    return describe_file_kind(head) == _TEXT


def _decode_text(head: bytes) -> str | None:
    """Return the beginning of a text; None for anything else."""
    encoding = "utf-16" if head.startswith(_UTF_16_MARKS) else "utf-8-sig"
    text = head.decode(encoding, errors="replace").rstrip("\N{REPLACEMENT CHARACTER}")  # a letter may be cut in two
    odd = sum(
        not (letter.isprintable() or letter.isspace()) or letter == "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return text if text and odd <= len(text) // 100 else None


def _describe_text(text: str) -> str:
    start = text.lstrip().lower()
    if "<svg" in start and start.startswith("<"):
        return "an SVG drawing; render it first, e.g. rsvg-convert FILE.svg -o IMAGE.png"
    if start.startswith(("<!doctype html", "<html")) or ("<html" in start and start.startswith("<")):
        return (
            "not an image but an HTML page, perhaps what a server says in place of the image; download the image again"
        )
    if start.startswith("data:image/"):
        return "not an image but a data URL as text; decode its base64 into a file first"
    if start.startswith("<"):
        return "not an image but an XML file, perhaps what a server says in place of the image"
    if start.startswith(_BASE64_STARTS):
        return "not an image but one as base64 text; decode it into a file first"
    if start.startswith(("{", "[")):
        return "not an image but a JSON file, perhaps what a server says in place of the image"
    return _TEXT
