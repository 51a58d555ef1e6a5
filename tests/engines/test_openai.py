"""The openai engine against a server on loopback: n, retries, time, nonsense, and a key that is nowhere to be found."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from instar.engines.remote import calls as server_calls
from instar.engines.remote.address import Address, address_of
from instar.engines.remote.engine import REMOTE, OpenAIEngine
from instar.errors import EngineError, InstarError, ModelError
from instar.records import Finish, Message, Policy, Reply, Role, Sampling, ToolCall, ToolSpec
from instar.scripted_world import base_policy
from tests.engines.chat_server import Answer, ChatServer, refusing, saying, serving
from tests.engines.tiny import user

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_calls, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def policy_at(url: str, model: str = "small") -> Policy:
    return Policy(weights=address_of(f"openai:{model}@{url}").weights()).identified()


@contextmanager
def closing(**options: Any) -> Iterator[OpenAIEngine]:
    engine = OpenAIEngine(**options)
    try:
        yield engine
    finally:
        engine.close()


def ask(url: str, *, n: int = 1, seed: int = 5, temperature: float = 1.0, top_k: int | None = None,
        model: str = "small", **options: Any) -> list[Reply]:  # fmt: skip
    sampling = Sampling(temperature=temperature, top_p=0.9, max_tokens=40, top_k=top_k)
    with closing(**options) as engine:
        return asyncio.run(
            engine.ask(policy_at(url, model), user("Say a word."), n=n, sampling=sampling, seed=seed, precision=REMOTE)
        )


def in_turn(*answers: Answer) -> Callable[[dict[str, Any]], Answer]:
    """These answers one after the other, the last for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


# --- what is asked, and what comes of it -----------------------------------------------------------------------------


def test_a_reply_is_stamped_with_what_made_it_and_counts_as_the_server_does() -> None:
    with serving(lambda _: saying("Yes it is.")) as chat:
        (reply,) = ask(chat.url)
    assert (reply.text, reply.finish, reply.tokens, reply.prompt_tokens) == ("Yes it is.", Finish.stop, 9, 7)
    assert (reply.engine, reply.precision, reply.token_ids) == ("openai", "remote", None)
    assert reply.policy == policy_at(chat.url).id
    assert chat.sent == [
        {"model": "small", "messages": [{"role": "user", "content": "Say a word."}], "temperature": 1.0, "top_p": 0.9,
         "max_tokens": 40, "seed": 5}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("finish", "usage", "wanted"),
    [
        ("length", "counted", Finish.length),
        ("content_filter", "counted", Finish.length),
        ("eos", "counted", Finish.stop),
        (None, "counted", Finish.stop),
        (None, {"completion_tokens": 40}, Finish.length),
    ],
)
def test_a_reply_that_is_not_whole_says_so(finish: str | None, usage: Any, wanted: Finish) -> None:
    with serving(lambda _: saying("a b", finish=finish, usage=usage)) as chat:
        assert ask(chat.url)[0].finish is wanted


@pytest.mark.parametrize("usage", [None, [], {"completion_tokens": "9"}, {"completion_tokens": -1},
                                   {"completion_tokens": True, "prompt_tokens": 2**60}])  # fmt: skip
def test_tokens_that_a_server_does_not_say_are_not_made_up(usage: Any) -> None:
    with serving(lambda _: saying("a b", usage=usage)) as chat:
        (reply,) = ask(chat.url)
    assert (reply.tokens, reply.prompt_tokens) == (0, 0)


