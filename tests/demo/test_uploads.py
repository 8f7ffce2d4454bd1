"""An upload is read within the limits and then deleted."""

import gc
import re
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from agent.conversation.conversation import Conversation
from demo.actions import get_second
from demo.album.entries import EMPTY_ALBUM
from demo.album.folder import DiskBudget
from demo.requests import InvalidEventError
from demo.sessions import SessionStore
from demo.uploads import Limits, open_image
from sam3_tool import Image, ImageError
from sam3_tool.video.writing import write_mp4


def test_an_upload_does_not_stay_where_it_arrived(actions, tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (8, 4)).save(file)
    session = actions.open_file(actions.sessions.open(), str(file))
    assert (session.conversation.image.width, file.exists()) == (8, False)


def test_what_is_too_large_is_refused_without_being_decoded_and_without_its_path(tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (100, 100)).save(file)
    with pytest.raises(ImageError, match="100 x 100 is 0 megapixels") as refused:
        open_image(file, Limits(max_pixels=5000))
    assert str(tmp_path) not in str(refused.value)
    file.write_bytes(bytes(2000))
    with pytest.raises(ImageError, match="this page takes files up to"):
        open_image(file, Limits(max_file_bytes=1000))


def test_a_conversation_is_opened_within_the_same_limits_and_deleted(actions, tmp_path, image):
    file = tmp_path / "my talk.JSON"
    conversation = Conversation.start(image).show(Image(np.ones((60, 80, 3), np.uint8)), "second.png")
    for limits in (Limits(max_pixels=9600), Limits(max_pixels=9599), Limits(max_file_bytes=100)):
        conversation.save(file)
        other_actions = replace(actions, sessions=SessionStore(), limits=limits)
        session = other_actions.open_file(other_actions.sessions.open(), str(file))
        assert not file.exists()
        if limits == Limits(max_pixels=9600):
            assert session.conversation.name == "second.png"
        else:
            assert session.conversation is None
            assert session.note.startswith("My talk.JSON")
            assert ("too large" if limits.max_file_bytes > 100 else "this page takes files up to") in session.note


@pytest.fixture
def clip_file(tmp_path):
    """A video of five frames."""
    file = tmp_path / "clip.mp4"
    write_mp4(file, [np.full((48, 64, 3), 40 * index, np.uint8) for index in range(5)], np.arange(5) / 4)
    return file


def test_a_video_keeps_its_file_as_long_as_its_session(actions, clip_file):
    session_id = actions.sessions.open()
    session = actions.open_file(session_id, str(clip_file))
    (kept,) = session.album.entries[0].files
    video = session.conversation.video
    assert (len(video), video.read_frame(4).width, clip_file.exists()) == (5, 64, False)
    assert kept.exists()
    del session, video
    actions.sessions.update(session_id, conversation=None, album=EMPTY_ALBUM)
    gc.collect()
    assert not kept.exists()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_frames=4), r"^clip.mp4: 5 frames; this page takes videos of up to 4. Cut it shorter.$"),
        (Limits(max_file_bytes=100), "^clip.mp4: .*this page takes files up to"),
        (Limits(max_pixels=100), "^clip.mp4: "),
    ],
)
def test_a_video_beyond_a_limit_is_refused_without_its_path_and_deleted(actions, clip_file, limits, reason):
    other_actions = replace(actions, sessions=SessionStore(), limits=limits, disk=DiskBudget())
    session = other_actions.open_file(other_actions.sessions.open(), str(clip_file))
    assert re.match(reason, session.note)
    assert (clip_file.exists(), [*session.album.folder.path.iterdir()], other_actions.disk.used) == (False, [], 0)


def test_a_damaged_video_is_one_sentence_on_the_page(actions, clip_file):
    clip_file.write_bytes(clip_file.read_bytes()[:300])
    session = actions.open_file(actions.sessions.open(), str(clip_file))
    assert session.conversation is None
    assert session.note.startswith("clip.mp4: ")
    assert str(clip_file.parent) not in session.note


def test_a_video_is_shown_and_counts_in_the_memory_of_its_session(actions, clip_file):
    session = actions.open_file(actions.sessions.open(), str(clip_file))
    assert session.conversation is not None
    assert (session.note, len(session.conversation.video)) == ("", 5)
    assert session.conversation.image_bytes == 64 * 48 * 3 * (1 + 5)
    with pytest.raises(InvalidEventError, match="no frame 5"):
        get_second(session.conversation, 5)
    assert get_second(session.conversation, 4) == pytest.approx(1)
