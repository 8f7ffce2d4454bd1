"""An upload is read within the limits and then deleted."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from agent.conversation.conversation import Conversation
from demo.sessions import SessionStore
from demo.uploads import Limits, open_image
from sam3_tool import Image, ImageError


def test_an_upload_is_deleted_once_it_was_read(tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (8, 4)).save(file)
    assert (open_image(file, Limits()).width, file.exists()) == (8, False)


def test_what_is_too_large_is_refused_without_being_decoded_and_without_its_path(tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (100, 100)).save(file)
    with pytest.raises(ImageError, match="100 x 100 is 0 megapixels") as refused:
        open_image(file, Limits(max_pixels=5000))
    assert str(tmp_path) not in str(refused.value)
    file.write_bytes(bytes(2000))
    with pytest.raises(ImageError, match="this page takes files up to"):
        open_image(file, Limits(max_file_bytes=1000))
    assert not file.exists()


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
