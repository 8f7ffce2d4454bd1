"""A verifier that asks a vision-language model behind a real server: every answer is a letter that was offered."""

import numpy as np

from agent.models.openai.client import OpenAICompatible
from engine.verifiers.language_model.answer_log import AnswerLog, read_answers
from engine.verifiers.language_model.mllm import MllmVerifier
from engine.verifiers.language_model.recorded import RecordedVerifier
from engine.verifiers.verifier import MaskItem, PairItem
from sam3_tool.masks.rle import encode_mask


def test_every_answer_of_a_served_model_is_a_letter_and_a_run_that_goes_on_asks_nothing(server, scene, tmp_path):
    mask = np.zeros((scene.height, scene.width), bool)
    mask[20:80, 20:80] = True
    rle = encode_mask(mask)
    masks = [MaskItem(scene.key, lambda: scene, noun, rle, {}) for noun in ("watermelon", "unicorn")]
    pairs = [PairItem(scene.key, lambda: scene, "banana", (rle,), {})]
    path = tmp_path / "answers.jsonl"
    model = OpenAICompatible.load(server.model, base_url=server.url, wire="native", max_tokens=40)
    verifier = MllmVerifier(model, answers=AnswerLog(path), side=256)
    said = verifier.verify_masks(masks), verifier.verify_coverage(pairs)
    assert None not in (*said[0], *said[1])
    assert len([*read_answers(path)]) == 3 * 3
    again = MllmVerifier(model, answers=AnswerLog(path), side=256)
    assert (again.verify_masks(masks), again.verify_coverage(pairs), again.calls) == (*said, 0)
    assert (RecordedVerifier(path).verify_masks(masks), RecordedVerifier(path).verify_coverage(pairs)) == said
    model.close()
