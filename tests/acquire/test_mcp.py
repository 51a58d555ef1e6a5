"""Tools of servers that speak MCP: a real one, on pipes and over HTTP, and one that does all that none should."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from instar.acquire.solutions.call_tools import CallTools
from instar.acquire.tools import mcp, mcp_server, mcp_wire
from instar.acquire.tools.calls import answer
from instar.acquire.tools.mcp import Mcp, _against
from instar.acquire.tools.mcp_server import close_all
from instar.app.configs.build import build_op
from instar.app.configs.config import plan
from instar.app.sessions.tools import same_tools
from instar.errors import CannotContinue, ConfigError, SandboxError
from instar.protocols import Bench, Solve
from instar.records import ToolCall
from instar.store.ledger import Ledger
from tests.acquire.test_call_tools import Saying
from tests.acquire.things import task
from tests.acquire.tool_server import hostile, real
from tests.run.test_run import run_in, solve
from tests.run.test_run import task as sum_of

SCHEMA = {"a": {"type": "integer"}, "b": {"type": "integer"}}


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The fields of a tool of the real server."""
    file, reads = real(tmp_path_factory.mktemp("real"))
    return {"command": ("python", str(file)), "reads": reads}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile(tmp_path_factory.mktemp("bad"))


def said(tool: Mcp, seconds: float = 20.0, **given: Any) -> str:
    return asyncio.run(answer(tool, ToolCall(name=tool.tool, arguments=given), (tool,), Bench(seconds)))


def of(bad: Path, name: str, **more: Any) -> Mcp:
    return Mcp(tool=name, command=("python", "-S", str(bad)), **more)


def test_a_tool_of_a_real_server_is_described_by_it_checked_by_its_schema_and_called(numbers: dict[str, Any]) -> None:
    both = [{"op": "mcp", "tool": name, **numbers} for name in ("add", "population")]
    op = build_op(Solve, {"op": "call_tools", "samples": 1, "tools": both}, where="solve")
    assert isinstance(op, CallTools)
    op.prepare({})
    add, population = op.tools
    assert (add.called, add.spec.about) == ("add", "Adds two numbers.")
    assert set(json.loads(add.spec.parameters)["properties"]) == {"a", "b"}
    assert isinstance(add, Mcp)
    assert isinstance(population, Mcp)
    assert said(add, a=3, b=4) == "7"
    assert said(add, a="three", b=4) == "error: a: 'three' is not of type 'integer'"
    assert "'b' is a required property" in said(add, a=3)
    assert said(population, city="Oslo") == "717710"
    assert said(population, city="Rom").startswith("error: ")
    model = Saying('add[{"a": 3, "b": 4}]', "Answer: 7")
    (made,) = asyncio.run(op(task(answer="7"), {"self": model}))
    assert [t.text for t in made.turns] == ['add[{"a": 3, "b": 4}]', "7", "Answer: 7"]
    with pytest.raises(ConfigError, match="offers no tool 'sub'") as refused:
        Mcp(tool="sub", **numbers).prepare({})
    assert refused.value.hint == "It offers: add, population."


def test_a_server_over_http_is_asked_the_same(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file, _ = real(tmp_path, f'server.run("streamable-http", host="127.0.0.1", port={port})')
    serving = subprocess.Popen([sys.executable, file], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        add = Mcp(tool="add", url=f"http://127.0.0.1:{port}/mcp")
        assert add.spec.about == "Adds two numbers."
        assert said(add, a=3, b=4) == "7"
    finally:
        close_all()
        serving.kill()
        serving.wait()
    assert said(add, a=3, b=4).startswith("error: ")


class Floods(BaseHTTPRequestHandler):
    """Answers all with one endless text."""

    def do_POST(self) -> None:
        Floods.keys.append(self.headers.get("Authorization", ""))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(100):
                self.wfile.write(b"x" * 1_000_000)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    keys: ClassVar[list[str]] = []


def test_a_server_over_http_that_floods_is_refused_and_is_sent_the_key_that_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Floods)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tool = Mcp(tool="t", url=f"http://127.0.0.1:{server.server_port}/mcp", key="MY_TOOL_KEY")
    try:
        with pytest.raises(ConfigError, match="MY_TOOL_KEY holds no key"):
            tool.prepare({})
        monkeypatch.setenv("MY_TOOL_KEY", "s3cret")
        with pytest.raises(ConfigError, match="it said more than 4,000,000 bytes in one answer"):
            tool.prepare({})
    finally:
        server.shutdown()
        server.server_close()
    assert set(Floods.keys) == {"Bearer s3cret"}


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("hang", "error: timed out after 0.5 s"),
        ("die", "error: the tool server failed: it ended: I have had enough"),
        ("flood", "error: the tool server failed: it said more than 4,000,000 bytes in one message"),
        ("lie", "error: the tool server answered otherwise than MCP has it (ValidationError)"),
        ("odd", "still here"),
        ("babble", "done"),
        ("shout", "shouted"),
        ("big", "y" * 600),
    ],
)
def test_what_a_server_does_is_an_observation_and_the_next_call_is_answered(bad: Path, tool: str, says: str) -> None:
    assert said(of(bad, tool), 0.5 if tool == "hang" else 20.0) == says
    assert said(of(bad, "look"), where="/etc/hosts") == "FileNotFoundError"


