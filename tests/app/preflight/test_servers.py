"""Models on servers before a run: not there, no key, no such model, nothing a config may say; each its own sentence."""

from __future__ import annotations

import json
import socket

import pytest

from tests.app.preflight.flying import Flight
from tests.engines.chat_server import Answer, refusing, saying, serving

RUBRIC = 'judge={op="rubric", samples=1, sampling={temperature=0.0, max_tokens=60}}'
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_a_server_that_is_not_there_is_found_out_before_a_token(fly: Flight) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    said = fly.refused("rest_em", f"judge_model=openai:small@{url}", RUBRIC, code=5)
    assert f"the server {url} cannot be reached" in said


@pytest.mark.parametrize(
    ("answer", "key", "sentence"),
    [
        (refusing(401, "who are you"), None, "wants a key, and OPENAI_API_KEY is not set (401): who are you"),
        (refusing(401, f"{KEY} is wrong"), KEY, "refuses the key in OPENAI_API_KEY (401): (the key) is wrong"),
        (refusing(404, "no such model"), None, "has no model 'huge' (404). It has: small, large."),
        (refusing(400, "no"), None, "answered 400: no"),
        ((200, {}, b"<html>"), None, "no JSON object"),
    ],
)
def test_what_a_server_says_no_to_is_found_out_before_a_token(
    fly: Flight, answer: Answer, key: str | None, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with serving(lambda _: answer) as chat:
        said = fly.refused("rest_em", f"judge_model=openai:huge@{chat.url}", RUBRIC, code=5)
    assert sentence in " ".join(said.split())
    assert KEY not in said


def test_a_url_that_leads_past_the_api_is_not_taken_for_a_missing_model(fly: Flight) -> None:
    with serving(lambda _: saying("yes")) as chat:
        url = chat.url.removesuffix("/v1")
        said = fly.refused("rest_em", f"judge_model=openai:small@{url}", RUBRIC, code=5)
    assert f"nothing at {url} answers for a model (404)." in said
    assert "mostly ends in /v1" in said


def test_a_server_that_is_busy_or_answers_is_nothing_against_a_run(fly: Flight) -> None:
    for answer in (saying("yes"), saying(""), refusing(429, "slow down", retry_after="0")):
        with serving(lambda _, answer=answer: answer) as chat:
            dry = fly("rest_em", f"judge_model=openai:small@{chat.url}", RUBRIC, more=["--dry-run"])
            assert (dry.code, dry.err) == (0, "")
            assert chat.sent[0]["max_tokens"] <= 16


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["judge_model=openai:m@https://user:secret@host/v1"], "a user or a password in its URL"),
        (["judge_model=openai:m@https://host/v1?key=secret"], "a query or a fragment"),
        (["judge_model=openai:secret"], "no @http:// or @https://"),
        (["judge_model=openai:m@https://host/v1", "openai.key=sk-secret"], "not the name of an environment variable"),
        (["model=openai:m@https://host/v1"], "the recipe rest_em cannot train it"),
        (["model=openai:m@https://host/v1", "engine=native"], "the engine native does not answer for the model"),
        (["engine=openai"], "the engine openai does not answer for the model 'scripted'"),
    ],
)
def test_what_a_config_may_not_say_of_a_server_is_refused_unshown(fly: Flight, sets: list[str], sentence: str) -> None:
    said = fly.refused("rest_em", *sets, code=2)
    assert sentence in said
    assert "secret" not in said


def test_a_variable_that_is_named_and_not_set_is_refused(fly: Flight) -> None:
    sets = ("judge_model=openai:m@http://127.0.0.1:9/v1", "openai.key=NOT_THERE", RUBRIC)
    assert "names the environment variable NOT_THERE, which is not set" in fly.refused("rest_em", *sets, code=4)


def test_a_model_on_a_server_answers_where_nothing_is_trained(fly: Flight) -> None:
    with serving(lambda sent: saying("The answer is 4.")) as chat:
        name = f"openai:small@{chat.url}"
        done = fly("self_refine", f"model={name}", "sizes={train=4, gate=4, sealed=6}", more=["--json"], common=())
        assert done.code == 0, done.err
        shown = json.loads(done.out)
        assert shown["sealed"]["engine"] == "openai"
        assert shown["sealed"]["precision"] == "remote"
