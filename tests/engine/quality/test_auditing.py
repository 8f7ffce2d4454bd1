"""Labels of models that people look at all the same."""

from pathlib import Path

from engine.media.images import EngineImage
from engine.pairs import Judgement, Pair, Proposal
from engine.quality.auditing import draw_audit_sample, is_audited, read_audit_sample
from engine.states import StatePolicy, Thresholds
from engine.store.store import EngineStore

POLICY = StatePolicy(ev=Thresholds(accept=0.9))


def fill_store(folder: Path, number: int) -> EngineStore:
    store = EngineStore.create(folder)
    store.add_images([EngineImage(key="5d", path=Path("a.png"), width=4, height=3)])
    pairs = [Pair(image="5d", phrase=f"thing {place}", original="things", origin="list") for place in range(number)]
    store.add_pairs(pairs)
    store.add_proposals(
        [Proposal(pair=one.key, masks=(), scores=(), presence=0.1, made_by="made up") for one in pairs], at=0.0
    )
    store.append(
        [
            Judgement(pair=one.key, stage="ev", choice="accept", probability=0.99 - 0.5 * (place % 2),
                      by="model:signals@1", at=0.0, drawn="auto")
            for place, one in enumerate(pairs)
        ]
    )  # fmt: skip
    return store


def test_audits_draw_labels_of_models_alone_add_up_and_repeat_nothing(tmp_path: Path) -> None:
    with fill_store(tmp_path / "engine", 200) as store:
        labels = {one.pair.key for one in store.iterate_summaries(POLICY) if one.decision.decided_by == "model"}
        assert len(labels) == 100
        first = draw_audit_sample(store, POLICY, 30, seed=0)
        second = draw_audit_sample(store, POLICY, 30, seed=0)
        assert len({*first, *second}) == 60
        assert {*first, *second} <= labels
        rest = draw_audit_sample(store, POLICY, 1000, seed=1)
        assert len(rest) == len(labels) - 60 - sum(map(is_audited, labels))
    with EngineStore.open(tmp_path / "engine", read_only=True) as store:
        assert read_audit_sample(store) == {*first, *second, *rest}
