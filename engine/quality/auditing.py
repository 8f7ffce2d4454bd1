"""Which labels of models people look at all the same: one in fifty for ever, and samples that somebody asks for."""

from hashlib import blake2b

import numpy as np

from engine.states import PairDecision, StatePolicy
from engine.store.settings import read_value, write_value
from engine.store.store import EngineStore

AUDIT_SHARE = 0.02
"""Of the labels of models, chosen by the pair's key: the same ones for ever, whatever a verifier thinks of them."""


def is_audited(key: str, *, share: float = AUDIT_SHARE) -> bool:
    """Return whether a pair belongs to those whose label by a model people always look at.

    >>> sum(is_audited(f"{number:016x}") for number in range(5000))
    94
    """
    digest = blake2b(key.encode(), digest_size=8, person=b"audit").digest()
    return int.from_bytes(digest, "big") < share * 2**64


def is_model_label(decision: PairDecision) -> bool:
    """Return whether a pair is final by a model's decision.

    >>> is_model_label(PairDecision("final", decided_by="model"))
    True
    """
    return decision.name == "final" and decision.decided_by == "model"


def draw_audit_sample(store: EngineStore, policy: StatePolicy, size: int, *, seed: int) -> list[str]:
    """Draw labels of models at random for people to look at, and keep which: an audit adds to those before.

    Args:
        store: The data engine, open for writing.
        policy: What judgements are worth.
        size: How many; all where there are fewer.
        seed: The same seed draws the same sample.

    Returns:
        Keys of the pairs that were drawn now.

    Raises:
        EngineError: Nothing can be written.
    """
    before = read_audit_sample(store)
    labels = [summary.pair.key for summary in store.iterate_summaries(policy) if is_model_label(summary.decision)]
    fresh = sorted(key for key in labels if key not in before and not is_audited(key))
    drawn = [str(key) for key in np.random.default_rng(seed).permutation(fresh)[:size]]
    write_value(store.database, "audit", sorted({*before, *drawn}))
    return drawn


def read_audit_sample(store: EngineStore) -> frozenset[str]:
    """Return the keys of all pairs that audits have drawn so far. Raises EngineError."""
    return frozenset(read_value(store.database, "audit") or ())
