"""Addresses and keys: where they come from, and that no secret is shown."""

import logging

import pytest

from agent.models.base import ModelError
from agent.models.openai.client import OpenAICompatible
from tests.support.chat_server import Answer, ask, completion, refusal

KEY = "sk-planted-5up3r-s3cr3t"


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://x/v1", "http://", "8000"])
def test_an_address_that_is_none_is_refused_with_an_example(address):
    with pytest.raises(ModelError, match="is no address of a server; expected one such as http://localhost:8000/v1"):
        OpenAICompatible.load("m", base_url=address)


def test_the_key_is_sent_and_appears_nowhere_else(server, load, monkeypatch, caplog, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server.script(
        completion("fine"),
        refusal(401, f"bad key {KEY}"),
        refusal(400, f"bad request of {KEY}"),
        Answer(f"<html>{KEY}</html>", 500, kind="text/html"),
        Answer({"error": {"message": KEY}}),
        completion("fine"),
    )
    model = load()
    replies = [ask(model) for _ in range(4)]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert [bool(reply.error) for reply in replies] == [False, True, True, False]
    told_to_the_user = (*map(repr, (model, model.settings, model.capabilities, model.name, *replies)), caplog.text)
    assert not [text for text in (*told_to_the_user, *capsys.readouterr()) if KEY in text]
    assert "[the key]" in replies[1].error


@pytest.mark.parametrize("key", ["test", "ollama", "EMPTY", "sk-no-key-required", "lm-studio", "not-needed", "sk-1234"])
def test_a_word_in_the_place_of_a_key_may_stand_in_a_reply(key, server, load, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.script(completion(f"The {key} is a red cup."), refusal(400, f"{key} is no model"))
    model = load()
    assert ask(model).text == f"The {key} is a red cup."
    assert f"({key} is no model)" in ask(model).error


@pytest.mark.parametrize("key", ["sk-testing-5up3r-s3cr3t", "gsk_a1b2c3d4e5", "hf_abcdefgh", "correct horse battery"])
def test_a_key_that_may_be_a_secret_is_taken_out_of_a_reply(key, server, load, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.script(completion(f"You sent {key}!"))
    assert ask(load()).text == "You sent [the key]!"


def test_azures_classic_address_keeps_its_version_and_takes_the_key_in_a_header_of_its_own(server, load, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script(completion("fine"))
    address = f"{server.url.removesuffix('/v1')}/openai/deployments/m/chat/completions?api-version=2024-10-21"
    model = load(base_url=address)
    assert ask(model).text == "fine"
    assert server.paths == ["/openai/deployments/m/chat/completions?api-version=2024-10-21"]
    assert server.headers[0]["api-key"] == KEY
    assert "api-version" not in model.settings.base_url


def test_a_key_that_is_none_is_not_repeated(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nand more")
    with pytest.raises(ModelError) as raised:
        OpenAICompatible.load("m", base_url=server.url)
    assert KEY not in str(raised.value)
    assert "OPENAI_API_KEY" in str(raised.value)


def test_without_a_key_a_server_of_ones_own_gets_a_placeholder(server, load):
    server.script(completion("fine"))
    assert ask(load()).text == "fine"
    assert server.headers[0]["authorization"] == "Bearer no-key"


def test_openai_itself_is_not_asked_without_a_key():
    with pytest.raises(
        ModelError, match="OpenAI wants a key; set OPENAI_API_KEY, or give the address of another server"
    ):
        OpenAICompatible.load("gpt-5", wire="native")


def test_the_address_may_come_from_the_environment(server, load, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/")
    server.script(completion("fine"))
    model = load(base_url=None)
    assert (ask(model).text, model.settings.base_url) == ("fine", server.url)


def test_a_password_in_the_address_is_not_shown(server, load):
    server.script(refusal(400, "no"))
    model = load(base_url=server.url.replace("http://", "http://me:pa55word@"))
    assert "pa55word" not in repr(model) + repr(ask(model))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://me:pa55word@127.0.0.1:9"),
        ("HTTP_PROXY", "pa55word:bar"),
        ("https_proxy", "ftp://pa55word"),
        ("SSL_CERT_FILE", "/nowhere/at/all"),
        ("OPENAI_ORG_ID", "pa55word\nx"),
        ("OPENAI_PROJECT_ID", "pa55wörd"),
        ("OPENAI_ADMIN_KEY", "pa55word\tx"),
        ("OPENAI_CUSTOM_HEADERS", "a: b\nc: pa55wörd"),
    ],
)
def test_what_the_environment_does_to_the_client_is_one_line_that_names_the_variable(name, value, server, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ModelError, match=f"the environment variable {name} ") as raised:
        OpenAICompatible.load("m", base_url=server.url)
    assert str(raised.value).isprintable()
    assert "pa55" not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_BASE_URL", ""),
        ("OPENAI_CUSTOM_HEADERS", "a: b\nc: d"),
        ("NO_PROXY", "[::1, ,*"),
        ("OPENAI_ORG_ID", "org-1 x"),
    ],
)
def test_what_does_no_harm_in_the_environment_is_no_error(name, value, server, load, monkeypatch):
    monkeypatch.setenv(name, value)
    assert ask(load()).text == "hello"
