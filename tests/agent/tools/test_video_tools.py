"""The tools for videos, on a clip whose objects are known to the pixel."""

import pytest

from agent import VIDEO, Conversation, ConversationError, Episode, GrammarPlanner, Task, run
from agent.tools.toolsets import (
    AnswerWithTracks,
    Combine,
    FilterByMotion,
    LocateTracks,
    Look,
    RankTracks,
    RefineTrack,
    RelateTracks,
    SegmentVideo,
)
from tests.support.clips import COUNT


def say(episode: Episode, step: int = -1) -> str:
    return episode.steps[step].observation.text.partition(" Stopped at the limit")[0]


SEGMENT = SegmentVideo(phrases=["dog", "post"])


def test_segment_follows_every_phrase_in_one_pass_and_says_when_each_is_seen(play_clip):
    episode = play_clip(SEGMENT)
    assert say(episode) == (
        "Found 3 tracks for 'dog': 1 and 2 (0:00.0 to 0:01.9), 3 (0:01.0 to 0:01.9);"
        " 1 track for 'post': 4 (0:00.0 to 0:01.9)."
    )
    assert episode.usage.sam_encodes == COUNT
    candidate = episode.workspace[3]
    assert candidate.masklet.frames == tuple(range(8, 16))
    assert candidate.rle == candidate.masklet.at(candidate.masklet.key_frame)
    assert candidate.box == (90, 22, 100, 32)


@pytest.mark.parametrize(
    ("call", "shown", "text"),
    [
        (
            FilterByMotion(ids=[1, 2, 3], motion="moves_right"),
            (1,),
            "1 of 3 tracks moves right: 1 (0:00.0 to 0:01.9).",
        ),
        (FilterByMotion(ids=[1, 2, 3], motion="still"), (2,), "1 of 3 tracks is still: 2 (0:00.0 to 0:01.9)."),
        (FilterByMotion(ids=[1, 2, 3], motion="enters"), (3,), "1 of 3 tracks enters: 3 (0:01.0)."),
        (FilterByMotion(ids=[1, 2], motion="enters"), None, "None of 2 tracks enters."),
        (FilterByMotion(ids=[1, 3], motion="moves", since=1), (1, 3), None),
        (RelateTracks(ids=[1, 2, 3], relation="passing", to=[4]), (1,), "1 of 3 tracks is passing 4: 1 (0:01.0)."),
        (
            RelateTracks(ids=[1, 2, 3], relation="touching", to=[4], when="ever"),
            (1,),
            "1 of 3 tracks is touching 4 at some time: 1 (0:00.9 to 0:01.1).",
        ),
        (
            RelateTracks(ids=[1, 2, 3], relation="left_of", to=[4], until="0:00.5"),
            (1,),
            "1 of 3 tracks is left of 4 from 0:00.0 to 0:00.5: 1 (0:00.0 to 0:00.5).",
        ),
        (
            LocateTracks(ids=[1, 2, 3], place="right", when="always"),
            (2, 3),
            "2 of 3 tracks are in the right of the picture all the time: 2 (0:00.0 to 0:01.9), 3 (0:01.0 to 0:01.9).",
        ),
        (
            RankTracks(ids=[1, 2, 3], by="speed", order="descending"),
            (1,),
            "By speed, descending, place 1 of 3 is 1 (40 px/s).",
        ),
        (
            RankTracks(ids=[1, 2, 3], by="first_seen", order="descending"),
            (3,),
            "By first seen, descending, place 1 of 3 is 3 (0:01.0).",
        ),
        (RankTracks(ids=[1, 2, 3], by="x", order="descending"), (3,), None),
        (Look(ids=[1, 3], frames=3), (1, 2, 3, 4), "Shown: 3 frames with tracks 1 and 3 at 0:00.0, 0:00.9, 0:01.9."),
        (Look(ids=[3], frames=2, close=True), (1, 2, 3, 4), "Shown: track 3 enlarged at 0:01.0, 0:01.9."),
    ],
)
def test_tools_choose_among_tracks_and_say_when(play_clip, call, shown, text):
    episode = play_clip(SEGMENT, call)
    assert shown is None or episode.current_ids == shown
    assert text is None or say(episode) == text


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (FilterByMotion(ids=[9], motion="moves"), "There is no mask 9; the valid numbers are 1 to 4."),
        (
            FilterByMotion(ids=[1], motion="moves", since=7),
            "nothing is shown then; what is asked about lasts from 0 s to 2 s",
        ),
        (FilterByMotion(ids=[1], motion="moves", since=1, until=0.5), "1 s lies after 0.5 s"),
        (Look(close=True), "give their numbers in `ids`"),
        (Look(ids=[3], until=0.5, close=True), "Track 3 is not seen then"),
        (RelateTracks(ids=[1], relation="passing", to=[4], other=[2]), "`other` is for the relation 'between' only"),
        (RankTracks(ids=[1], by="speed", order="ascending", to=[2]), "`to` is for sorting by 'distance' only"),
        (AnswerWithTracks(ids=[1], spans=[{"id": 2, "since": 0, "until": 1}]), "track 2, which is not in `ids`"),
        (
            AnswerWithTracks(ids=[3], spans=[{"id": 3, "since": 0, "until": 0.5}]),
            "Track 3 is not seen in 0:00.0 to 0:00.5",
        ),
        (SegmentVideo(), "`segment` needs `phrases`"),
        (SegmentVideo(boxes=[[0, 0, 9, 9]]), "say in `at` when it is shown"),
        (SegmentVideo(exemplars=[1], at=1.5, until=1), "Nothing is shown at 0:01.5"),
    ],
)
def test_a_call_that_cannot_be_is_refused_in_one_sentence(play_clip, call, complaint):
    observation = play_clip(SEGMENT, call).steps[-1].observation
    assert observation.is_error
    assert complaint in observation.text