def test_a_server_that_runs_into_a_limit_is_told_of_that_and_not_by_its_last_words(
    bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_wire, "LIMITS", mcp_wire.LIMITS.model_copy(update={"memory": 2**28}))
    close_all()
    assert said(of(bad, "eat")) == "error: the tool server failed: it was ended by its limit of memory"
    assert said(of(bad, "odd")) == "still here"
    close_all()


def test_a_call_that_only_waited_behind_one_that_hangs_is_answered(bad: Path) -> None:
    async def both() -> list[str]:
        calls = [(of(bad, "hang"), {}), (of(bad, "look"), {"where": "/etc/hosts"})]
        return await asyncio.gather(
            *(answer(t, ToolCall(name=t.tool, arguments=given), (t,), Bench(1.0)) for t, given in calls)
        )

    assert asyncio.run(both()) == ["error: timed out after 1 s", "FileNotFoundError"]


def test_behind_walls_a_server_has_no_network_none_of_your_files_and_an_environment_that_is_not_yours(
    bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "s3cret")
    (tmp_path / "mine.txt").write_text("mine")
    tmp_path.chmod(0o755)  # as root it is nobody who reads it
    assert "MY_SECRET" not in said(of(bad, "env"))
    assert said(of(bad, "look"), where=str(tmp_path / "mine.txt")) == "FileNotFoundError"
    assert said(of(bad, "look", reads=(str(tmp_path),)), where=str(tmp_path / "mine.txt")) == "mine"
    assert "MY_SECRET" not in said(of(bad, "look"), where="/proc/self/environ")
    assert said(of(bad, "look"), where="/proc/net/dev") == "FileNotFoundError"


def test_with_the_network_it_runs_as_you_and_is_given_the_variables_that_were_named_alone(
    bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "s3cret")
    monkeypatch.setenv("MY_OTHER", "other")
    given = json.loads(said(of(bad, "env", network=True, env=("MY_OTHER",))))
    assert "MY_OTHER" in given
    assert not {"MY_SECRET", "HOME", "PATH"} & set(given)
    monkeypatch.delenv("MY_OTHER")
    with pytest.raises(ConfigError, match="MY_OTHER is to be given"):
        of(bad, "hang", network=True, env=("MY_OTHER",), reads=("again",)).prepare({})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "a program to start"),
        ({"command": ("python", "s.py"), "url": "https://a.b/mcp"}, "a program to start"),
        ({"command": ("python", "s.py", "--api-key=abcdef")}, "looks like a key"),
        ({"command": ("serve", "sk-abcdefghijklmnop")}, "looks like a key"),
        ({"command": ("serve", "--token", "abcdef123456")}, "looks like a key"),
        ({"command": ("serve", "--api-key", "s3cret")}, "looks like a key"),
        ({"command": ("serve", "--header", "Authorization: Bearer s3cret")}, "looks like a key"),
        ({"command": ("serve", "postgres://u:s3cret@host/db")}, "looks like a key"),
        ({"command": ("serve", "sk-proj-abcdefghijklmnop")}, "looks like a key"),
        ({"command": ("serve", "sk-ant-api03-abcdefghijkl")}, "looks like a key"),
        ({"command": ("serve", "github_pat_11ABCDEFG0abcdefghij")}, "looks like a key"),
        ({"command": ("serve", "AIzaSyA1234567890abcdefghijklmnopqrstuv")}, "looks like a key"),
        ({"command": ("env", "OPENAI=sk-abcdefghijklmnop", "serve")}, "looks like a key"),
        ({"url": "https://a.b/s/sk-proj-abcdefghijklmnop/mcp"}, "looks like a key"),
        ({"url": "https://a.b/mcp#access_token=abcdef"}, "looks like a key"),
        ({"url": "https://me:pw@a.b/mcp"}, "looks like a key"),
        ({"url": "https://a.b/mcp?token=1"}, "looks like a key"),
        ({"url": "file:///etc/passwd"}, "looks like a key"),
        ({"url": "http://a.b/mcp", "key": "MY_KEY"}, "unencrypted"),
        ({"url": "https://a.b/mcp", "key": "s3cret"}, "names of environment variables"),
        ({"command": ("s",), "env": ("MY_KEY",)}, "env needs network = true"),
        ({"command": ("s",), "key": "MY_KEY"}, "key is of a url"),
        ({"url": "https://a.b/mcp", "network": True}, "of a program"),
    ],
)
def test_a_config_that_would_hold_a_key_or_means_nothing_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        Mcp(tool="t", **fields)
    assert "s3cret" not in str(refused.value.errors(include_input=False))


