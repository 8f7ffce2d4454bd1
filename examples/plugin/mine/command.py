"""A command: which share of an image a phrase covers."""

from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def measure_cover(image: Path, phrase: str, sam3: str = "tiny") -> None:
    """Print which share of IMAGE the instances of PHRASE cover."""
    from sam3_tool import Image, Sam3  # slow to import, and --help needs none of it

    found = Sam3.load(sam3).segment(Image.open(image), phrase)
    print(f"{len(found)} of {phrase!r}: {found.masks.any(axis=0).mean():.1%} of the image")