def test_one_object_under_two_phrases_is_one_for_sets_and_merges(play_clip):
    episode = play_clip(SegmentVideo(phrases=["dog", "puppy"]), Combine(op="intersect", a=[1, 2, 3], b=[4]))
    assert episode.current_ids == (1,)
    merged = play_clip(SEGMENT, Combine(op="merge", a=[1], b=[4]))
    whole = merged.workspace[5]
    assert whole.masklet.frames == tuple(range(COUNT))
    assert whole.masklet.areas[0] == 100 + 160


def test_a_part_of_the_video_is_looked_at_alone_and_once(play_clip):
    episode = play_clip(SegmentVideo(phrases=["dog"], until=0.5), SegmentVideo(phrases=["dog"], until=0.5))
    assert say(episode, 0) == "Found 2 tracks for 'dog': 1 and 2 (0:00.0 to 0:00.5); looked from 0:00.0 to 0:00.5."
    assert "as before" in say(episode)
    assert episode.usage.sam_encodes == 5


def test_a_task_about_a_part_is_about_nothing_else(play_clip):
    episode = play_clip(SEGMENT, FilterByMotion(ids=[1, 2, 3], motion="appears"), since=1.0)
    assert say(episode, 0).startswith("Found 3 tracks for 'dog': 1 to 3 (0:01.0 to 0:01.9)")
    assert say(episode) == "None of 3 tracks appears."


def test_an_answer_names_its_tracks_and_times(play_clip):
    episode = play_clip(SEGMENT, AnswerWithTracks(ids=[1, 3], message="Two dogs move."))
    assert episode.message == "Two dogs move. Track 1, 0:00.0 to 0:01.9; track 3, 0:01.0 to 0:01.9."
    timed = play_clip(SEGMENT, AnswerWithTracks(ids=[1], spans=[{"id": 1, "since": "0:00.9", "until": 1.2}]))
    assert timed.message == "Track 1, 0:00.9 to 0:01.1."
    assert timed.spans == {1: ((0.9, 1.2),)}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("the dogs", (1, 2, 3)),
        ("the leftmost dog", (1,)),
        ("the dog right of the post", (2, 3)),
        ("the dogs on the right", (2, 3)),
        ("the largest dog", (2,)),
    ],
)
def test_the_grammar_reads_queries_without_time_as_of_an_image(dog_clip, query, ids):
    video, sam3 = dog_clip
    episode = run(Task.from_video(video, query), GrammarPlanner(VIDEO), sam3)
    assert (episode.outcome, episode.current_ids) == ("answered", ids), episode.message


def test_the_grammar_says_that_a_video_does_not_have_it(dog_clip):
    video, sam3 = dog_clip
    episode = run(Task.from_video(video, "the cats"), GrammarPlanner(VIDEO), sam3)
    assert (episode.outcome, episode.message) == ("no_match", "Nothing in the video was found for 'cat'.")


def test_an_object_that_no_phrase_finds_is_followed_from_a_click_in_both_directions(play_clip):
    episode = play_clip(RefineTrack(points=[[86, 10]], at=1.0))
    assert say(episode) == "The object there is track 1 (0:00.0 to 0:01.9)."
    assert episode.workspace[1].masklet.frames == tuple(range(COUNT))
    assert episode.workspace[1].origin == "refine: frame 8: +86,10"
    assert episode.current_ids == (1,)


def test_a_correction_takes_the_place_of_the_track_and_remembers_all_clicks(play_clip):
    episode = play_clip(
        SegmentVideo(phrases=["dog"]),
        RefineTrack(id=3, points=[[92, 27]], at=1.0),
        RefineTrack(id=4, points=[{"x": 50, "y": 30, "positive": False}], at="0:01.5"),
    )
    assert say(episode, 1) == "Track 3 corrected is track 4 (0:01.0 to 0:01.9)."
    assert episode.workspace[5].origin == "refine of 4: frame 8: +92,27; frame 12: -50,30"
    assert episode.current_ids == (1, 2, 5)


def test_a_click_on_nothing_leaves_the_track_as_it_was(play_clip):
    episode = play_clip(SegmentVideo(phrases=["dog"]), RefineTrack(points=[[2, 2]], at=0))
    assert say(episode) == "Nothing was found there at 0:00.0."
    assert episode.current_ids == (1, 2, 3)


def test_a_click_by_hand_in_a_conversation_is_one_on_a_frame(dog_clip):
    video, sam3 = dog_clip
    talk = Conversation.start_video(video).say("the post", GrammarPlanner(VIDEO), sam3)
    added = talk.click(86, 10, sam3, at=1.0)
    assert added.selected == (1, 2)
    assert added.turns[-1].task.query == "add what is at 86, 10 at 0:01.0"
    assert added.undo().selected == (1,)
    with pytest.raises(ConversationError, match="Nothing was found there"):
        talk.click(2, 2, sam3)


def test_what_looks_like_a_box_is_added_and_left_out_on_its_frame(dog_clip):
    video, sam3 = dog_clip
    talk = Conversation.start_video(video).say("the dogs", GrammarPlanner(VIDEO), sam3)
    without = talk.apply_box(44, 40, 54, 50, sam3, positive=False, at=1.0)
    assert without.selected == (2, 3)
    with pytest.raises(ConversationError, match="nothing in the answer looks like what is in the box"):
        talk.apply_box(44, 40, 54, 50, sam3, positive=False, at=0.0)