def test_tools_are_handed_over_as_these_apis_take_them_and_a_call_comes_back_in_the_text() -> None:
    spec = ToolSpec(name="add", about="adds", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})
    asked = [
        user("1 + 2?")[0].model_copy(update={"tools": (spec,)}),
        Message(role=Role.assistant, content="I add.", calls=(ToolCall(name="add", arguments={"a": 1}),)),
        Message(role=Role.user, content="3", result_of="add"),
    ]
    made = {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    answer = {"choices": [{"message": {"content": None, "tool_calls": [made]}, "finish_reason": "tool_calls"}]}
    with serving(lambda _: (200, {}, json.dumps(answer).encode())) as chat, closing() as engine:
        (reply,) = asyncio.run(
            engine.ask(policy_at(chat.url), asked, n=1, sampling=Sampling(max_tokens=40), seed=5, precision=REMOTE)
        )
    (sent,) = chat.sent
    about = {"name": "add", "description": "adds", "parameters": json.loads(spec.parameters)}
    assert sent["tools"] == [{"type": "function", "function": about}]
    question, call, result = sent["messages"]
    assert question == {"role": "user", "content": "1 + 2?"}
    assert call["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "3"}
    assert reply.text == '\n<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>'
    assert reply.finish is Finish.stop


def test_a_result_that_no_call_precedes_is_told_by_the_user() -> None:
    called = Message(role=Role.assistant, content="", calls=(ToolCall(name="add"),))
    both = called.model_copy(update={"calls": (ToolCall(name="add"), ToolCall(name="sub"))})
    broken, shot = Message(role=Role.assistant, content="<tool_call>{"), user("2?")[0]
    result = Message(role=Role.user, content="7", result_of="add")
    asked = [result, shot, result, called, result, result, broken, result, both, result, result]
    with serving(lambda _: saying("7")) as chat, closing() as engine:
        asyncio.run(
            engine.ask(policy_at(chat.url), asked, n=1, sampling=Sampling(max_tokens=40), seed=5, precision=REMOTE)
        )
    sent = chat.sent[0]["messages"]
    assert [m["role"] for m in sent] == ["user", "user", "user", "assistant", "tool", "user", "assistant", "user",
                                         "assistant", "tool", "tool"]  # fmt: skip
    assert sent[4]["tool_call_id"] == sent[3]["tool_calls"][0]["id"]
    assert [m["tool_call_id"] for m in sent[9:]] == [c["id"] for c in sent[8]["tool_calls"]]
    assert len({c["id"] for m in sent for c in m.get("tool_calls", [])}) == 3
    assert sent[7] == {"role": "user", "content": "Observation: 7"}


def test_several_samples_are_one_request_and_their_tokens_are_the_servers_sum() -> None:
    with serving(lambda sent: saying("one", "two two", "three three three")) as chat:
        replies = ask(chat.url, n=3)
    assert [r.text for r in replies] == ["one", "two two", "three three three"]
    assert sum(r.tokens for r in replies) == 18
    assert [sent["n"] for sent in chat.sent] == [3]


def one_at_a_time(sent: dict[str, Any]) -> Answer:
    return saying(f"seed {sent['seed']}")


@pytest.mark.parametrize("refusal", [None, refusing(400, "n > 1 is not supported"), refusing(422, "n"),
                                     refusing(501, "n")])  # fmt: skip
def test_a_server_that_ignores_or_refuses_n_is_asked_n_times_each_with_a_seed_of_its_own(
    refusal: Answer | None,
) -> None:
    def answer(sent: dict[str, Any]) -> Answer:
        return refusal if refusal is not None and sent.get("n", 1) > 1 else one_at_a_time(sent)

    with serving(answer) as chat:
        first = ask(chat.url, n=4)
        assert len({r.text for r in first}) == 4
        assert first[0].text == "seed 5"
        assert ask(chat.url, n=4) == first, "the same seed gives the same again"
        assert not {r.text for r in ask(chat.url, n=4, seed=6)} & {r.text for r in first}


def test_that_a_server_takes_no_n_is_found_out_once() -> None:
    with serving(one_at_a_time) as chat, closing() as engine:
        for seed in (1, 2, 3):
            sampling = Sampling(max_tokens=8)
            made = engine.ask(policy_at(chat.url), user("?"), n=2, sampling=sampling, seed=seed, precision=REMOTE)
            assert len(asyncio.run(made)) == 2
        assert [s.get("n", 1) for s in chat.sent].count(2) == 1


def test_a_greedy_reply_is_asked_for_once_and_copied() -> None:
    with serving(lambda _: saying("the same")) as chat:
        assert [r.text for r in ask(chat.url, n=3, temperature=0.0)] == ["the same"] * 3
        assert len(chat.sent) == 1


@pytest.mark.parametrize(
    ("message", "gone", "there"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens",
         "max_completion_tokens"),
        ("Unknown argument: seed", "seed", "max_tokens"),
    ],
)  # fmt: skip
def test_what_a_server_says_it_does_not_know_is_asked_otherwise(message: str, gone: str, there: str) -> None:
    with serving(lambda sent: refusing(400, message) if gone in sent else saying("yes")) as chat:
        assert ask(chat.url)[0].text == "yes"
        assert there in chat.sent[-1]


def test_how_a_reply_is_sampled_is_never_left_out_in_silence() -> None:
    with serving(lambda sent: refusing(400, "temperature must be 1")) as chat:
        with pytest.raises(EngineError, match="temperature must be 1") as caught:
            ask(chat.url, top_k=3)
        assert not caught.value.transient
        assert chat.sent[0]["top_k"] == 3
        assert len(chat.sent) == 1


def test_it_cannot_score_and_says_so() -> None:
    with closing() as engine, pytest.raises(EngineError, match="log-probabilities"):
        asyncio.run(engine.score(policy_at("http://127.0.0.1:9/v1"), user("?"), [], precision=REMOTE))


def test_a_policy_that_is_of_no_server_or_of_another_one_is_refused() -> None:
    here, there = policy_at("http://127.0.0.1:9/v1"), policy_at("http://127.0.0.1:8/v1")
    lying = Policy(weights=here.weights.model_copy(update={"name": there.weights.name})).identified()
    with closing() as engine:
        for policy in (base_policy(), lying):
            made = engine.ask(policy, user("?"), n=1, sampling=Sampling(), seed=1, precision=REMOTE)
            with pytest.raises(ModelError):
                asyncio.run(made)


# --- when it goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_asking_again_may_mend_is_asked_again(status: int) -> None:
    with serving(in_turn(refusing(status), refusing(status), saying("at last"))) as chat:
        assert ask(chat.url)[0].text == "at last"
        assert len(chat.sent) == 3


@pytest.mark.parametrize("broken", [
    (200, {}, b""), (200, {}, b"<html>"), (200, {}, b"[1]"), (200, {}, b"\xff\xfe"), (200, {}, b"[" * 100_000),
    (200, {}, b'{"choices": 1' + b"1" * 5000 + b"}"), (200, {}, b"{}"), (200, {}, b'{"choices": []}'),
    (200, {}, b'{"choices": {}}'), (200, {}, b'{"choices": [1]}'), (200, {}, b'{"choices": [{"message": "x"}]}'),
    (200, {}, b'{"choices": [{"message": {"content": 3}}]}'),
])  # fmt: skip
def test_nonsense_is_an_error_that_may_pass_and_never_a_reply(broken: Answer) -> None:
    with serving(lambda _: broken) as chat, pytest.raises(EngineError) as caught:
        ask(chat.url, tries=1)
    assert caught.value.transient
    assert chat.url.removesuffix("/v1") in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_half_characters_parts_and_no_text_at_all_are_replies_that_a_ledger_can_hold() -> None:
    contents = [
        '"a\\ud83d"',
        '[{"type": "text", "text": "x"}, {"type": "image"}, {"type": "text", "text": "y"}]',
        "null",
    ]
    texts = []
    for content in contents:
        body = f'{{"choices": [{{"message": {{"content": {content}}}, "finish_reason": "stop"}}]}}'.encode()
        with serving(lambda _, body=body: (200, {}, body)) as chat:
            texts.append(ask(chat.url)[0].text)
    assert texts == ["a\\ud83d", "xy", ""]


@pytest.mark.parametrize("answer", [(200, {}, b" " * 3000), (200, {"Content-Encoding": "gzip"}, b"x"),
                                    (500, {}, b" " * 3000)])  # fmt: skip
def test_an_answer_that_is_too_large_or_packed_is_not_listened_to(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_calls, "LARGEST", 2000)
    with serving(lambda _: answer) as chat, pytest.raises(EngineError, match=r"MB in one answer|packs its answers"):
        ask(chat.url)


def test_after_the_last_try_the_error_says_that_it_may_pass() -> None:
    with serving(lambda _: refusing(503, "busy")) as chat, pytest.raises(EngineError, match="503: busy") as caught:
        ask(chat.url, tries=3)
    assert caught.value.transient
    assert len(chat.sent) == 3


@pytest.mark.parametrize(("status", "sentence"), [
    (400, "answered 400"), (401, "wants a key, and OPENAI_API_KEY is not set"), (403, "wants a key"),
    (404, "knows no model 'small'"), (302, "leads elsewhere"), (413, "answered 413"),
])  # fmt: skip
def test_what_no_second_try_can_mend_is_said_at_once(status: int, sentence: str) -> None:
    with serving(lambda _: refusing(status, Location="http://127.0.0.1:1/")) as chat:
        with pytest.raises(EngineError, match=sentence) as caught:
            ask(chat.url)
        assert not caught.value.transient
        assert len(chat.sent) == 1


def test_an_account_without_credit_is_not_asked_again() -> None:
    said = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    with serving(lambda _: (429, {}, said)) as chat, pytest.raises(EngineError, match="no credit left") as caught:
        ask(chat.url)
    assert not caught.value.transient
    assert len(chat.sent) == 1


def test_retry_after_is_heeded_in_seconds_and_as_a_date_but_not_for_ever() -> None:
    with serving(in_turn(refusing(429, retry_after="0.3"), saying("now"))) as chat:
        assert ask(chat.url)[0].text == "now"
        assert chat.times[1] - chat.times[0] >= 0.3
    assert server_calls._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (server_calls._retry_after("Fri, 01 Jan 2100 00:00:00 GMT") or 0) > 3000
    for unread in (None, "soon", "nan", "inf", ""):
        assert server_calls._retry_after(unread) is None
    with serving(lambda _: refusing(429, retry_after="3600")) as chat:
        with pytest.raises(EngineError, match="for 3600 seconds") as caught:
            ask(chat.url)
        assert not caught.value.transient
        assert len(chat.sent) == 1


def test_pauses_grow_and_no_two_are_alike() -> None:
    pauses = [[server_calls._pause(k, None) for _ in range(50)] for k in range(4)]
    assert all(len(set(p)) > 40 for p in pauses)
    assert all(max(a) <= min(b) * 1.0001 for a, b in pairwise(pauses))
    assert server_calls._pause(0, 2.0) > 2.0


def test_a_server_that_does_not_answer_in_time_is_given_up() -> None:
    with serving(lambda _: (time.sleep(0.6), saying("late"))[1]) as chat:
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"no answer in time .*openai.seconds 0.1") as caught:
            ask(chat.url, tries=2, seconds=0.1, connect_seconds=0.1)
        assert time.monotonic() - began < 0.6
        assert caught.value.transient