def test_names_of_programs_and_of_places_that_begin_as_keys_do_are_none() -> None:
    for name in (
        "pypi-server-of-my-own-packages",
        "npm-run-something-quite-long-here",
        "xai-org-a-long-name",
        "hf-mcp",
    ):
        Mcp(tool="t", command=("serve", name))
    Mcp(tool="t", url="https://a.b/v1/hf-transformers-docs")


def test_a_server_that_cannot_be_begun_is_refused_before_the_run_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no luck today')")
    with pytest.raises(ConfigError, match=r"in the sandbox, without network\) cannot be asked .* no luck today"):
        Mcp(tool="t", command=("python", str(broken))).prepare({})
    with pytest.raises(ConfigError, match="there is no program 'nothing-there'"):
        Mcp(tool="t", command=("nothing-there",)).prepare({})
    broken.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(mcp_server, "BEGINS", 0.3)
    with pytest.raises(ConfigError, match=r"it said nothing for 0\.3 s"):
        Mcp(tool="t", command=("python", str(broken), "mute")).prepare({})


def test_what_a_server_says_of_its_tools_is_cut_and_forges_no_marks(bad: Path) -> None:
    about = of(bad, "pid").spec.about
    assert len(about) == 1_000
    assert of(bad, "pid").op_id != of(bad, "env").op_id != of(bad, "env", network=True).op_id


def test_a_run_that_is_resumed_does_not_ask_the_server_again(bad: Path, tmp_path: Path) -> None:
    from tests.acquire.test_call_tools import Asks

    class AsksPid(Asks):
        """Asks the server for what is never the same twice."""

        async def ask(self, policy: Any, messages: Any, **more: Any) -> Any:
            text = f"Answer: {messages[-1].content}" if len(messages) > 1 else "pid[]"
            replies = await super().ask(policy, messages, **more)
            return [r.model_copy(update={"text": text.replace("pid[]", "pid[{}]")}) for r in replies]

    op = CallTools(samples=1, tools=(of(bad, "pid"),))
    (made,) = solve(run := run_in(tmp_path, AsksPid()), op, [sum_of(1)])
    run.ledger.close()
    (again,) = solve(run := run_in(tmp_path, AsksPid()), op, [sum_of(1)])
    run.ledger.close()
    assert made.turns[1].text == again.turns[1].text != said(of(bad, "pid"))
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        assert len(list(ledger.rows("calls"))) == 1


def test_a_schema_that_asks_for_more_than_anybody_can_look_at_holds_up_no_run() -> None:
    twice = {f"d{k}": {"anyOf": [{"$ref": f"#/$defs/d{k + 1}"}] * 6} for k in range(25)} | {"d25": {"type": "string"}}
    nested: dict[str, Any] = {"properties": {"b": {}}}
    for _ in range(60):
        nested = {"unevaluatedProperties": False, "anyOf": [nested]}
    began = time.monotonic()
    assert _against(json.dumps({"$defs": twice, "properties": {"a": {"$ref": "#/$defs/d0"}}}), {"a": 1}) == ""
    assert "'a' was unexpected" in _against(json.dumps(nested), {"a": 1})
    assert time.monotonic() - began < 10
    assert _against(json.dumps({"properties": {"a": {"type": "string"}}}), {"a": 1}) == "a: 1 is not of type 'string'"


SERVER = {"name": "h", "version": "1"}
NO_METHOD = {"error": {"code": -32601, "message": "no such method"}}


class Answers(BaseHTTPRequestHandler):
    """Answers with what ``said`` makes of a request."""

    said: ClassVar[Any] = None

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body, headers = Answers.said(asked)
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def answering() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mcp"
    close_all()
    server.shutdown()
    server.server_close()


def test_an_answer_that_unpacks_to_gigabytes_is_not_unpacked(answering: str) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    Answers.said = lambda _: (bomb, {"Content-Encoding": "gzip"})
    with pytest.raises(ConfigError, match=r"it answers packed \(gzip\), which it was not asked for"):
        Mcp(tool="t", url=answering).prepare({})


