"""Phrases of single images in stage 2: from alternative texts, and from a language model that looks at them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.core.text.sanitizing import to_one_line
from agent.models.base import ChatModel
from annotate.progress import ProgressMeter
from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Origin, Pair
from engine.phrases.alt_text import find_noun_phrases
from engine.phrases.hygiene import CleanedPhrases, HygieneRules, clean_phrases, drop_phrases
from engine.phrases.model_proposing import PhraseAnswer, ask_for_phrases, ask_for_vague_phrases, hash_proposing_texts
from engine.phrases.negatives.candidates import hash_text
from engine.phrases.phrase_log import add_source, build_source, list_asked_images
from engine.stages.media import describe_error
from engine.stages.stage import RunContext
from sam3_tool.errors import ImageError
from sam3_tool.image import Image

BATCH = 8
"""Images that a model is asked about side by side; a kill costs no more answers."""
VAGUE = "the language model says that it has no outline"


@dataclass(eq=False)
class PhraseCollector:
    """Adds pairs of phrases that were found for single images, and keeps where they came from."""

    context: RunContext
    rules: HygieneRules
    added: int = field(default=0, init=False)
    errors: int = field(default=0, init=False)
    left: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.counts = Counter(pair.phrase for pair in self.context.store.pairs())
        self.sorted: dict[str, bool] = {}
        """Phrase -> whether a model says that it has an outline."""

    def read_alt_texts(self) -> None:
        """Add the noun phrases of alternative texts that were not read before. Raises EngineError."""
        for image in self._list_images():
            by = f"grammar@{hash_text(image.alt_text)}"
            if not image.alt_text or image.key in list_asked_images(self.context.store, "alt-text", by):
                continue
            cleaned = self._clean_phrases(image, find_noun_phrases(image.alt_text))
            self._add_pairs(image, "alt-text", by, cleaned, image.alt_text)

    def ask_model(self, model: ChatModel) -> None:
        """Ask a model about images that it was not asked about before, and add its phrases.

        Raises:
            EngineError: The server gives no answer. What it answered before is kept.
        """
        by = f"model:{model.name}@{hash_proposing_texts()}"
        asked = list_asked_images(self.context.store, "model", by)
        images = [image for image in self._list_images() if not image.error]
        open_images = [image for image in images if image.key not in asked]
        meter = ProgressMeter(len(images), len(images) - len(open_images))
        for start in range(0, len(open_images), BATCH):
            if self.context.is_out_of_time():
                self.left = len(open_images) - start
                return
            batch = self._open_pixels(open_images[start : start + BATCH])
            self._keep_answers(model, by, batch, ask_for_phrases(model, [pixels for _, pixels in batch]))
            meter.add_images(len(batch), {})
            self.context.report_progress("propose", meter)

    def _keep_answers(
        self, model: ChatModel, by: str, batch: Sequence[tuple[EngineImage, Image]], answers: Sequence[PhraseAnswer]
    ) -> None:
        cleaned = [
            None if answer.is_error else self._clean_phrases(image, answer.phrases)
            for (image, _), answer in zip(batch, answers, strict=True)
        ]
        vague = self._find_vague(model, [each for each in cleaned if each is not None])
        for (image, _), answer, kept in zip(batch, answers, cleaned, strict=True):
            if kept is None:
                self.errors += 1
                continue
            self._add_pairs(image, "model", by, drop_phrases(kept, vague), answer.caption)
            if answer.problem:
                self.context.on_note(f"{image.path}: {model.name} named no phrases: {to_one_line(answer.problem)}")
        if answers and all(answer.is_error for answer in answers):
            raise EngineError(
                f"the planner {model.name} gives no answer: {to_one_line(answers[0].problem)}; the phrases before are"
                " kept, so run again when it answers"
            )

    def _find_vague(self, model: ChatModel, cleaned: Sequence[CleanedPhrases]) -> dict[str, str]:
        """Return phrases without an outline; each phrase is asked about once in a run."""
        phrases = list(dict.fromkeys(entry.phrase for each in cleaned for entry in each.kept))
        fresh = [phrase for phrase in phrases if phrase not in self.sorted][:100]
        vague = ask_for_vague_phrases(model, fresh)
        self.sorted |= {phrase: phrase not in vague for phrase in fresh}
        return {phrase: VAGUE for phrase in phrases if not self.sorted.get(phrase, True)}

    def _clean_phrases(self, image: EngineImage, texts: Sequence[str]) -> CleanedPhrases:
        known = [pair.phrase for pair in self.context.store.pairs(image=image.key)]
        return clean_phrases(texts, self.rules, known=known, counts=self.counts)

    def _add_pairs(
        self, image: EngineImage, origin: Origin, by: str, cleaned: CleanedPhrases, caption: str = ""
    ) -> None:
        pairs = [
            Pair(image=image.key, phrase=entry.phrase, original=entry.original, origin=origin) for entry in cleaned.kept
        ]
        said = build_source(image.key, origin, by, cleaned, caption)
        self.added += add_source(self.context.store, said, pairs)
        self.counts.update(pair.phrase for pair in pairs)

    def _list_images(self) -> Iterator[EngineImage]:
        return (image for image in self.context.store.images() if image.is_kept)

    def _open_pixels(self, images: Sequence[EngineImage]) -> list[tuple[EngineImage, Image]]:
        opened = []
        for image in images:
            try:
                opened.append((image, image.open_pixels()))
            except (ImageError, OSError) as error:
                self.errors += 1
                self.context.on_note(f"{image.path}: {describe_error(error)}")
        return opened