def test_a_server_that_dribbles_is_given_up_too() -> None:
    """Each byte comes in time for the read timeout; the whole answer does not."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def dribble() -> None:
        with listening.accept()[0] as one:
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not done.wait(0.05):
                try:
                    one.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        with pytest.raises(EngineError, match="no answer in time"):
            ask(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", tries=1, seconds=0.3, connect_seconds=0.1)
    finally:
        done.set()
        thread.join()
        listening.close()


def test_a_server_that_is_not_there_or_hangs_up_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match="cannot be reached") as caught:
        ask(url, tries=2)
    assert caught.value.transient


def test_no_more_requests_are_under_way_than_allowed_and_all_are_answered() -> None:
    def slow(sent: dict[str, Any]) -> Answer:
        time.sleep(0.02)
        return saying(sent["messages"][0]["content"])

    async def many(engine: OpenAIEngine, chat: ChatServer) -> list[list[Reply]]:
        return await asyncio.gather(
            *(
                engine.ask(policy_at(chat.url), user(f"w{k}"), n=1, sampling=Sampling(), seed=k, precision=REMOTE)
                for k in range(30)
            )
        )

    with serving(slow) as chat, closing(concurrency=3) as engine:
        said = asyncio.run(many(engine, chat))
    assert [r[0].text for r in said] == [f"w{k}" for k in range(30)]
    assert chat.most == 3


def test_one_cancelled_ask_leaves_its_place_to_the_others() -> None:
    async def some(engine: OpenAIEngine, chat: ChatServer) -> list[Any]:
        tasks = [
            asyncio.create_task(
                engine.ask(policy_at(chat.url), user(f"w{k}"), n=1, sampling=Sampling(), seed=k, precision=REMOTE)
            )
            for k in range(4)
        ]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    def slow(sent: dict[str, Any]) -> Answer:
        time.sleep(0.3 if sent["messages"][0]["content"] == "w0" else 0.0)
        return saying("yes")

    with serving(slow) as chat, closing(concurrency=1) as engine:
        results = asyncio.run(some(engine, chat))
    assert isinstance(results[0], asyncio.CancelledError)
    assert [r[0].text for r in results[1:]] == ["yes"] * 3


def test_it_answers_again_after_it_was_unloaded_or_closed_and_in_another_event_loop() -> None:
    with serving(lambda _: saying("yes")) as chat, closing() as engine:
        for between in (engine.unload, engine.close, lambda: None):
            made = engine.ask(policy_at(chat.url), user("?"), n=1, sampling=Sampling(), seed=1, precision=REMOTE)
            assert asyncio.run(made)[0].text == "yes"
            between()


# --- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment_and_is_sent_in_a_header_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("ANOTHER_KEY", KEY[::-1])
    with serving(lambda _: saying("yes")) as chat:
        ask(chat.url)
        ask(chat.url, key="ANOTHER_KEY")
        ask(chat.url, key="")
        assert [h.get("Authorization") for h in chat.headers] == [f"Bearer {KEY}", f"Bearer {KEY[::-1]}", None]
        assert KEY not in json.dumps(chat.sent)


@pytest.mark.parametrize("answer", [
    refusing(401, f"Incorrect API key provided: {KEY}"), refusing(500, f"Bearer {KEY}"), (200, {}, KEY.encode()),
    refusing(400, f"seed {KEY}"), (200, {}, b'{"choices": ["' + KEY.encode() + b'"]}'),
])  # fmt: skip
def test_a_server_that_says_the_key_back_is_not_repeated(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(lambda _: answer) as chat, pytest.raises(EngineError) as caught:
        ask(chat.url, tries=2)
    error: BaseException | None = caught.value
    assert isinstance(error, InstarError)
    assert KEY not in f"{error} {error.hint} {error!r}"
    assert error.__cause__ is None
    assert KEY not in caplog.text


def test_a_reply_with_the_key_in_it_is_kept_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda _: saying(f"you sent {KEY}!")) as chat:
        assert ask(chat.url)[0].text == "you sent (the key)!"
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")  # what is given to servers that want none
    with serving(lambda _: saying("the set is EMPTY")) as chat:
        assert ask(chat.url)[0].text == "the set is EMPTY"


@pytest.mark.parametrize("value", ["sk-\nwith-a-line", "sk-wïth-umlaut", "two words"])
def test_a_key_that_fits_in_no_header_is_refused_unshown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ModelError, match="OPENAI_API_KEY holds characters") as caught:
        ask("http://127.0.0.1:9/v1")
    assert value not in str(caught.value)


def test_the_key_never_travels_in_the_clear_unless_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ModelError, match="unencrypted"):
        ask("http://192.0.2.1/v1")
    for url, allowed in (("http://localhost/v1", False), ("http://[::1]:80/v1", False), ("https://192.0.2.1", False),
                         ("http://192.0.2.1", True)):  # fmt: skip
        from instar.engines.remote.key import Key

        assert Key("OPENAI_API_KEY").headers(address_of(f"openai:m@{url}"), plain_http=allowed)


def test_a_variable_that_the_config_names_must_be_set_and_its_name_must_be_one() -> None:
    with pytest.raises(ModelError, match="names the environment variable NOT_THERE, which is not set"):
        ask("http://127.0.0.1:9/v1", key="NOT_THERE")
    with pytest.raises(ModelError, match="not the name of an environment variable") as caught:
        OpenAIEngine(key=KEY)
    assert KEY not in str(caught.value)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "openai:m@http://u:secret@host/v1", "openai:m@https://secret@host/v1", "openai:m@http://host/v1?key=secret",
    "openai:m@http://host/#secret", "openai:secret", "openai:m@ftp://secret/", "openai:@http://secret/v1",
    "openai:m@http://secret:port/v1", "openai:m@http:///secret", "openai:m@http://host/secret v1",
    "openai:m m@http://host/secret", "openai:m@http://secret\n/v1", "openai:m@http://[secret/v1",
    "openai:m@http://host/secret" + "x" * 3000,
])  # fmt: skip
def test_a_name_that_is_no_address_is_refused_and_nothing_behind_the_at_is_shown(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        address_of(name)
    assert "secret" not in str(caught.value)


def test_two_spellings_of_one_server_are_one_policy_and_two_models_are_two() -> None:
    one = address_of("openai:Org/m:7b@v2@HTTPS://Host:443/v1/")
    assert one == Address("Org/m:7b@v2", "https://host/v1")
    assert address_of(one.name) == one
    ids = {policy_at(u, m).id for u in ("http://a/v1", "http://a:80/v1/", "http://A/v1") for m in ("x",)}
    assert len(ids) == 1
    assert policy_at("http://a/v1", "x").id != policy_at("http://a/v1", "y").id
    assert policy_at("http://a/v1", "x").id != policy_at("http://b/v1", "x").id
