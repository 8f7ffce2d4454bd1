"""Reading a benchmark's files: where they must be, what to say when they are not, and a hash of what was read."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import PIL.Image
from PIL import ExifTags

from evals.errors import DatasetError, ScoringError
from evals.samples import Prediction
from sam3_tool import Image, ImageError
from sam3_tool.system.files import decode_json

T = TypeVar("T")


@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from."""

    name: str
    location: str
    licence: str

    def build_missing_error(self, found: str, expected: str) -> DatasetError:
        """`found`: what is there instead, a clause; `expected`: files and folders."""
        return DatasetError(
            f"{self.name}: {found}, expected {expected}; nothing is downloaded here: get it from {self.location}"
            f" (licence: {self.licence})"
        )

    def build_broken_error(self, path: Path, what: str) -> DatasetError:
        return DatasetError(f"{self.name}: {path} {what}; get a fresh copy from {self.location}")

    def find_first(self, candidates: Sequence[Path], expected: str) -> Path:
        """The first that exists. Raises DatasetError."""
        for path in candidates:
            if path.exists():
                return path
        raise self.build_missing_error(f"{candidates[0]} does not exist", expected)

    def find_image_folder(self, folders: Sequence[Path], example: str) -> Path:
        """The first folder that holds the image `example`. Raises DatasetError."""
        for folder in folders:
            if find_file(folder, example) is not None:
                return folder
        tried = " and ".join(str(folder) for folder in folders)
        raise self.build_missing_error(f"the image {example} is not in {tried}", "the images that the annotations name")

    def read_json(self, path: Path) -> Any:
        """Raises DatasetError for a file that is not there or no JSON."""
        try:
            return decode_json(path.read_bytes())
        except OSError as error:
            raise self.build_missing_error(f"{path} cannot be read ({error.strerror})", "a JSON file") from error
        except (ValueError, RecursionError) as error:
            raise self.build_broken_error(path, f"is not JSON ({error})") from error

    def parse_json(self, path: Path, parse: Callable[[Any], T]) -> T:
        """Parse a JSON file's content; an entry that is not as published raises DatasetError."""
        content = self.read_json(path)
        try:
            return parse(content)
        except ScoringError as error:
            raise self.build_broken_error(path, f"is not as published ({error})") from error
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise self.build_broken_error(path, f"is not as published ({type(error).__name__}: {error})") from error


def find_file(folder: Path, name: str) -> Path | None:
    """The file of this name, which may have the separators of Windows; None where there is none."""
    for path in (folder / name, folder / name.replace("\\", "/")):
        try:
            if path.is_file():
                return path
        except OSError:  # a name that is too long
            continue
    return None


@contextmanager
def name_file(path: Path, source: str) -> Iterator[None]:
    """Raise DatasetError, which names the file, for an entry that raises ScoringError; `source` is whose file it is."""
    try:
        yield
    except ScoringError as error:
        raise DatasetError(f"{source}: {path}, {error}") from error


def make_image_opener(path: Path) -> Callable[[], Image]:
    """Reads the image when it is called."""
    return partial(Image.open, path)


def make_decoding_opener(content: Callable[[], bytes | None], name: str) -> Callable[[], Image]:
    """Reads the image whose file's content is stored elsewhere, when it is called; `name` is for its messages."""

    def open_image() -> Image:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "picture"
            path.write_bytes(content() or b"")
            try:
                return Image.open(path)
            except ImageError as error:
                raise ImageError(str(error).replace(str(path), name)) from error

    return open_image


def read_upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of the image as `Image.open` gives it, mostly without decoding it. Raises DatasetError."""
    try:
        with PIL.Image.open(path) as pil_image:
            width, height = pil_image.size
            if pil_image.format == "JPEG":
                turned = pil_image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
                return (width, height) if turned else (height, width)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        pass  # said better by the reader of whole images
    try:
        image = Image.open(path)
    except ImageError as error:
        raise DatasetError(str(error)) from error
    return image.height, image.width


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """SHA-256, in hexadecimal, over the names relative to `root` and the contents."""
    digest = sha256()
    for path in paths:
        name = Path(relpath(path, root)).as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def to_json(value: Any) -> bytes:
    """Encode as a submission file holds it: one line, numbers in full."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def memoize_by_prediction(
    judge: Callable[[Sequence[Prediction]], Sequence[T]],
) -> Callable[[Sequence[Prediction]], list[T]]:
    """`judge`, which gives one value per prediction, asked for each different prediction only once."""
    known: dict[Prediction, T] = {}

    def judge_once(predictions: Sequence[Prediction]) -> list[T]:
        fresh = [prediction for prediction in dict.fromkeys(predictions) if prediction not in known]
        known.update(zip(fresh, judge(fresh), strict=True))
        return [known[prediction] for prediction in predictions]

    return judge_once