def test_a_list_of_tools_that_goes_on_with_the_same_has_an_end(answering: str) -> None:
    known = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": SERVER},
        "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}], "nextCursor": "again"},
    }

    def said(asked: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        told = {"result": known[asked["method"]]} if asked.get("method") in known else NO_METHOD
        return json.dumps({"jsonrpc": "2.0", "id": asked.get("id", 0), **told}).encode(), {}

    Answers.said = said
    began = time.monotonic()
    Mcp(tool="t", url=answering).prepare({})
    assert time.monotonic() - began < 20
    assert logging.getLogger("mcp").handlers  # or its client's tracebacks are printed


def test_what_only_looks_like_a_key_is_no_key() -> None:
    for command in (
        ("serve", "--max-tokens", "512"),
        ("serve", "--no-key", "--verbose"),
        ("serve", "http://h:80/@x"),
        ("hf-mcp-server", "/opt/hf_transformers_tools/serve.py"),
        ("npm-check-updates", "xai-server"),
    ):
        Mcp(tool="t", command=command)


@pytest.mark.parametrize("tool", ["secret", "last"])
def test_a_key_that_a_server_says_back_is_nowhere(bad: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    monkeypatch.setenv("MY_KEY", 'hush "9"')
    heard = said(of(bad, tool, network=True, env=("MY_KEY",)))
    assert "hush" not in heard
    assert "(what MY_KEY holds)" in heard
    place = of(bad, tool, network=True, env=("MY_KEY",)).place(Bench())
    assert place.without_keys(json.dumps({"a": 'hush "9"'})) == '{"a": "(what MY_KEY holds)"}'
    monkeypatch.setenv("MY_KEY", "abc")
    assert place.without_keys("abcd") == "abcd"


def test_arguments_are_matched_against_no_regular_expression_of_a_server() -> None:
    evil = {"type": "string", "pattern": "^(a+)+$"}
    schema = {
        "properties": {"pattern": evil, "n": {"type": "integer"}}, "patternProperties": {"^(a+)+$": {}},
        "additionalProperties": False, "required": ["n"],
    }  # fmt: skip
    given = {"pattern": "a" * 40 + "!", "a" * 40 + "!": 1, "n": 1}
    assert _against(json.dumps(schema), given) == ""
    assert _against(json.dumps(schema), {"pattern": 7, "n": 1}) == "pattern: 7 is not of type 'string'"


def test_walls_that_a_server_cannot_be_talked_through_are_refused_before_and_are_no_observation(
    bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Container:
        image = "some"

    op = CallTools(samples=1, sandbox="docker", tools=(of(bad, "pid"),))
    monkeypatch.setattr(mcp, "open_sandbox", lambda kind, allow_weaker: Container())
    monkeypatch.setattr(mcp_wire, "open_sandbox", lambda kind, allow_weaker: Container())
    with pytest.raises(SandboxError, match="in a container"):
        op.prepare({})
    with pytest.raises(SandboxError, match="in a container"):
        asyncio.run(answer(of(bad, "pid"), ToolCall(name="pid"), (of(bad, "pid"),), Bench(20.0, "docker")))


def test_a_server_that_cannot_be_begun_is_not_begun_for_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (broken := tmp_path / "broken.py").write_text(
        f"open({str(tmp_path / 'begun')!r}, 'a').write('x'); raise SystemExit(3)"
    )
    tool = Mcp(tool="t", command=("python", "-S", str(broken)), network=True)
    for _ in range(6):
        assert "cannot be asked for its tools" in said(tool)
    assert (tmp_path / "begun").read_text() == "xxx"
    with pytest.raises(ConfigError):  # a new session looks again
        tool.prepare({})
    assert (tmp_path / "begun").read_text() == "xxxx"


def test_a_run_goes_on_only_with_tools_that_are_described_as_they_were(bad: Path, tmp_path: Path) -> None:
    tools = [{"op": "mcp", "tool": "pid", "command": ["python", "-S", str(bad)]}]
    made = plan(
        {
            "recipe": "rest_em",
            "model": "scripted",
            "rounds": 1,
            "solve": {"op": "call_tools", "samples": 1, "tools": tools},
        }
    )
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        same_tools(made, ledger, False)
        same_tools(made, ledger, False)
        known = ledger.about()["tool_specs"]
        ledger.set_about(tool_specs=json.dumps(dict.fromkeys(json.loads(known), "another")))
        with pytest.raises(CannotContinue, match="describes its tools otherwise than when this run was made"):
            same_tools(made, ledger, False)
        same_tools(made, ledger, True)
        assert ledger.about()["tool_specs"] == known
