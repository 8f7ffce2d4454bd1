"""Bad input that the documentation tells of: every command here is run, and its page holds what it said.

A command runs in a folder that holds the files of `write_files`. Text files of one case stand beside its command.
"""

import io
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A command that cannot do what it is asked for."""

    found: str
    """What is wrong, in words."""
    command: str
    """As in a shell; variables may stand before it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The text of files that this case alone needs, by name."""


def describe_own_data(segmentation: str, image_id: int = 1) -> dict[str, str]:
    """Return an `annotations.json` of image 1 and one annotation."""
    held = (
        '{"images": [{"id": 1, "file_name": "photo.png", "width": 96, "height": 64}],'
        ' "categories": [{"id": 1, "name": "cup"}],'
        f' "annotations": [{{"id": 7, "image_id": {image_id}, "category_id": 1, "segmentation": {segmentation}}}]}}'
    )
    return {"annotations.json": held}


CHECK = "sam3-agent eval check own --data ."
RUN = "sam3-agent eval run own --data . --out runs/a"
MODEL = "sam3-agent segment photo.png cup --planner openai:x --base-url http://127.0.0.1:9/v1"

IMAGES = [
    Case("no such file", "sam3-agent segment photos.png cup"),
    Case("an empty file", "sam3-agent segment empty.png cup"),
    Case("an HTML page", "sam3-agent segment page.jpg cup", {"page.jpg": "<!DOCTYPE html><html>Not found</html>"}),
    Case(
        "a Git LFS pointer",
        "sam3-agent segment lfs.png cup",
        {"lfs.png": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"},
    ),
    Case("an HEIC photo", "sam3-agent segment phone.heic cup"),
    Case("a PDF", "sam3-agent segment scan.pdf cup", {"scan.pdf": "%PDF-1.7\n"}),
    Case("a JPEG cut off in the middle", "sam3-agent segment half.jpg cup"),
    Case("more pixels than allowed", "sam3-agent segment photo.png cup --max-pixels 1000"),
    Case("a pattern that matches nothing", "sam3-agent segment 'photos/*.jpg' cup"),
    Case("no query", "sam3-agent segment photo.png"),
    Case("a query without quotes", "sam3-agent segment photo.png the red cup"),
    Case("nothing on standard input", "sam3-agent segment - cup"),
]
VIDEOS = [
    Case("a video whose end is missing", "sam3-agent segment half.mp4 cup"),
    Case("a text", "sam3-agent segment notes.mp4 cup", {"notes.mp4": "Bring the cups\n"}),
    Case("frames of different sizes", "sam3-agent segment frames cup"),
    Case("frames beside their masks", "sam3-agent segment twins cup"),
    Case("a folder without images", "sam3-agent segment folder cup"),
    Case("frames larger than allowed", "sam3-agent segment frames cup --max-pixels 1000"),
]
OPTIONS = [
    Case("an empty query", "sam3-agent segment photo.png ''"),
    Case("an unset variable as a path", "sam3-agent segment photo.png cup --out ''"),
    Case("the home folder of nobody", "sam3-agent segment '~nobody-here/photo.png' cup"),
    Case("a threshold beyond 1", "sam3-agent segment photo.png cup --threshold 2"),
    Case("an unknown planner", "sam3-agent segment photo.png cup --planner clippy"),
    Case("an unknown toolset", "sam3-agent segment photo.png cup --toolset desk"),
    Case("an unknown export", "sam3-agent segment photo.png cup --export psd"),
    Case("an option of another planner", "sam3-agent segment photo.png cup --patience 5"),
    Case("no patience at all", f"{MODEL} --patience 0"),
    Case("half a JSON object", f"{MODEL} --extra-body '{{'"),
]
WEIGHTS = [
    Case("no such checkpoint", "sam3-agent segment photo.png cup --sam3 ./weights"),
    Case("a slip in the name", "sam3-agent segment photo.png cup --sam3 Tiny"),
    Case(
        "an HTML page",
        "sam3-agent segment photo.png cup --sam3 sam3.pt",
        {"sam3.pt": "<!DOCTYPE html><title>Sign in</title>"},
    ),
    Case(
        "a Git LFS pointer",
        "sam3-agent segment photo.png cup --sam3 sam3.pt",
        {"sam3.pt": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3440000000\n"},
    ),
    Case("a folder without weights", "sam3-agent segment photo.png cup --sam3 folder"),
]
ENVIRONMENT = [
    Case("a proxy that needs a package", f"ALL_PROXY=socks5://127.0.0.1:9 {MODEL}"),
    Case("no address of a proxy", f"http_proxy=foo:bar {MODEL}"),
    Case("certificates that are not there", f"SSL_CERT_FILE=/nowhere.pem {MODEL}"),
    Case("a limit that is no number", "SAM3_AGENT_MAX_PIXELS=many sam3-agent segment photo.png cup"),
]
DATA = [
    Case("a coordinate that is no number", RUN, describe_own_data("[[1, 1, 9, NaN, 9, 9]]")),
    Case("a polygon of two points", RUN, describe_own_data("[[1, 1, 5, 5]]")),
    Case("runs of another size", RUN, describe_own_data('{"size": [64, 96], "counts": [6000, 9]}')),
    Case("an annotation of no image", CHECK, describe_own_data("[]", image_id=5)),
    Case("a misspelt key", CHECK, {"queries.jsonl": '{"image": "photo.png", "query": "cup", "boxs": []}\n'}),
    Case("no data", "sam3-agent eval check reasonseg --data folder --split val"),
]

CASES = {
    "images": IMAGES,
    "videos": VIDEOS,
    "options": OPTIONS,
    "weights": WEIGHTS,
    "environment": ENVIRONMENT,
    "data": DATA,
}


def write_files(folder: Path) -> None:
    """Write an image, files that are not whole, a photo of a phone, frames that do not fit, and an empty folder."""
    import PIL.Image

    image = PIL.Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    image.save(folder / "photo.png")
    whole = io.BytesIO()
    image.save(whole, "JPEG", quality=95)
    (folder / "half.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    (folder / "half.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomavc1" + b"\0\0\1\0mdat" + bytes(64))
    for name, frames in {"frames": ("1.png", "2.png"), "twins": ("1.png", "1.jpg")}.items():
        (folder / name).mkdir()
        for index, frame in enumerate(frames):
            image.resize((96 - 32 * index, 64)).save(folder / name / frame)
    (folder / "empty.png").touch()
    (folder / "folder").mkdir()


@contextmanager
def enter_folder(case: Case) -> Iterator[Path]:
    """Make the folder that a case runs in the current one."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name))
        for file, text in case.files.items():
            Path(name, file).write_text(text, encoding="utf-8")
        os.chdir(name)
        try:
            yield Path(name).resolve()
        finally:
            os.chdir(before)


def run_case(case: Case) -> tuple[int, str]:
    """Run the command in this process; return its exit code and what it says on stderr."""
    from typer.testing import CliRunner

    from agent.cli.main import app

    words = shlex.split(case.command)
    start = words.index("sam3-agent")
    variables = dict(word.split("=", 1) for word in words[:start])
    with enter_folder(case) as folder:
        done = CliRunner().invoke(app, words[start + 1 :], env={"OPENAI_API_KEY": "x", **variables})
    return done.exit_code, done.stderr.replace(f"{folder}/", "").strip()
