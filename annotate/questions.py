"""What is asked about every image, as the command line says it; and how a worker loads what answers it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.core.errors import UsageError
from agent.doubt.calibration import check_calibration
from agent.doubt.policy import DoubtPolicy
from sam3_tool.errors import PathError
from sam3_tool.phrases import normalize_phrase
from sam3_tool.system.files import decode_text
from sam3_tool.system.paths import expand_path

if TYPE_CHECKING:
    from agent.cli.options.segment_options import Options
    from agent.records.provenance import Provenance
    from annotate.asking import Asker, PhraseAsker
    from annotate.querying import QueryAsker
    from sam3_tool import Concept

MAX_PHRASE_LETTERS = 2000


@dataclass(frozen=True)
class Question:
    """What is asked, in the words of a plan, and what answers it."""

    asked: Mapping[str, Any]
    options: Mapping[str, Any]
    build_asker: "Callable[[str], Asker]"
    """Makes what answers on a device; it can be pickled."""
    phrases: int
    """Rows of an image."""


def read_phrases(text: str) -> tuple[str, ...]:
    """Read the phrases that `--phrases` asks for: the lines of a file, or the words themselves, with commas.

    Args:
        text: The name of a file, or phrases. Empty lines are passed over, and so is a phrase that was there before;
            in a file, also what follows `#` at the start of a line.

    Returns:
        The phrases, in their order.

    Raises:
        UsageError: There is none, one is too long, or the file cannot be read.

    >>> read_phrases("red cup, hat,, red  cup")
    ('red cup', 'hat')
    """
    lines = _read_lines(text)
    phrases = tuple(dict.fromkeys(phrase for line in lines if (phrase := " ".join(line.split()))))
    if not phrases:
        raise UsageError(f"--phrases holds no phrase ({text!r}); expected a file with one on each line, or 'cat, dog'")
    if long := [phrase for phrase in phrases if len(phrase) > MAX_PHRASE_LETTERS]:
        raise UsageError(
            f"a phrase of {len(long[0]):,} letters is too long ({long[0][:40]!r}…); expected a short noun phrase"
        )
    return phrases


def _read_lines(text: str) -> Sequence[str]:
    try:
        path = expand_path(text)
    except PathError:  # no path is that long, but phrases may be
        return text.split(",")
    try:
        lines = decode_text(path.read_bytes()).replace("\r", "\n").split("\n")
        if any("\0" in line for line in lines):
            raise UsageError(f"--phrases: {path} is no text; save the phrases in a .txt file, one on each line")
        return [line for line in lines if not line.lstrip().startswith("#")]
    except UnicodeDecodeError as error:
        raise UsageError(f"--phrases: {path} is no text in UTF-8 or UTF-16; save it so") from error
    except OSError as error:
        # a folder of that name, or a file that is there and cannot be read, or one that should be there
        if os.path.lexists(path) or path.suffix.lower() in (".txt", ".lst", ".csv", ".tsv"):
            raise UsageError(f"--phrases: {path} cannot be read ({error.strerror or error})") from error
        return text.split(",")


def ask_phrases(options: "Options", phrases: Sequence[str], *, batch: int, max_pixels: int | None) -> Question:
    """Ask SAM 3 for phrases. Raises UsageError for a concept of which no phrase makes use."""
    from agent.cli.concepts.files import load_concepts

    sam3 = options.sam3 or "tiny"
    threshold = 0.5 if options.threshold is None else options.threshold
    concepts = load_concepts(options.concept or ())
    _check_concepts_apply(concepts, phrases)
    keys = {name: concept.key for name, concept in concepts.items()}
    doubt = DoubtPolicy(options.min_probability)
    asker = partial(load_phrase_asker, sam3=sam3, phrases=tuple(phrases), threshold=threshold, doubt=doubt)
    chosen = {"min_probability": options.min_probability} if doubt.is_active else {}
    return Question(
        {"phrases": list(phrases), "threshold": threshold},
        {"sam3": sam3, "max_pixels": max_pixels, **({"concepts": keys} if keys else {}), **chosen},
        partial(asker, batch=batch, concepts=concepts),
        len(phrases),
    )


def _check_concepts_apply(concepts: "Mapping[str, Concept]", phrases: Sequence[str]) -> None:
    """Raise UsageError for a concept whose phrase is not asked for."""
    asked = {normalize_phrase(phrase) for phrase in phrases}
    if idle := [name for name in concepts if name not in asked]:
        raise UsageError(
            f"--concept stands for {idle[0]!r}, and --phrases does not ask for it;"
            f" add the phrase, or name one that is there: --concept '{phrases[0]}=FILE'"
        )


def ask_query(options: "Options", query: str, *, batch: int, episodes: int, max_pixels: int | None) -> Question:
    """Ask the agent a query. Raises UserError for a planner that there is not."""
    from agent.cli.concepts.files import load_concepts
    from agent.planners.loading import list_planner_options

    list_planner_options(options.planner)  # says at once that there is no such planner
    provenance = options.build_provenance()
    concepts = load_concepts(options.concept or ())
    asker = partial(load_query_asker, options=options, provenance=provenance, concepts=concepts)
    return Question(
        {"query": query, "threshold": options.threshold},
        {**provenance.model_dump(mode="json", exclude={"version"}), "max_pixels": max_pixels},
        partial(asker, query=query, batch=batch, episodes=episodes),
        1,
    )


def load_phrase_asker(
    device: str,
    *,
    sam3: str,
    phrases: Sequence[str],
    threshold: float,
    batch: int,
    concepts: "Mapping[str, Concept]",
    doubt: DoubtPolicy,
) -> "PhraseAsker":
    """Load SAM 3 onto a device.

    Raises CheckpointError, DeviceError, ConceptError for concepts of other weights, or UsageError where masks have no
    probabilities and `doubt` needs them.
    """
    from agent.cli.concepts.files import apply_concepts
    from annotate.asking import PhraseAsker
    from sam3_tool.sam3 import Sam3

    loaded = apply_concepts(Sam3.load(sam3, device=device, max_batch=batch), concepts)
    check_calibration(loaded, doubt)
    return PhraseAsker(loaded, phrases, threshold, batch, doubt.min_probability)


def load_query_asker(
    device: str,
    *,
    options: "Options",
    provenance: "Provenance",
    query: str,
    batch: int,
    episodes: int,
    concepts: "Mapping[str, Concept]",
) -> "QueryAsker":
    """Load SAM 3 and the planner onto a device.

    Raises CheckpointError, DeviceError, PlannerError, ConceptError, or UsageError as `load_phrase_asker`.
    """
    from agent.cli.concepts.files import apply_concepts
    from agent.planners.loading import load_planner, with_model_info
    from annotate.querying import QueryAsker
    from sam3_tool.sam3 import Sam3

    options = replace(options, device=device)
    planner = load_planner(options.planner, **options.to_planner_options(provenance))
    provenance = with_model_info(provenance, planner)
    sam3 = apply_concepts(Sam3.load(provenance.sam3, device=device, max_batch=batch), concepts)
    check_calibration(sam3, provenance.doubt)
    made_by = provenance.model_dump(mode="json")
    return QueryAsker(sam3, planner, query, provenance.budget, made_by, episodes, provenance.doubt)
