"""When each pair is shown to people."""

from pathlib import Path

from engine.images import EngineImage
from engine.pairs import Judgement, Pair
from engine.review.desk import rank_randomly
from engine.review.ranking import build_ranking
from engine.store.store import EngineStore


def test_the_riskiest_come_first_and_a_tenth_at_random(tmp_path: Path) -> None:
    pairs = [Pair(image="5d", phrase=f"thing {place}", original="things", origin="list") for place in range(400)]
    with EngineStore.create(tmp_path / "engine") as store:
        store.add_images([EngineImage(key="5d", path=Path("a.png"), width=4, height=3)])
        store.add_pairs(pairs)
        store.append(
            [
                Judgement(
                    **{"pair": one.key, "stage": "ev", "choice": "accept", "by": "model:signals@1", "at": 0.0},
                    probability=place / 400,
                    drawn="auto",
                )
                for place, one in enumerate(pairs[:390])
            ]
        )
        rank = build_ranking(store)
        ranked = [rank(one.key) for one in pairs]
        risky = [one for one in ranked[:390] if one.drawn == "risk"]
        assert risky == sorted(risky, key=lambda one: -one.value)
        lots = [one for one in ranked[:390] if one.drawn == "random"]
        assert 20 <= len(lots) <= 60
        assert {one.weight for one in lots} == {10.0}
        assert [rank(one.key) for one in pairs[390:]] == [rank_randomly(one.key) for one in pairs[390:]]
