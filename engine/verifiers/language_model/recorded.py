"""Verdicts of an earlier run, read back from its file of answers: no model, no server, no key."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import EngineError
from engine.verifiers.language_model.answer_log import AnswerLog, SavedAnswer, make_item_key, read_answers
from engine.verifiers.language_model.mllm import Stage, combine_answers
from engine.verifiers.verifier import MaskItem, PairItem, Verdict
from sam3_tool.masks.rle import RleMask


class RecordedVerifier:
    """A verifier that gives the answers of a file. It has none about what was not asked then.

    Args:
        path: What `AnswerLog` has written; the answers of one model.

    Raises:
        EngineError: The file cannot be read, is empty, or holds the answers of several models.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise EngineError(
                f"there is no file {path}; expected the answers of an earlier run, e.g. FOLDER/answers.jsonl"
            )
        models = dict.fromkeys(answer.by for answer in read_answers(path))
        if len(models) != 1:
            found = ", ".join(models) or "none"
            raise EngineError(f"{path} has answers of {len(models)} models ({found}); give the answers of one")
        [self._by] = models
        self.name, _, self.fingerprint = self._by.removeprefix("model:").rpartition("@")
        self._answers = AnswerLog(path)

    def verify_masks(self, items: Sequence[MaskItem]) -> list[Verdict | None]:
        """Give the verdicts on masks, as they were.

        Args:
            items: Masks, of any images.

        Returns:
            One verdict per item, in order; None where it was not asked about.
        """
        return [self._find_verdict("mv", item.image, item.phrase, (item.mask,)) for item in items]

    def verify_coverage(self, items: Sequence[PairItem]) -> list[Verdict | None]:
        """Give the verdicts on pairs, as they were.

        Args:
            items: Pairs, of any images.

        Returns:
            As `verify_masks`.
        """
        return [self._find_verdict("ev", item.image, item.phrase, item.masks) for item in items]

    def _find_verdict(self, stage: Stage, image: str, phrase: str, masks: Sequence[RleMask]) -> Verdict | None:
        key = make_item_key(stage, image, phrase, masks)
        answers: list[SavedAnswer] = []
        while answer := self._answers.find_answer(self._by, key, len(answers)):
            answers.append(answer)
        return combine_answers(stage, answers)
