"""Every model that `Sam3.load` knows by name: its licence, its gate, its size, and what it can do."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias

Ability: TypeAlias = Literal["phrase", "exemplar", "click", "video"]
Access: TypeAlias = Literal["embedded", "open", "gated", "key"]
"""Comes with this package; anybody may download it; its owner is asked first; runs at its owner's, for a key."""
Check: TypeAlias = Literal["these files", "random weights", "local server"]

OPEN_NAME = "open"
WORKS_NOW = "Without asking anybody: `--sam3 open` (photographs, downloaded once) or `--sam3 tiny` (embedded)."
"""What a message about missing weights ends with."""


EFFICIENT_REPOSITORY = "Simon7108528/EfficientSAM3"
EFFICIENT_NAME = f"{EFFICIENT_REPOSITORY}/efficientsam3_ft/efficientsam3_{{}}.pt"
"""The name of a model of EfficientSAM3, by the family of its vision encoder."""

CONFIGURATION, TOKENIZER, PROCESSOR = (
    ("config.json",),
    ("tokenizer.json", "vocab.json", "vocab.txt"),
    ("processor_config.json", "preprocessor_config.json"),
)
"""Files beside weights, each with the names that it may have."""


@dataclass(frozen=True)
class ModelFiles:
    """A repository on the Hugging Face hub, and the file of it that holds the weights."""

    repository: str
    weights: str = "model.safetensors"
    beside: tuple[tuple[str, ...], ...] = (CONFIGURATION, TOKENIZER, PROCESSOR)
    """What is loaded as well: for each, the names that it may have."""


@dataclass(frozen=True)
class CatalogEntry:
    """One model by name.

    >>> entry = find_entry("facebook/sam3")
    >>> entry.access, entry.can_follow_clicks
    ('gated', True)
    """

    name: str
    """What `Sam3.load` and `--sam3` take."""
    title: str
    licence: str
    access: Access
    nbytes: int
    """Bytes of weights on disk; 0 for a service."""
    abilities: tuple[Ability, ...]
    checked: Check
    """How it was run here: with these files, with the same files of random weights, against a server of our own."""
    files: tuple[ModelFiles, ...] = ()
    measured: str = ""
    """Speed that was measured here, and on what; empty if it was not."""
    note: str = ""
    """What one must know of it, in a sentence; empty if nothing."""

    @property
    def can_follow_clicks(self) -> bool:
        return "click" in self.abilities


_ALL: tuple[Ability, ...] = ("phrase", "exemplar", "click", "video")
_SAM_LICENCE = "SAM License"
_FULL_SIZE = "one CPU core, bfloat16: 46 s an image with its first phrase, 4 s a phrase"

