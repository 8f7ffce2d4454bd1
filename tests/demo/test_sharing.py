"""What is shared of an answer: a picture that every phone shows, and the words."""

import base64
from io import BytesIO

import PIL.Image
import pytest

from demo.picture.sharing import answer_share_request


def test_the_image_with_its_masks_and_the_words_are_shared(actions, melons):
    shared = answer_share_request(actions, {"session": melons})
    assert (shared["name"], shared["type"]) == ("fruit.masks.jpg", "image/jpeg")
    assert shared["text"] == "all the watermelons\nFound 4: watermelon."
    picture = PIL.Image.open(BytesIO(base64.b64decode(shared["url"].partition(",")[2])))
    assert (picture.format, picture.size) == ("JPEG", (640, 480))
    original = PIL.Image.open(actions.examples / "fruit.webp").convert("RGB")
    assert picture.tobytes() != original.tobytes()


def test_after_an_edit_by_hand_the_words_say_what_is_there_now(actions, melons):
    actions.edit(melons, lambda shown: shown.keep([1, 2]))
    assert answer_share_request(actions, {"session": melons})["text"] == "all the watermelons\n2 masks: watermelon."


@pytest.mark.parametrize("wrong", [None, {}, {"session": "nobody"}, {"session": 7}, "empty"])
def test_where_nothing_can_be_shared_a_sentence_says_so(actions, wrong):
    shared = answer_share_request(actions, {"session": actions.sessions.open()} if wrong == "empty" else wrong)
    assert shared.keys() == {"error"}
    assert shared["error"].endswith(".")
