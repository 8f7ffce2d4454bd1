"""The odds of the tokens that a model writes: asked for on request, read where told, done without elsewhere."""

from typing import Any

from agent.models.base import TokenOdds
from agent.records.model_recording import CachingModel
from tests.support.chat_server import ask, completion, refusal


def tell_odds(*tokens: dict[str, Any] | float) -> dict[str, Any]:
    answer = completion("B")
    answer["choices"][0]["logprobs"] = {"content": list(tokens)}
    return answer


TOKEN = {
    "token": "B",
    "logprob": -0.25,
    "top_logprobs": [{"token": "B", "logprob": -0.25}, {"token": "C", "logprob": -2}],
}


def test_odds_are_asked_for_on_request_alone(server, load):
    model = load()
    ask(model)
    ask(model.with_token_odds(5))
    plain, asking = server.requests
    assert not {"logprobs", "top_logprobs"} & plain.keys()
    assert (asking["logprobs"], asking["top_logprobs"]) == (True, 5)


def test_odds_are_read_and_what_is_none_is_passed_over(server, load):
    damaged = {"token": "x", "logprob": float("nan"), "top_logprobs": [{"token": 3, "logprob": None}, "?"]}
    server.script(tell_odds(TOKEN, damaged, 3.0))
    reply = ask(load().with_token_odds(5))
    assert reply.tokens == (TokenOdds("B", {"B": -0.25, "C": -2}), TokenOdds("x", {}))
    server.script(completion("B"))
    assert ask(load().with_token_odds(5)).tokens == ()


def test_a_server_that_refuses_odds_is_asked_without_from_then_on(server, load):
    server.script(
        refusal(400, "Unrecognized request argument supplied: logprobs"),
        refusal(400, "'top_logprobs' is only allowed when 'logprobs' is enabled"),
        completion("B"),
    )
    model = load().with_token_odds(5)
    assert ask(model).text == "B"
    assert ask(model).error == ""
    assert not {"logprobs", "top_logprobs"} & server.requests[-1].keys()
    assert len(server.requests) == 4


def test_odds_are_kept_with_a_reply_and_a_reply_without_is_kept_as_ever(server, load, tmp_path):
    server.script(tell_odds(TOKEN), completion("no odds"))
    first, second = (CachingModel(load().with_token_odds(5), tmp_path / name, settings={}) for name in ("a", "b"))
    for model in (first, second):
        fresh = ask(model)
        assert ask(model) == fresh
    assert ask(first).tokens == (TokenOdds("B", {"B": -0.25, "C": -2}),)
    assert len(server.requests) == 2
    assert b"tokens" not in b"".join(
        path.read_bytes().replace(b"_tokens", b"") for path in (tmp_path / "b").rglob("*.jsonl")
    )