CATALOG: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="tiny",
        title="SAM 3, embedded",
        licence="Apache-2.0",
        access="embedded",
        nbytes=17_269_058,
        abilities=_ALL,
        checked="these files",
        measured="one CPU core: 66 ms an image with its first phrase, 20 to 27 ms a phrase, 9 ms a click",
        note="It knows 266 words and drawn scenes, and finds little in photographs.",
    ),
    CatalogEntry(
        name=OPEN_NAME,
        title="Grounding DINO (tiny) and SAM 2.1",
        licence="Apache-2.0",
        access="open",
        nbytes=873_000_000,
        abilities=("phrase", "click", "video"),
        checked="random weights",
        files=(
            ModelFiles("IDEA-Research/grounding-dino-tiny"),
            ModelFiles("facebook/sam2.1-hiera-small", beside=(CONFIGURATION, PROCESSOR)),
        ),
        measured="one CPU core, float32: 20 s an image with its first phrase, 13 s a phrase, 0.16 s a click",
        note="It works on photographs. Its scores are on a scale of their own, and are not calibrated.",
    ),
    CatalogEntry(
        name=f"{OPEN_NAME}:owlv2",
        title="OWLv2 and SAM 2.1",
        licence="Apache-2.0",
        access="open",
        nbytes=805_000_000,
        abilities=_ALL,
        checked="random weights",
        files=(
            ModelFiles("google/owlv2-base-patch16-ensemble"),
            ModelFiles("facebook/sam2.1-hiera-small", beside=(CONFIGURATION, PROCESSOR)),
        ),
        note="As `open`, but it takes exemplar boxes of objects that are meant, and none of objects that are not.",
    ),
    *(
        CatalogEntry(
            name=f"vil-uob/sam3-litetext-{size}",
            title=f"SAM 3 with a light text encoder ({size.upper()})",
            licence="Apache-2.0 by its card",
            access="open",
            nbytes=nbytes,
            abilities=("phrase", "exemplar"),
            checked="random weights",
            files=(ModelFiles(f"vil-uob/sam3-litetext-{size}"),),
            note="Its vision encoder is SAM 3's: the SAM License may apply. Only its authors' .pt has a tracker.",
        )
        for size, nbytes in (("s0", 2_117_000_000), ("s1", 2_200_000_000), ("l", 2_440_000_000))
    ),
    *(
        CatalogEntry(
            name=EFFICIENT_NAME.format(family),
            title=f"EfficientSAM3 ({title})",
            licence="Apache-2.0 by its repository",
            access="open",
            nbytes=nbytes,
            abilities=("phrase", "exemplar"),
            checked="random weights",
            files=(ModelFiles(EFFICIENT_REPOSITORY, f"efficientsam3_ft/efficientsam3_{family}.pt", beside=()),),
            note=(
                "It needs `sam3-agent[efficient]`. It was made from SAM 3: the SAM License may apply. Clicks and "
                "videos work if the file holds SAM 3's tracker."
            ),
        )
        # with the tracker, as the authors' sizes of files are
        for family, title, nbytes in (
            ("efficientvit", "EfficientViT-B1", 468_000_000),
            ("repvit", "RepViT-M1.1", 482_000_000),
            ("tinyvit", "TinyViT-11M", 492_000_000),
        )
    ),
    CatalogEntry(
        name="facebook/sam3",
        title="SAM 3",
        licence=_SAM_LICENCE,
        access="gated",
        nbytes=3_440_000_000,
        abilities=_ALL,
        checked="random weights",
        files=(ModelFiles("facebook/sam3"),),
        measured=_FULL_SIZE,
    ),
    CatalogEntry(
        name="facebook/sam3.1",
        title="SAM 3.1, image part",
        licence=_SAM_LICENCE,
        access="gated",
        nbytes=3_500_000_000,
        abilities=("phrase", "exemplar", "click"),
        checked="random weights",
        files=(ModelFiles("facebook/sam3.1", "sam3.1_multiplex.pt", beside=()),),
        note="Its multiplex tracker for videos is not read; `--sam3 facebook/sam3` follows objects.",
    ),
    CatalogEntry(
        name="hosted:sam-3.1",
        title="SAM 3.1 at Meta, over the Responses API",
        licence="terms of the service",
        access="key",
        nbytes=0,
        abilities=("phrase", "click"),
        checked="local server",
        note="Images leave this machine, and each request costs money. Set SAM_API_KEY.",
    ),
)


def find_entry(name: str) -> CatalogEntry | None:
    """Return the model of this name, or None."""
    return next((entry for entry in CATALOG if entry.name == name), None)


def list_repositories() -> list[str]:
    """Return the repositories whose files may be named each: "REPOSITORY/FILE".

    >>> list_repositories()[-1]
    'facebook/sam3.1'
    """
    return list(dict.fromkeys(files.repository for entry in CATALOG for files in entry.files))


def suggest_name(name: str) -> str:
    """Return ", did you mean 'NAME'" for what is nearly the name of a model; "" for anything else.

    >>> suggest_name("facebok/sam3"), suggest_name("Tiny"), suggest_name("sam3.1"), suggest_name("somebody/else")
    (", did you mean 'facebook/sam3'", ", did you mean 'tiny'", ", did you mean 'facebook/sam3.1'", '')
    """
    names = {entry.name: entry.name for entry in CATALOG}
    last_parts = {re.split("[/:]", entry.name)[-1]: entry.name for entry in CATALOG}
    found = get_close_matches(name.lower(), [*names, *last_parts], n=1, cutoff=0.8)
    near = (last_parts | names)[found[0]] if found else ""
    return f", did you mean {near!r}" if near and near != name else ""


def locate_weights(entry: CatalogEntry) -> list[tuple[str, Path | None]]:
    """Return, for each file of weights on the hub, "REPOSITORY/FILE" and where it lies here; None: it does not.

    Nothing is downloaded, and the hub is not asked.
    """
    return [
        (f"{files.repository}/{files.weights}", _find_in_cache(files.repository, (files.weights,)))
        for files in entry.files
    ]


def list_missing_files(entry: CatalogEntry) -> list[str]:
    """Return, as "REPOSITORY/FILE", what is not on this machine of all that is loaded: weights and what is beside."""
    return [
        f"{files.repository}/{names[0]}"
        for files in entry.files
        for names in ((files.weights,), *files.beside)
        if _find_in_cache(files.repository, names) is None
    ]


def _find_in_cache(repository: str, names: tuple[str, ...]) -> Path | None:
    """Return where an earlier download has left the first of these files that is here."""
    # The hub's client takes a tenth of a second to import.
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)
