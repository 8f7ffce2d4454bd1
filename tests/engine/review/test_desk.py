"""What people say becomes the state of a pair, whatever ends in the middle of it."""

import json
from collections.abc import Callable
from itertools import count

import pytest

from engine.pairs import Correction, Judgement, Withdrawal
from engine.review import opening
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.queue.opinions import UNDO_LENGTH, OpinionChoice
from engine.review.queue.tables import NewItem, NewOpinion, QueueItem
from engine.store.store import EngineStore
from sam3_tool.masks.rle import encode_mask
from tests.engine.review.conftest import draw_masks

numbers = count()


def take(desk: ReviewDesk, stage: str, person: str = "anna") -> list[QueueItem]:
    return desk.queue.take_items(person, stage, count=9)


def say(desk: ReviewDesk, item: QueueItem, choice: str, person: str = "anna", **how: str) -> str:
    name = f"answer-{next(numbers)}"
    return desk.keep_opinions(person, [NewOpinion(item.id, name, choice, seconds=2.0, **how)])[name]


def find_one(desk: ReviewDesk, stage: str, person: str = "anna") -> QueueItem:
    [item] = take(desk, stage, person)
    return item


def test_masks_then_coverage_then_final(add, open_desk, store):
    key = add(count=2)
    desk = open_desk()
    for item in take(desk, "mv"):
        assert say(desk, item, "accept") == "kept"
    assert say(desk, find_one(desk, "ev", "ben"), "accept", "ben") == "kept"
    state = store.read_state(key)
    assert (state.name, len(state.masks), state.is_exhaustive, state.decided_by) == ("final", 2, True, "human")
    entry = next(store.entries(key)).entry
    assert (entry.by, entry.seconds, entry.drawn) == ("human:anna", 2.0, "random")


def test_answers_with_the_wrong_key_are_taken_back_however_many_they_are(add, open_desk, store):
    keys = [add() for _ in range(UNDO_LENGTH + 5)]
    desk = open_desk()
    [right] = desk.queue.take_items("ben", "mv", count=1)
    say(desk, right, "reject", "ben")
    items: list[QueueItem] = []
    while len(items) <= UNDO_LENGTH:
        items += (batch := take(desk, "mv"))
        for item in batch:
            say(desk, item, "accept" if item is items[0] else "reject")
    taken = desk.withdraw_opinions(OpinionChoice("anna", choice="reject"))
    assert [item.id for item in taken] == [item.id for item in items[1:]]
    assert {key for key in keys if store.read_state(key).decision.needs == "correct"} == {right.pair}
    assert store.read_state(items[0].pair).decision.needs == "ev"
    assert len([record for record in store.entries() if isinstance(record.entry, Withdrawal)]) == len(items) - 1
    assert {item.pair for item in open_desk().queue.take_items("cleo", "mv", count=24)} == {
        item.pair for item in items[1:]
    } | ({*keys} - {item.pair for item in items} - {right.pair})
    assert desk.withdraw_opinions(OpinionChoice("ben", limit=1, since=9e9)) == []


def test_a_pair_whose_masks_were_all_rejected_goes_to_correction(add, open_desk, store):
    key = add()
    desk = open_desk()
    say(desk, find_one(desk, "mv"), "reject", reason="wrong_thing")
    assert take(desk, "ev", "ben") == []
    new = encode_mask(draw_masks(2)[1])
    content = json.dumps({"masks": [{"counts": new.counts, "group": True}], "exhaustive": True})
    assert say(desk, find_one(desk, "correct"), "corrected", content=content) == "kept"
    state = store.read_state(key)
    assert (state.name, state.masks, state.groups) == ("final", (new,), (True,))


def test_whoever_adds_what_is_missing_has_corrected_the_pair(add, open_desk, store):
    key = add()
    desk = open_desk()
    say(desk, find_one(desk, "mv"), "accept")
    added = encode_mask(draw_masks(2)[1])
    content = json.dumps({"masks": [{"index": 0}, {"counts": added.counts}]})
    assert say(desk, find_one(desk, "ev", "ben"), "corrected", "ben", content=content) == "kept"
    entries = [record.entry for record in store.entries(key)]
    assert [type(entry) for entry in entries] == [Judgement, Judgement, Correction]
    assert store.read_state(key).masks == (encode_mask(draw_masks(1)[0]), added)
    desk.undo_opinions("ben", "p")
    assert [type(record.entry) for record in store.entries(key)][3:] == [Withdrawal, Withdrawal]
    assert store.read_state(key).needs == "ev"


def test_undo_brings_the_state_back_and_closes_what_followed(add, open_desk, store):
    key = add()
    desk = open_desk()
    item = find_one(desk, "mv")
    say(desk, item, "reject", reason="holes")
    [again] = desk.undo_opinions("anna", "p")
    assert again.id == item.id
    assert store.read_state(key).needs == "mv"
    assert take(desk, "correct", "ben") == []
    say(desk, item, "accept")
    assert len(take(desk, "ev", "ben")) == 1


def test_a_flag_blocks_the_phrase_everywhere_until_it_is_taken_back(add, open_desk, store):
    for _ in range(3):
        add("some people")
    desk = open_desk()
    say(desk, desk.queue.take_items("anna", "mv", count=1)[0], "flag")
    assert take(desk, "mv", "ben") == []
    desk.undo_opinions("anna", "p")
    assert len(take(desk, "mv", "ben")) == 2  # anna holds the third


