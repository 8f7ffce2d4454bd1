"""`sam3-agent everything`: masks of all that is in an image, without a question."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.options.segment_options import DEFAULT_SAM3
from agent.cli.terminal.console import print_notes, report_user_errors, show_progress
from agent.cli.terminal.streams import print_line, print_remark
from sam3_tool.system.file_names import escape_unprintable, sanitize_file_name

OVERLAY = "overlay.png"


def segment_everything(
    image: Annotated[Path, path_argument(help="An image file: PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF …")],
    out: Annotated[Path | None, path_option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    sam3: shared_options.Sam3Option = None,
    device: shared_options.DeviceOption = "auto",
    points_per_side: Annotated[
        int | None, typer.Option(min=1, max=256, help="Of the grid of points (default: 32, fewer in a small image).")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, help="Keep masks whose predicted IoU is above it (default: by the weights).")
    ] = None,
    min_stability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Keep masks at least as stable as that (default: by the weights)."),
    ] = None,
    crop_layers: Annotated[
        int, typer.Option(min=0, max=4, help="Also search parts of the image: 1 adds 4 of them, 2 adds 16 more.")
    ] = 0,
    min_region_area: Annotated[
        int, typer.Option(min=0, help="Pixels; fill holes and drop islands that are smaller.")
    ] = 0,
    export: shared_options.ExportOption = "coco",
    max_pixels: shared_options.MaxPixelsOption = None,
) -> None:
    """Find everything in IMAGE without a question; write overlay.png and the masks, as COCO JSON by default.

    Each point of a grid is a click. Masks that are good and stable are kept, one of near duplicates.
    Exit codes: 0 done, also where nothing was found; 1 failure; 2 bad usage or bad input.
    """
    with report_user_errors(interrupted="nothing was written"):
        from agent.core.errors import UsageError
        from agent.core.workspace import Workspace
        from agent.exports import select_exporters
        from agent.report.output_folder import raise_write_errors, stage_files
        from sam3_tool import Image, Sam3
        from sam3_tool.drawing.overlay import draw_marks

        if min_score is not None and min_score >= 1:
            raise UsageError(f"--min-score must be at least 0 and below 1, got {min_score:g}")
        formats = [*select_exporters(export or "coco", "image").values()]
        files = (OVERLAY, *(exporter.build_file_name(image.name) for exporter in formats))
        picture = Image.open(image, max_pixels=max_pixels)
        print_notes(picture.notes)
        folder = out or Path("out", sanitize_file_name(image.stem))
        with stage_files(folder, files) as stage, show_progress() as progress:
            progress.show_status(f"loading SAM 3 ({sam3 or DEFAULT_SAM3})")
            segmenter = Sam3.load(sam3 or DEFAULT_SAM3, device=device)
            progress.show_status("segmenting everything")
            found = segmenter.segment_everything(
                picture,
                points_per_side=points_per_side,
                min_score=min_score,
                min_stability=min_stability,
                crop_layers=crop_layers,
                min_region_area=min_region_area,
            )
            candidates = Workspace(picture.height, picture.width).with_instances(found, origin="everything").candidates
            with raise_write_errors(folder):
                draw_marks(picture, found).save(stage / OVERLAY)
                for exporter in formats:
                    exporter.write(picture, candidates, image.name, stage, {})
    count = "1 mask" if len(found) == 1 else f"{len(found)} masks"
    with report_user_errors(interrupted=f"the masks are in {folder}"):
        if not len(found):
            print_remark("note: no mask is good enough; --min-score and --min-stability lower what is asked of them")
        print_line(f"{count}\n{escape_unprintable(str(folder))}: {', '.join(files)}")
