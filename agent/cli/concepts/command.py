"""`sam3-agent describe`: what examples in an image show, as a small file that finds the same in other images."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.options.segment_options import DEFAULT_SAM3
from agent.cli.terminal.console import print_notes, report_user_errors, show_progress
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    import numpy as np

    from sam3_tool import Box, Image

MASK_SHADES, MASK_SHARE, MAX_SHADES = 8, 0.9, 256
"""A mask is drawn, maybe with several labels: so many shades have this share of its pixels, and all are no more than
`MAX_SHADES` of 4,096. A photograph has more."""

BoxOption = Annotated[
    list[str] | None,
    typer.Option("--box", metavar="X0,Y0,X1,Y1", help="Around an example, in pixels; once for each."),
]
NotBoxOption = Annotated[
    list[str] | None,
    typer.Option("--not-box", metavar="X0,Y0,X1,Y1", help="Around something that is not meant."),
]
MaskOption = Annotated[
    list[str] | None,
    typer.Option("--mask", metavar="FILE", help="An image of IMAGE's size: an example where it is not black."),
]
NotMaskOption = Annotated[
    list[str] | None,
    typer.Option("--not-mask", metavar="FILE", help="The same, of something that is not meant."),
]


def describe_examples(
    image: Annotated[Path, path_argument(help="The image that the examples lie in.")],
    out: Annotated[Path, path_option("--out", "-o", help="The file to write, e.g. cup.concept.")],
    box: BoxOption = None,
    not_box: NotBoxOption = None,
    mask: MaskOption = None,
    not_mask: NotMaskOption = None,
    phrase: Annotated[str | None, typer.Option(help="A noun phrase to look for along with the examples.")] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Keep the examples of this concept, too, e.g. from another image."),
    ] = None,
    average: Annotated[
        bool, typer.Option("--average", help="Put their mean in the place of examples that look alike.")
    ] = False,
    sam3: shared_options.Sam3Option = None,
    device: shared_options.DeviceOption = "auto",
    max_pixels: shared_options.MaxPixelsOption = None,
) -> None:
    """Write what examples in IMAGE show into a small file, which finds the same in other images.

    `sam3-agent segment OTHER QUERY --concept FILE` uses it. The file holds numbers of the network and no pixels; it is
    of use only to the same weights.
    Exit codes: 0 written; 1 failure; 2 bad usage or bad input.
    """
    with report_user_errors(interrupted="nothing was written"):
        from sam3_tool import Concept, Image, Sam3

        picture = Image.open(image, max_pixels=max_pixels)
        print_notes(picture.notes)
        boxes = [(parse_box(text, picture), label) for label, texts in ((1, box), (0, not_box)) for text in texts or ()]
        masks = [
            (read_mask(text, picture, option=option, max_pixels=max_pixels), label)
            for label, option, texts in ((1, "--mask", mask), (0, "--not-mask", not_mask))
            for text in texts or ()
        ]
        if not boxes and not masks:
            raise UsageError("no example was given; show one with --box X0,Y0,X1,Y1 or --mask FILE")
        others = [Concept.load(_expand_path("--add", text)) for text in add or ()]
        with show_progress() as progress:
            progress.show_status(f"loading SAM 3 ({sam3 or DEFAULT_SAM3})")
            segmenter = Sam3.load(sam3 or DEFAULT_SAM3, device=device)
            progress.show_status("describing")
            made = _describe(segmenter, picture, phrase, boxes, masks)
            concept = _combine([made, *others], average)
        concept.save(out)
    with report_user_errors(interrupted=f"the concept is in {out}"):
        count = "1 example" if len(concept) == 1 else f"{len(concept)} examples"
        print_line(f"{escape_unprintable(str(out))}: {count}, for {escape_unprintable(segmenter.name)}")


def _describe(
    sam3: Any,
    image: "Image",
    phrase: str | None,
    boxes: "Sequence[tuple[Box, int]]",
    masks: "Sequence[tuple[np.ndarray, int]]",
) -> Any:
    try:
        return sam3.describe(
            image,
            phrase,
            boxes=[box for box, _ in boxes],
            box_labels=[label for _, label in boxes],
            masks=[mask for mask, _ in masks],
            mask_labels=[label for _, label in masks],
        )
    except ValueError as error:  # a mask of another size, too many examples
        raise UsageError(str(error)) from error


def _combine(concepts: Sequence[Any], average: bool) -> Any:
    from sam3_tool import Concept

    try:
        return concepts[0] if len(concepts) == 1 and not average else Concept.combine(concepts, average=average)
    except ValueError as error:
        raise UsageError(f"--add: {error}") from error


def parse_box(text: str, image: "Image") -> "Box":
    """Return the corners in pixels.

    Raises UsageError for what is no box, and for one that holds nothing of the image.

    >>> from types import SimpleNamespace
    >>> parse_box("10,20,64,48", SimpleNamespace(width=100, height=50))
    (10.0, 20.0, 64.0, 48.0)
    """
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError:
        x0 = y0 = x1 = y1 = float("nan")
    if not (all(map(isfinite, (x0, y0, x1, y1))) and x0 < x1 and y0 < y1):
        raise UsageError(f"{text!r} is no box; expected x0,y0,x1,y1 in pixels with x0 < x1 and y0 < y1")
    if x1 <= 0 or y1 <= 0 or x0 >= image.width or y0 >= image.height:
        size = f"{image.width} wide and {image.height} high"
        raise UsageError(f"the box {text} lies outside the image, which is {size}; give a place in it, in pixels")
    return x0, y0, x1, y1


def read_mask(text: str, image: "Image", *, option: str, max_pixels: int | None) -> "np.ndarray":
    """Read an image as a mask, bool (height, width): true where it is not black.

    Args:
        text: Its path.
        image: What the mask is of.
        option: How it was given, for messages.
        max_pixels: As `Image.open` takes it.

    Raises:
        UserError: There is no such image, or it is of `image`'s size and no mask.
    """
    from sam3_tool import Image

    shown = Image.open(_expand_path(option, text), max_pixels=max_pixels)
    covered: np.ndarray = shown.pixels.max(axis=2) > 0
    if covered.shape == (image.height, image.width) and (fault := _find_mask_fault(shown.pixels)):
        raise UsageError(
            f"{option}: {text} is no mask, as {fault}; expected an image that is black but for the example, which has"
            " one colour; or show the example with --box"
        )
    return covered


def _find_mask_fault(pixels: "np.ndarray") -> str:
    """Say why an image, uint8 (H, W, 3), can be no mask; "" where it can be one."""
    import numpy as np

    if pixels.max(axis=2).all():
        return "no pixel of it is black"
    step = 1 + pixels.size // 10**7  # so many rows tell
    shades = (pixels[::step] >> 4).astype(np.intp) @ (256, 16, 1)  # 16 of each colour: soft edges and JPEG's noise fit
    counts = np.sort(np.bincount(shades.ravel()))
    is_drawn = counts[-MASK_SHADES:].sum() >= MASK_SHARE * shades.size and np.count_nonzero(counts) <= MAX_SHADES
    return "" if is_drawn else "it has the many shades of a photograph"


def _expand_path(option: str, text: str) -> Path:
    from sam3_tool.errors import PathError
    from sam3_tool.system.paths import expand_path

    try:
        return expand_path(text)
    except PathError as error:
        raise UsageError(f"{option}: {error}") from error
