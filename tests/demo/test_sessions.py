"""A session is kept while it is used, within the memory that there is."""

import numpy as np
import pytest

from agent.conversation.conversation import Conversation
from demo.sessions import SessionExpiredError, SessionStore
from sam3_tool import Concept, Image


def test_a_session_is_forgotten_when_it_is_not_used(image):
    now = 0.0
    store = SessionStore(idle_seconds=10, now=lambda: now)
    session_id = store.open()
    now = 9.0
    store.update(session_id, conversation=Conversation.start(image))
    now = 18.0
    assert store[session_id].conversation is not None
    now = 30.0
    assert session_id not in store
    with pytest.raises(SessionExpiredError, match="Reload"):
        store[session_id]


@pytest.mark.parametrize("session_id", ["", "guessed"])
def test_a_session_that_never_began_holds_nothing(session_id, image):
    with pytest.raises(SessionExpiredError):
        SessionStore().update(session_id, conversation=Conversation.start(image))


def test_images_of_the_least_recent_sessions_make_room():
    store = SessionStore(max_bytes=4 * 2**20)
    first, second = store.open(), store.open()
    for session_id in (first, second):
        store.update(session_id, conversation=Conversation.start(Image(np.zeros((800, 800, 3), np.uint8))))
    assert (first in store, second in store) == (False, True)


def test_concepts_of_the_least_recent_sessions_make_room():
    store = SessionStore(max_bytes=4 * 2**20)
    rows = np.ones((1, 2**18), np.float32)  # 1 MiB
    concept = Concept(rows, (1,), rows, "gizmo", "", "mine", "float32")
    first, second = store.open(), store.open()
    for session_id in (first, second):
        store.update(session_id, concepts={"gizmo": concept})
    assert (first in store, second in store) == (False, True)


def test_an_image_shown_twice_is_counted_once(image):
    conversation = Conversation.start(image, "a.png")
    for _ in range(5):
        conversation = conversation.show(image, "a.png")
    assert conversation.image_bytes == 60 * 80 * 3
    assert conversation.show(Image(np.ones((60, 80, 3), np.uint8))).image_bytes == 2 * 60 * 80 * 3
