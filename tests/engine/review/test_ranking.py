"""When each pair is shown to people."""

from collections import Counter
from pathlib import Path

from engine.media.images import EngineImage
from engine.pairs import Judgement, Pair
from engine.quality.ordering import MOST_ALIKE, Candidate
from engine.review.desk import rank_randomly
from engine.review.ranking import build_ranking, rank_candidates
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


def test_no_phrase_and_no_group_fills_the_first_screen_and_each_is_drawn_once():
    candidates = [
        Candidate(str(place), place / 3000, 3.0, f"phrase {place // 100}", f"group {place % 40}")
        for place in range(3000)
    ]
    ranked = rank_candidates(candidates)
    assert len(ranked) == 3000
    first = sorted(candidates, key=lambda one: -ranked[one.key].value)[:60]
    risky = [one for one in first if ranked[one.key].drawn == "risk"]
    for words in ([one.phrase for one in risky], [one.group for one in risky]):
        assert max(Counter(words).values()) <= MOST_ALIKE
    shares = [one.drawn for one in ranked.values()].count("random") / 3000
    assert 0.08 <= shares <= 0.12


def test_quick_answers_come_before_slow_ones_of_the_same_risk():
    quick, slow = Candidate("brief", 0.5, 6.0, "cup"), Candidate("long", 0.6, 66.0, "hat")
    ranked = rank_candidates([slow, quick, *(Candidate(str(n), 0.0, 6.0, str(n)) for n in range(30))])
    assert ranked["brief"].value > ranked["long"].value or ranked["long"].drawn == "random"
