"""Runs inside the sandbox: tests in one process, the untrusted program in another, and plain data between them.

Standard library alone; this file's text is what is run. Three processes:

- the *tester* reads the tests from stdin only after it has forked the next one, runs them, and says each result on the
  one stdout there is;
- the *spawner* holds the program's text and forks a fresh process for each test, so that a test that crashes, hangs or
  leaves something behind costs itself alone;
- the *program*, one a test, answers calls of its functions. It has no stdout of the tester's, and cannot trace it.

What a program returns is encoded by its exact type, so nothing of its own making (an object that equals everything)
reaches a comparison.
"""

from __future__ import annotations

import ast
import base64
import builtins
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from types import ModuleType
from typing import Any

LONGEST = 2**20
"""Bytes of one call or answer."""


class Unanswered(Exception):
    """The program did not answer a call: why, in words."""


# --- plain data ------------------------------------------------------------------------------------------------------


def encode(value: Any, depth: int = 0) -> Any:
    """Plain data as JSON, by exact type. Raises TypeError for anything else."""
    kind = type(value)
    if depth > 50:
        raise TypeError("a value nested deeper than 50")
    if value is None or kind in (bool, str, float):
        return value
    if kind is int:
        return value if -(2**53) < value < 2**53 else {"i": hex(value)}
    if kind is bytes:
        return {"b": base64.b64encode(value).decode()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is list:
        return [encode(v, depth + 1) for v in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__[0]: [encode(v, depth + 1) for v in value]}
    if kind is dict:
        return {"d": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    raise TypeError(f"a {kind.__name__}, which is not plain data")


def decode(value: Any) -> Any:
    """The value that ``encode`` was given."""
    if type(value) is list:
        return [decode(v) for v in value]
    if type(value) is not dict:
        return value
    ((tag, body),) = value.items()
    if tag == "d":
        return {decode(k): decode(v) for k, v in body}
    if tag in ("t", "s", "f"):
        return {"t": tuple, "s": set, "f": frozenset}[tag](map(decode, body))
    if tag == "i":
        return int(body, 16)
    return base64.b64decode(body) if tag == "b" else complex(*body)


def send(pipe: int, value: Any) -> None:
    """One JSON value with its length before it."""
    data = json.dumps(value).encode()
    if len(data) > LONGEST:
        raise TypeError(f"a value of {len(data)} bytes")
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(pipe, data) :]


def receive(pipe: int, until: float | None = None, most: int = LONGEST) -> Any:
    """The next value. Raises Unanswered when it does not come in time, in full, or at all."""
    (size,) = struct.unpack(">I", _read(pipe, 4, until))
    if size > most:
        raise Unanswered("it answered with too much")
    try:
        return json.loads(_read(pipe, size, until))
    except (ValueError, RecursionError):
        raise Unanswered("it answered with what cannot be read") from None


def _read(pipe: int, size: int, until: float | None) -> bytes:
    data = b""
    while len(data) < size:
        if until is not None and not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            raise Unanswered("it took too long")
        part = os.read(pipe, min(size - len(data), 2**16))
        if not part:
            raise Unanswered("it ended, or ran out of time, before it answered")
        data += part
    return data


# --- the program -----------------------------------------------------------------------------------------------------


def be_the_program(code: str, seconds: int, calls: int, answers: int) -> None:
    """Load the program and answer calls until nobody asks or its processor time is used up. Does not return."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    program = sys.modules["program"] = ModuleType("program")  # its classes are looked up by their module's name
    space: dict[str, Any] = program.__dict__  # and it is not "__main__": what it does as a script is not asked for
    space["__builtins__"] = builtins
    try:
        exec(compile(code, "program.py", "exec"), space)  # noqa: S102 - this is what the sandbox is for
        ready: dict[str, Any] = {"value": None}
    except BaseException as error:
        ready = {"raised": type(error).__name__, "text": _text(error)}
    send(answers, ready)
    while True:
        asked = receive(calls)
        try:
            arguments, named = decode(asked["args"]), decode(asked["named"])
            value = space[asked["name"]](*arguments, **named)
            said = {"value": encode(value), "args": encode(arguments)}
        except BaseException as error:
            said = {"raised": type(error).__name__, "text": _text(error)}
        try:
            send(answers, said)
        except TypeError as error:
            send(answers, {"raised": "TypeError", "text": str(error)})


def _text(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except BaseException:
        return ""


def be_the_spawner(code: str, seconds: int, line: socket.socket) -> None:
    """Fork a program for each byte that comes; hand its two pipes and its id back. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line.recv(1):
        calls, call = os.pipe()
        answer, answers = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                line.close()
                os.close(call)
                os.close(answer)
                be_the_program(code, seconds, calls, answers)
            finally:
                os._exit(1)
        socket.send_fds(line, [struct.pack(">I", pid)], [call, answer])
        for pipe in (calls, call, answer, answers):
            os.close(pipe)
    os._exit(0)


# --- the tester ------------------------------------------------------------------------------------------------------


class Program:
    """A fresh program and calls of its functions, until ``until`` (on the monotonic clock)."""

    def __init__(self, line: socket.socket, until: float) -> None:
        line.send(b"x")
        message, (self.call, self.answer), _, _ = socket.recv_fds(line, 4, 2)
        (self.pid,) = struct.unpack(">I", message)
        self.until = until

    def function(self, name: str) -> Any:
        """A stub: it looks like the program's function to a test."""

        def stub(*args: Any, **named: Any) -> Any:
            try:
                send(self.call, {"name": name, "args": encode(list(args)), "named": encode(named)})
            except TypeError as error:
                raise Unanswered(f"it cannot be called with {error}") from None
            except OSError:
                raise Unanswered("it ended before it was called") from None
            said = self.said()
            for given, after in zip(args, decode(said.get("args") or []), strict=False):
                if type(given) is type(after) and given != after and isinstance(given, (list, dict, set)):
                    given.clear()  # what it did to its arguments, the test sees
                    given.extend(after) if isinstance(given, list) else given.update(after)
            return decode(said["value"])

        return stub

    def said(self) -> Any:
        """The next answer; an exception of the program's is raised here as the built-in one of its name."""
        answer = receive(self.answer, self.until)
        try:
            if "raised" not in answer:
                decode(answer["value"])
                return answer
            name, text = str(answer["raised"]), str(answer["text"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise Unanswered("it answered with what cannot be read") from None
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                raised = kind(text)
            except TypeError:
                raised = RuntimeError(f"{name}: {text}")
            raise raised
        raise RuntimeError(f"{name}: {text}")

    def end(self) -> None:
        """Kill it."""
        for pipe in (self.call, self.answer):
            os.close(pipe)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)


def test(line: socket.socket, job: dict[str, Any], code: str) -> dict[str, Any]:
    """Run one test: {"passed", "why"}."""
    program = Program(line, time.monotonic() + job["seconds"])
    space: dict[str, Any] = {"__name__": "tests"}
    try:
        program.said()
        exec(compile(job["setup"], "setup.py", "exec"), space)  # noqa: S102 - the task's own code, and in a sandbox
        for name in job["names"]:
            space[name] = program.function(name)
        exec(compile(code, "test.py", "exec"), space)  # noqa: S102 - the task's own test, in a sandbox
        return {"passed": True, "why": ""}
    except AssertionError as error:
        return {"passed": False, "why": _text(error) or given_instead(code, space)}
    except Unanswered as error:
        return {"passed": False, "why": str(error)}
    except BaseException as error:
        return {"passed": False, "why": f"{type(error).__name__}: {_text(error)}"}
    finally:
        program.end()


def given_instead(code: str, space: dict[str, Any]) -> str:
    """For a failed equality, what its left side gives."""
    try:
        match ast.parse(code).body:
            case [ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()]))]:
                asked = compile(ast.Expression(left), "test.py", "eval")
                return f"it gave {eval(asked, space)!r}"[:300]  # noqa: S307 - the task's own test, in the sandbox
    except BaseException as error:
        return f"it gave {type(error).__name__} when asked again"
    return "wrong result"


def main() -> None:
    """Stdin: [program, {cpu}], then the job (setup, names, seconds, tests). Stdout: a line of JSON for each test."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: no process of this user may trace or read us
    code, limits = receive(0, most=2**24)
    line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.fork() == 0:
        line.close()
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)  # what the program prints is noise
        os.close(null)
        be_the_spawner(code, int(limits["cpu"]), far)
    far.close()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    job = receive(0, most=2**24)
    for number, text in enumerate(job["tests"]):
        result = test(line, job, text)
        os.write(1, json.dumps({"test": number, **result}).encode() + b"\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
