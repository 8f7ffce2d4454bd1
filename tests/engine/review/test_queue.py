"""Nothing is lost, nothing is shown twice to one person, and everything can be taken back."""

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from engine.review.queue.leases import GOLD_EVERY, LEASE_SECONDS
from engine.review.queue.opinions import UNDO_LENGTH, choose_wanted
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewItem, NewOpinion


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Iterator[ReviewQueue]:
    made = ReviewQueue(":memory:", clock=clock)
    yield made
    made.close()


numbers = count()


def fill(queue: ReviewQueue, count: int, **how: object) -> None:
    queue.add_items(NewItem("mv", f"{number:016x}", "cup", -number, 0, **how) for number in range(count))  # type: ignore[arg-type]


def answer(queue: ReviewQueue, person: str, item: int, choice: str = "accept", **how: object) -> str:
    name = f"{person}-{item}-{choice}-{next(numbers)}"
    [status] = queue.keep_opinions(person, [NewOpinion(item, name, choice, **how)]).values()  # type: ignore[arg-type]
    return status


def take(queue: ReviewQueue, person: str, **how: object) -> list[int]:
    return [item.id for item in queue.take_items(person, "mv", **how)]  # type: ignore[arg-type]


def test_two_people_get_different_items_in_order(queue):
    fill(queue, 5)
    assert take(queue, "anna", count=2) == [1, 2]
    assert take(queue, "ben", count=9) == [3, 4, 5]
    assert take(queue, "cleo") == []


def test_an_item_goes_back_after_two_minutes_and_a_heart_beat_holds_it(queue, clock):
    fill(queue, 2)
    take(queue, "anna", count=2, page="p")
    clock.now += LEASE_SECONDS - 1
    assert queue.renew_leases("anna", "p", [1]) == [1]
    clock.now += 2
    assert take(queue, "ben") == [2]
    assert queue.renew_leases("anna", "p", [1, 2]) == [1]


def test_a_clock_that_is_set_back_holds_no_item_for_ever_and_tells_answers_apart(queue, clock):
    fill(queue, 2)
    take(queue, "anna", count=2)
    answer(queue, "anna", 1)
    clock.now -= 86_400
    assert take(queue, "ben") == [2]
    answer(queue, "ben", 2)
    answer(queue, "ben", 1)
    assert len({(one.person, one.at) for one in queue.list_opinions()}) == 3


def test_a_page_that_closes_gives_its_items_back(queue):
    fill(queue, 3)
    take(queue, "anna", count=2, page="first")
    take(queue, "anna", count=1, page="other")
    queue.release_page("anna", "first")
    assert take(queue, "ben", count=9) == [1, 2]


def test_a_page_that_was_loaded_again_gets_its_items_again(queue):
    fill(queue, 3)
    assert take(queue, "anna", count=2, page="p") == [1, 2]
    assert take(queue, "anna", count=3, page="p") == [1, 2, 3]
    assert take(queue, "anna", count=3, page="p", held=[1, 2, 3]) == []


def test_a_double_opinion_is_of_two_people_and_a_conflict_asks_a_third(queue):
    fill(queue, 1, wanted=2)
    assert (take(queue, "anna"), take(queue, "anna", page="other")) == ([1], [])
    answer(queue, "anna", 1, "accept")
    assert take(queue, "anna") == []
    [second] = queue.take_items("ben", "mv")
    assert second.drawn == "second"
    answer(queue, "ben", 1, "reject")
    assert take(queue, "cleo") == [1]
    answer(queue, "cleo", 1, "flag")
    assert take(queue, "dora") == []


def test_two_who_agree_are_enough(queue):
    fill(queue, 1, wanted=2)
    for person in ("anna", "ben"):
        take(queue, person)
        answer(queue, person, 1)
    assert take(queue, "cleo") == []
    assert queue.count_open() == {}


def test_a_late_answer_is_kept_as_a_further_opinion(queue, clock):
    fill(queue, 1)
    take(queue, "anna")
    clock.now += LEASE_SECONDS + 1
    take(queue, "ben")
    assert answer(queue, "ben", 1) == "kept"
    assert answer(queue, "anna", 1) == "kept"
    assert [(opinion.person, opinion.kind) for opinion in queue.list_opinions()] == [
        ("ben", "asked"),
        ("anna", "further"),
    ]


def test_an_answer_sent_twice_counts_once_and_an_opinion_is_never_overwritten(queue):
    fill(queue, 1)
    take(queue, "anna")
    said = NewOpinion(1, "a1", "accept")
    assert queue.keep_opinions("anna", [said]) == {"a1": "kept"}
    assert queue.keep_opinions("anna", [said]) == {"a1": "repeated"}
    assert queue.keep_opinions("anna", [NewOpinion(1, "a2", "reject")]) == {"a2": "answered"}
    assert queue.keep_opinions("anna", [NewOpinion(99, "a3", "reject")]) == {"a3": "unknown"}
    assert [opinion.choice for opinion in queue.list_opinions()] == ["accept"]


def test_undo_takes_back_ones_own_answers_up_to_twenty_and_a_grid_at_once(queue):
    fill(queue, UNDO_LENGTH + 5)
    for number in take(queue, "anna", count=UNDO_LENGTH + 3):
        answer(queue, "anna", number)
    batch = take(queue, "anna", count=2)
    queue.keep_opinions("anna", [NewOpinion(item, f"g{item}", "accept", batch="grid") for item in batch])
    answer(queue, "ben", 1)
    assert [opinion.item.id for opinion in queue.undo_opinions("anna")] == batch
    undone = 1
    while queue.undo_opinions("anna"):
        undone += 1
    assert undone == UNDO_LENGTH
    assert len(queue.list_opinions(person="anna")) == 4
    assert len(queue.list_opinions(person="ben")) == 1