def test_people_who_disagree_are_settled_by_a_third(add, open_desk, store):
    key = add()
    desk = open_desk()
    desk.queue.add_items([NewItem("mv", key, "red cup", mask=0, version="1", wanted=2)])
    for person, choice in (("anna", "accept"), ("ben", "reject")):
        say(desk, find_one(desk, "mv", person), choice, person)
    assert store.read_state(key).needs == "mv"
    say(desk, find_one(desk, "mv", "cleo"), "accept", "cleo")
    assert store.read_state(key).needs == "ev"
    assert [record.entry.drawn for record in store.entries(key)] == ["risk", "second", "second"]


def test_coverage_waits_for_the_second_opinion_of_a_mask(add, open_desk):
    key = add()
    desk = open_desk()
    desk.queue.add_items([NewItem("mv", key, "red cup", mask=0, version="1", wanted=2)])
    say(desk, find_one(desk, "mv"), "accept")
    assert take(desk, "ev", "cleo") == []
    say(desk, find_one(desk, "mv", "ben"), "accept", "ben")
    assert len(take(desk, "ev", "cleo")) == 1


def test_a_server_that_died_between_the_two_files_writes_the_log_once(add, open_desk, store):
    key = add()
    desk = open_desk()
    item = find_one(desk, "mv")
    desk.queue.keep_opinions("anna", [NewOpinion(item.id, "a1", "accept")])  # it dies before the log is written
    open_desk()
    [first] = list(store.entries(key))
    desk.queue._file._connection.execute("update opinion set position = null")  # or before it notes that it is written
    desk = open_desk()
    assert list(store.entries(key)) == [first]
    assert len(take(desk, "ev", "ben")) == 1


def test_an_answer_about_masks_that_are_gone_is_not_written_to_others(add, open_desk, store):
    key = add(count=2)
    desk = open_desk()
    item = take(desk, "mv")[1]
    desk.queue.keep_opinions("anna", [NewOpinion(item.id, "a1", "accept")])
    again = store.read_proposal(key).model_copy(update={"masks": (), "scores": (), "made_by": "other"})
    store.add_proposals([again], at=2.0)
    desk = open_desk()
    assert [record.entry.kind for record in store.entries(key)] == ["reproposal"]
    assert take(desk, "mv", "ben") == []
    assert len(take(desk, "ev", "ben")) == 1


@pytest.mark.parametrize(
    ("choice", "how", "told"),
    [
        ("maybe", {}, "'maybe' is no choice of 'correct'"),
        ("flag", {"reason": "holes"}, "'holes' is no reason of 'flag'"),
        ("corrected", {"content": "{"}, "the masks of a correction cannot be read"),
        ("corrected", {"content": '{"masks": [{"index": 7}]}'}, "there is no mask 7"),
        ("corrected", {"content": '{"masks": [{"counts": "06"}]}'}, "a mask of a correction cannot be read"),
        ("corrected", {"content": '{"masks": [{"counts": "' + "o" * 999 + '"}]}'}, "a run of more than 6 letters"),
        ("corrected", {"content": '{"masks": [{}]}'}, "either an index or counts"),
    ],
)
def test_what_no_page_would_send_is_refused_in_a_sentence(add, open_desk, choice, how, told):
    add()
    desk = open_desk()
    say(desk, find_one(desk, "mv"), "reject")
    item = find_one(desk, "correct")
    status = say(desk, item, choice, **how)
    assert status.startswith("invalid: ")
    assert told in status
    assert desk.queue.list_opinions(item=item.id) == []


def test_two_who_agree_make_an_item_that_tests_others(add, open_desk):
    key = add()
    desk = open_desk()
    desk.queue.add_items([NewItem("mv", key, "red cup", mask=0, version="1", wanted=2)])
    for person in ("anna", "ben"):
        say(desk, find_one(desk, "mv", person), "accept", person)
    assert desk.queue.count_gold("mv") == 1


def test_people_see_what_the_model_said(add, open_desk, store: EngineStore):
    key = add()
    by = "model:signals@ab"
    store.append(
        [Judgement(pair=key, stage="mv", mask=0, choice="reject", probability=0.2, by=by, at=1.0, drawn="auto")]
    )
    desk: ReviewDesk = open_desk()
    said = desk.find_model_opinion(find_one(desk, "mv"))
    assert (said.choice, said.probability, said.by) == ("reject", 0.2, by)


def test_a_forgotten_pair_leaves_the_queue(add, open_desk: Callable[[], ReviewDesk]):
    key = add()
    desk = open_desk()
    find_one(desk, "mv")
    with desk.store.database.write() as connection:
        connection.execute("delete from pairs where key = ?", (key,))
    assert open_desk().queue.list_pairs() == []


def test_nothing_waits_for_a_second_person_where_one_reviews_alone(add, store):
    keys = [add() for _ in range(30)]
    counts = []
    for is_alone in (True, False):
        queue = opening.open_queue(store.folder / QUEUE_FILE)
        opening.open_desk(store, queue, is_alone=is_alone)
        counts.append(queue.count_open()["mv"])
        queue.close()
    alone, together = counts
    assert alone == len(keys) < together
