"""The verifier `signals`: what SAM 3 says of its own masks, as it is, without anybody's labels."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from engine.verifiers.verifier import MaskItem, PairItem, Verdict

MASK_SIGNALS = ("score", "agreement", "predicted_iou")
"""How sure a mask is, is the geometric mean of those that there are."""
MISSING_SIGNALS = ("uncovered", "exemplar_uncovered")
"""How likely something is missing, is the highest of those that there are."""
RULES_VERSION = 1
"""Goes up whenever the same signals get another probability."""


class SignalsVerifier:
    """Judges by SAM 3's own signals. Its probabilities put items in an order; they are not calibrated.

    >>> from sam3_tool.masks.rle import RleMask
    >>> verifier = SignalsVerifier()
    >>> item = MaskItem("5d", lambda: None, "cup", RleMask((2, 3), "06"), {"score": 0.9, "agreement": 0.9})
    >>> verifier.verify_masks([item])[0].choice
    'accept'
    >>> verifier.verify_coverage([PairItem("5d", lambda: None, "cup", (), {"presence": 0.75, "masks": 0.0})])[0].choice
    'reject'
    """

    name = "signals"

    @property
    def fingerprint(self) -> str:
        """What tells these rules from others: 12 hexadecimal digits."""
        return blake2b(repr((RULES_VERSION, MASK_SIGNALS, MISSING_SIGNALS)).encode(), digest_size=6).hexdigest()

    def verify_masks(self, items: Sequence[MaskItem]) -> list[Verdict | None]:
        """Judge masks. See `Verifier.verify_masks`."""
        return [build_verdict(estimate_mask(item.signals)) for item in items]

    def verify_coverage(self, items: Sequence[PairItem]) -> list[Verdict | None]:
        """Judge coverage. See `Verifier.verify_coverage`."""
        return [build_verdict(1 - estimate_missing(item.signals)) for item in items]


def estimate_mask(signals: Mapping[str, float]) -> float:
    """Return how sure a mask is, in [0, 1]; 0.5 without a signal.

    >>> round(estimate_mask({"score": 0.9, "agreement": 0.4}), 3)
    0.6
    """
    known = [signals[name] for name in MASK_SIGNALS if name in signals]
    return float(np.clip(np.prod(known) ** (1 / len(known)), 0, 1)) if known else 0.5


def estimate_missing(signals: Mapping[str, float]) -> float:
    """Return how likely something is missing, in [0, 1]: without masks, that the phrase names something at all.

    >>> estimate_missing({"masks": 0.0, "presence": 0.3, "uncovered": 0.1})
    0.3
    """
    known = [signals[name] for name in MISSING_SIGNALS if name in signals]
    if not signals.get("masks"):
        known.append(signals.get("presence", 0.5))
    return float(np.clip(max(known, default=0.5), 0, 1))


def build_verdict(probability: float) -> Verdict:
    """Build the verdict of a verifier that knows right and wrong alone.

    >>> build_verdict(0.25).choice
    'reject'
    """
    wrong = 1 - probability
    return Verdict("accept" if probability >= 0.5 else "reject", probability, {"accept": probability, "reject": wrong})