def test_what_was_taken_back_is_answered_again_by_the_same_person(queue):
    fill(queue, 2)
    take(queue, "anna", count=1, page="p")
    answer(queue, "anna", 1)
    queue.undo_opinions("anna", page="p")
    assert take(queue, "ben", count=9) == [2]
    assert answer(queue, "anna", 1, "reject") == "kept"
    assert [opinion.choice for opinion in queue.list_opinions(item=1)] == ["reject"]


def test_one_item_in_fifty_is_gold_and_nobody_gets_one_twice(queue):
    queue.add_items(
        [NewItem("mv", f"{number:016x}", "hat", 0, 0, gold="accept", wanted=1) for number in range(900, 903)]
    )
    for item in range(1, 4):
        answer(queue, "expert", item)
    fill(queue, 400)
    golds = []
    while items := queue.take_items("anna", "mv", count=1):
        golds += [item.id for item in items if item.drawn == "gold"]
        answer(queue, "anna", items[0].id)
    assert golds == [1, 2, 3]
    kinds = [opinion.kind for opinion in queue.list_opinions(person="anna")]
    assert kinds.count("gold") == 3
    assert kinds.index("gold") == GOLD_EVERY - 1


def test_a_grid_is_of_one_phrase(queue):
    queue.add_items(NewItem("mv", f"{number:016x}", ("cup", "hat")[number % 2], number, 0) for number in range(10))
    assert {item.phrase for item in queue.take_items("anna", "mv", count=24, phrase="hat")} == {"hat"}


def test_closed_pairs_are_asked_about_no_more_and_added_ones_again(queue):
    fill(queue, 2)
    queue.close_pair(f"{0:016x}")
    assert take(queue, "anna", count=9) == [2]
    fill(queue, 1)
    assert take(queue, "ben") == [1]


def test_an_answered_item_added_again_stays_answered(queue):
    fill(queue, 1)
    take(queue, "anna")
    answer(queue, "anna", 1)
    fill(queue, 1)
    assert take(queue, "ben") == []


def test_a_forgotten_pair_leaves_nothing(queue):
    fill(queue, 1)
    take(queue, "anna")
    answer(queue, "anna", 1)
    queue.forget_pairs([f"{0:016x}"])
    assert (queue.find_item(1), queue.list_opinions()) == (None, [])


def test_opinions_wait_for_the_log_of_the_project_until_they_stand_there(queue):
    fill(queue, 2)
    take(queue, "anna", count=2)
    answer(queue, "anna", 1)
    [opinion] = queue.list_unlogged()
    queue.mark_logged([(opinion.id, 7, None)])
    assert queue.list_unlogged() == []
    queue.undo_opinions("anna")
    [opinion] = queue.list_unlogged()
    assert (opinion.position, opinion.is_withdrawn) == (7, True)
    queue.mark_logged([(opinion.id, 7, 8)])
    assert queue.list_unlogged() == []


def test_one_item_in_ten_has_two_opinions():
    wanted = Counter(choose_wanted("mv", f"{number:016x}", 0) for number in range(2000))
    assert 150 < wanted[2] < 250


def work_until_killed(path: Path, seed: int, deaths: int) -> None:
    """Answer items as a server does, and die in the middle of it."""
    queue, chance, done = ReviewQueue(path), random.Random(seed), 0
    while True:
        began = done
        for person in ("anna", "ben", "cleo", "dora", "emil"):
            for item in queue.take_items(person, "mv", count=4):
                queue.keep_opinions(person, [NewOpinion(item.id, f"{seed}-{person}-{item.id}", chance.choice("ar"))])
                done += 1
                if done == deaths:
                    os.kill(os.getpid(), signal.SIGKILL)
        if began == done:
            return


def test_the_process_is_killed_and_nothing_is_missing(tmp_path):
    path = tmp_path / "queue.db"
    queue = ReviewQueue(path, clock=lambda: 0.0)
    queue.add_items(NewItem("mv", f"{number:016x}", "cup", 0, 0, 1 + number % 10 // 9) for number in range(200))
    queue.close()
    context = multiprocessing.get_context("fork")
    for seed, deaths in enumerate((40, 77)):
        worker = context.Process(target=work_until_killed, args=(path, seed, deaths))
        worker.start()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
    late = ReviewQueue(path, clock=lambda: 4e9)  # all leases of the dead have ended
    while any([take(late, person, count=9) for person in ("anna", "ben", "cleo")]):
        for person in ("anna", "ben", "cleo"):
            for number in [row[0] for row in late._file.read("select item from lease where person = ?", (person,))]:
                answer(late, person, number)
    opinions = Counter(opinion.item.id for opinion in late.list_opinions())
    wanted = dict(late._file.read("select id, wanted from item"))
    assert sum(opinions[item] < count for item, count in wanted.items()) == 0
    assert len({(opinion.item.id, opinion.person) for opinion in late.list_opinions()}) == sum(opinions.values())


def test_a_test_that_lacks_opinions_still_gets_them_and_only_then_tests_others(queue):
    fill(queue, 1)
    queue.set_gold(1, "reject")
    take(queue, "anna")
    answer(queue, "anna", 1)
    answer(queue, "ben", 1)
    assert [opinion.kind for opinion in queue.list_opinions()] == ["asked", "gold"]
