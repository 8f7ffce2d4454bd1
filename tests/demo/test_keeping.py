"""What a browser is given to keep becomes the same conversation again."""

import json

import pytest

from agent.conversation.conversation import Conversation
from demo.album.keeping import answer_keep_request


def test_a_conversation_and_its_picture_kept_apart_are_one_saved_file(actions, melons, tmp_path):
    asked = {"session": melons, "id": actions.sessions[melons].album.current}
    light, whole = (answer_keep_request(actions, {**asked, "with_image": with_image}) for with_image in (False, True))
    assert (light["name"], light["masks"], light["done"], light["pictures"]) == ("fruit.webp", 4, False, [])
    assert len(light["text"]) < 8000
    held = json.loads(light["text"])
    assert [one["key"] for one in held["pictures"]] == [one["key"] for one in whole["pictures"]]
    file = tmp_path / "kept.json"
    file.write_text(json.dumps({**held, "pictures": whole["pictures"]}), encoding="utf-8")
    assert Conversation.open(file).selected == (1, 2, 3, 4)


@pytest.mark.parametrize("wrong", [None, {"session": "nobody", "id": 1}, {"id": 99}, {"id": 0}, {"id": "x"}])
def test_whatever_else_is_asked_for_is_refused_by_a_sentence(actions, melons, wrong):
    assert answer_keep_request(actions, wrong and {"session": melons, **wrong})["error"]
