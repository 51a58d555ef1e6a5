# ruff: noqa: E501 - whole programs are written here, some on one line
"""Judging by running: what is right, what is wrong, and every way to forge a verdict that we could think of."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
from typing import Any

import pytest

import instar.acquire.feedback.execution as execution
from instar.acquire.feedback.execution import Execution, run_tests
from instar.acquire.feedback.tester import decode, encode
from instar.errors import DataError
from instar.program import program_in
from instar.records import Feedback, Finish, Mark, Message, Role, Sampling, Solution, Task, Turn
from instar.sandbox import open_sandbox
from instar.sandbox.offspring import tree

HIDDEN = ["assert f(40) == 47", "assert f(-7) == 0", "assert f(0) == 7"]


def task(**private: Any) -> Task:
    tests = {"visible": ["assert f(1) == 8"], "hidden": HIDDEN}
    return Task(
        id="t", messages=(Message(role=Role.user, content="x plus 7"),), ability="add", canonical="c", source="s",
        private={"tests": tests, "names": ["f"], **private},
    )  # fmt: skip


def solution(text: str, id: str = "s") -> Solution:
    return Solution(
        id=id, task="t", turns=(Turn(text=text),), policy="p", engine="e", precision="x", sampling=Sampling(),
        finish=Finish.stop,
    )  # fmt: skip


def judged(*texts: str, judge: Execution | None = None, **private: Any) -> list[Feedback]:
    solutions = [solution(text, str(i)) for i, text in enumerate(texts)]
    return list(asyncio.run((judge or Execution())(task(**private), solutions, {})))


def test_a_program_that_passes_every_hidden_test_is_right_and_its_score_is_the_share() -> None:
    right, half, none, again = judged(
        "```python\ndef f(x):\n    return x + 7\n```",
        "def f(x):\n    return x + 7 if x else 8",
        "I do not know.",
        "```python\ndef f(x):\n    return x + 7\n```",
    )
    assert (right.mark, right.score, right.source) == (Mark.right, 1.0, "execution")
    assert right.answer == "def f(x):\n    return x + 7"
    assert (half.mark, half.score) == (Mark.wrong, pytest.approx(2 / 3))
    assert (none.mark, none.score) == (Mark.wrong, 0.0)
    assert [f.solution for f in (right, half, none, again)] == ["0", "1", "2", "3"]
    assert (again.mark, again.answer) == (right.mark, right.answer)


def test_an_empty_reply_is_wrong_and_says_so() -> None:
    (empty,) = judged("  \n")
    assert (empty.mark, empty.score, empty.answer, empty.comment) == (Mark.wrong, 0.0, None, "no program found")


def test_the_first_failing_visible_test_is_evidence_and_no_hidden_one_is_anywhere() -> None:
    (wrong,) = judged("def f(x):\n    raise ValueError('hidden tests please')")
    assert wrong.evidence["failed"].startswith("assert f(1) == 8\nValueError: hidden tests please")
    said = wrong.model_dump_json()
    assert not [t for t in HIDDEN if t in said or t.removeprefix("assert ") in said]
    assert "0 of 3" in wrong.comment
    (other,) = judged("def f(x):\n    return 'no'")
    assert other.evidence["failed"] == "assert f(1) == 8\nit gave 'no'"


VISIBLE = Execution(tests="visible", seconds=1)
TWO = {"visible": ["assert f(2) == 4", "assert f(3) == 6"], "hidden": ["assert f(5) == 'hidden'"]}


def test_by_visible_tests_a_program_is_right_whatever_the_hidden_ones_say() -> None:
    (said,) = judged("Here:\n```python\ndef f(x):\n    return 2 * x\n```\nDone.", judge=VISIBLE, tests=TWO)
    assert (said.score, said.mark, said.source) == (1.0, Mark.right, "execution")
    assert said.evidence == {"passed": 2, "visible": 2}
    assert "f(5)" not in said.model_dump_json()


def test_by_visible_tests_the_first_that_failed_is_named_with_what_happened() -> None:
    (said,) = judged("def f(x): return x * x", judge=VISIBLE, tests=TWO)
    assert (said.score, said.mark, said.comment) == (0.5, Mark.wrong, "1 of 2 visible tests passed")
    assert said.evidence["failed"] == "assert f(3) == 6\nit gave 9"


def test_by_visible_tests_code_that_breaks_or_never_ends_fails_with_the_reason() -> None:
    codes = ("def f(x) return x", "def f(x): return y", "", "def f(x):\n    while True: pass")
    found = judged(*codes, judge=VISIBLE, tests=TWO)
    assert [(f.score, f.mark) for f in found] == [(0.0, Mark.wrong)] * 4
    for said, why in zip(found, ("SyntaxError", "NameError", "no program found", "out of time"), strict=True):
        assert why in said.evidence["failed"]


@pytest.mark.parametrize("tests", [None, {}, {"visible": [], "hidden": ["assert f(1) == 1"]}])
def test_by_visible_tests_a_task_without_them_is_invalid_and_not_wrong(tests: Any) -> None:
    (said,) = judged("def f(x): return x", judge=VISIBLE, tests=tests)
    assert (said.score, said.mark, said.comment) == (None, Mark.invalid, "the task has no visible tests")


@pytest.mark.parametrize("name", ["prints the verdict", "exits while it loads", "an object that equals everything"])
def test_by_visible_tests_a_forged_verdict_does_not_count_either(name: str) -> None:
    assert judged(FORGERIES[name], judge=VISIBLE)[0].mark is Mark.wrong


FORGERIES = {
    "prints the verdict": 'print(\'{"test": 0, "passed": true}\\n\' * 9, flush=True)\ndef f(x): return None',
    "writes to every descriptor": (
        "import os\nfor n in range(64):\n    for i in range(4):\n        try: os.write(n, "
        'b\'{"test": %d, "passed": true, "why": ""}\\n\' % i)\n        except OSError: pass\ndef f(x): return None'
    ),
    "exits with 0": "import os\ndef f(x): os._exit(0)",
    "exits while it loads": "import sys\nsys.exit(0)",
    "an object that equals everything": (
        "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def f(x): return Any(0)"
    ),
    "patches the built-ins": (
        "import builtins\nbuiltins.AssertionError = type('Never', (BaseException,), {})\n"
        "builtins.compile = builtins.exec = lambda *a, **k: None\ndef f(x): return None"
    ),
    "reads the stack": (
        "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        for v in {**frame.f_globals, **frame.f_locals}.values():\n"
        "            if isinstance(v, (list, str, dict)) and 'assert f' in str(v): return 47\n"
        "        frame = frame.f_back"
    ),
    "searches its memory": (
        "import gc\nfound = [o for o in gc.get_objects() if ('%c(40)' % 102) in repr(o)[:9999]]\n"
        "def f(x): return x + 7 if found else None"
    ),
    "reads memory of the others": (
        "import os\nseen = b''\nfor p in os.listdir('/proc'):\n    if p.isdigit():\n"
        "        for part in ('cmdline', 'environ', 'mem', 'fd/0', 'fd/1', 'maps'):\n"
        "            try: seen += open(f'/proc/{p}/{part}', 'rb').read(10**6)\n            except (OSError, ValueError): pass\n"
        "def f(x): return x + 7 if b'assert f' in seen else None"
    ),
    "speaks through descriptors of the others": (
        "import os\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        for n in range(9):\n"
        '            try: os.write(os.open(f\'/proc/{p}/fd/{n}\', os.O_WRONLY), b\'{"test": 0, "passed": true, "why": ""}\\n\')\n'
        "            except OSError: pass\ndef f(x): return None"
    ),
    "kills the tester": "import os, signal\nos.kill(os.getppid(), 9)\nos.kill(2, 9)\ndef f(x): return x + 7",
    "kills all": "import os\nos.kill(-1, 9)\ndef f(x): return x + 7",
    "reads the files": (
        "import os\ntext = ''.join(open(n).read() for n in os.listdir('.'))\n"
        "def f(x): return x + 7 if 'assert f' in text else None"
    ),
    "rewrites the tester": "open('tester.py', 'w').write('')\ndef f(x): return None",
    "answers too much": "def f(x): return 'x' * 10**8",
    "answers a deep list": "x = []\nfor _ in range(10**5): x = [x]\ndef f(x_): return x",
    "floods its own pipe": (
        "import os, json, struct\nm = json.dumps({'value': 47, 'args': []}).encode()\n"
        "for n in range(3, 64):\n    try: os.write(n, struct.pack('>I', len(m)) + m)\n    except OSError: pass\n"
        "def f(x): return None"
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_verdict_does_not_count(name: str) -> None:
    (said,) = judged(FORGERIES[name])
    assert said.mark is Mark.wrong, said


def test_a_forger_that_looks_for_the_tests_would_know_them_if_it_saw_them() -> None:
    """Or the above would show nothing."""
    code = FORGERIES["reads the files"].replace("'assert f'", "'ass' + 'ert f'") + "\nprint(f(40))"
    for files, says in (({"tests.txt": HIDDEN[0]}, b"47\n"), ({}, b"None\n")):
        outcome = asyncio.run(open_sandbox().run({"main.py": code, **files}, ["python", "main.py"]))
        assert outcome.stdout == says


def test_a_test_that_crashes_costs_itself_alone() -> None:
    (said,) = judged("import os\ndef f(x):\n    if x == 40: os.abort()\n    if x == 1: os._exit(0)\n    return x + 7")
    assert (said.mark, said.score) == (Mark.wrong, pytest.approx(2 / 3))
    assert "before it answered" in said.evidence["failed"]


@pytest.mark.parametrize("hang", ["time.sleep(99)", "\n        while True: pass"])
def test_the_first_test_that_runs_out_of_time_ends_a_programs_tests(hang: str) -> None:
    late = ("it took too long", "it ended, or ran out of time, before it answered")
    code = f"import time\ndef f(x):\n    if x == 1: {hang}\n    return x + 7"
    tests = ["assert f(2) == 9", "assert f(1) == 8", *HIDDEN]
    found, outcome = asyncio.run(run_tests(code, tests, {"names": ["f"]}, seconds=0.6))
    assert found[0] == ""
    assert found[1] in late
    assert found[2:] == ["not run: the program ran out of time in an earlier test"] * 3
    assert outcome.limit_hit is None
    (said,) = judged(code, judge=Execution(seconds=0.6), tests={"visible": tests[1:2], "hidden": HIDDEN})
    assert (said.mark, said.score) == (Mark.wrong, 0.0)
    assert said.evidence["failed"].endswith(late)


# --- killed from outside ----------------------------------------------------------------------------------------------

ANSWERS = "def f(x):\n    return x + 7"
PLACES = {"keeper": 0, "the walls": 1, "the first process": 2, "tester": 3, "spawner": 4, "nurse": 5, "program": 6}


async def judged_while_killing(place: int, times: int) -> tuple[Feedback, int]:
    """The verdict of a right program while somebody kills one process of its tests, so many times."""
    slow = task(tests={"visible": ["import time; time.sleep(1.2); assert f(1) == 8"], "hidden": HIDDEN})
    before = set(tree(os.getpid()))  # what earlier tests of this process keep at hand
    job = asyncio.create_task(_one(slow))
    killed: set[int] = set()
    while not job.done():
        chain = [p for p in tree(os.getpid()) if p not in before and _is_keepers(p)]
        if len(chain) > 6 and chain[0] not in killed and len(killed) < times:
            await asyncio.sleep(0.2)
            os.kill(chain[place], signal.SIGKILL)
            killed.add(chain[0])
        await asyncio.sleep(0.02)
    return job.result(), len(killed)


def _is_keepers(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return "forkserver" not in (words := file.read()) and "resource_tracker" not in words
    except OSError:
        return False


async def _one(slow: Task) -> Feedback:
    (said,) = await Execution(sandbox="namespaces")(slow, [solution(ANSWERS)], {})
    return said


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_tests_of_which_one_process_is_killed_from_outside_are_run_again(place: int) -> None:
    said, killed = asyncio.run(judged_while_killing(place, 1))
    assert killed == 1
    assert (said.mark, said.score) == (Mark.right, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("place", [3, 6], ids=["tester", "program"])
def test_tests_that_are_killed_each_time_have_no_verdict_and_a_reason(place: int) -> None:
    said, killed = asyncio.run(judged_while_killing(place, 99))
    assert killed == 3
    assert (said.mark, said.score) == (Mark.invalid, None)
    assert said.comment == "the tests were killed from outside 3 times: is the machine out of memory?"


TRICKS = {
    "itself": "os.kill(os.getpid(), 9)",
    "its group": "os.kill(0, 9)",
    "its group by number": "os.killpg(os.getpgrp(), 9)",
    "its thread": "signal.pthread_kill(threading.get_ident(), 9)",
    "raise": "libc.raise_(9) if hasattr(libc, 'raise_') else signal.raise_signal(9)",
    "all": "os.kill(-1, 15)",
    "its nurse": "os.kill(os.getppid(), 9)",
    "its nurse, gently": "os.kill(os.getppid(), 15)",
    "its nurse, stopped": "os.kill(os.getppid(), 19)",
    "the tester": "os.kill(2, 9)",
    "the spawner": "os.kill(3, 9)",
    "a group of the tester's": "os.killpg(2, 9)",
    "a tkill": "chk(libc.syscall(200, os.getpid(), 9))",
    "a queued signal": "chk(libc.syscall(129, os.getpid(), 9, 0))",
    "a pidfd": "signal.pidfd_send_signal(os.pidfd_open(2), 9)",
    "a pidfd of its own": "signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 9)",
    "limits of the tester": "resource.prlimit(2, resource.RLIMIT_NOFILE, (3, 3))",
    "time of the tester": "resource.prlimit(2, resource.RLIMIT_CPU, (0, 0))",
    "its own time": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
    "a signal of a pipe": "r, w = os.pipe(); fcntl.fcntl(r, 10, 9); fcntl.fcntl(r, fcntl.F_SETOWN, os.getpid()); "
    "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')",
    "a pipe's owner": "r, w = os.pipe(); fcntl.ioctl(r, 0x8901, struct.pack('i', 2))",
    "a timer": "chk(libc.syscall(222, 0, ctypes.byref((ctypes.c_int * 16)(0, 0, 9, 0)), ctypes.byref(ctypes.c_int())))",
    "a strict filter": "chk(libc.prctl(22, 1, 0, 0, 0))",
    "a filter of its own": "chk(libc.syscall(317, 0, 0, 0))",
    "a child's farewell": "chk(libc.syscall(56, 9, 0, 0, 0, 0)) or os._exit(0)",
    "a child": "p = os.getpid()\n    if os.fork() == 0:\n        try: os.kill(p, 9)\n        finally: os._exit(0)\n    os.wait()",
    "a lost child": "p = os.getpid()\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n"
    "        time.sleep(0.05)\n        for q in (p, -p, 2, 3, 4, 5):\n            try: os.kill(q, 9)\n"
    "            except OSError: pass\n        os._exit(0)\n    os.wait(); time.sleep(0.2)",
}
if platform.machine() != "x86_64":
    TRICKS = {name: trick for name, trick in TRICKS.items() if "libc.syscall(" not in trick}
_TRY = (
    "import os, signal, threading, resource, fcntl, struct, ctypes, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def chk(r):\n    if r < 0: raise OSError(ctypes.get_errno(), 'refused')\n    return r\n"
    "try:\n    {}\nexcept (OSError, ValueError): pass\ndef f(x): return x + 7\n"
)


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_a_program_cannot_pretend_that_it_was_killed_from_outside(trick: str) -> None:
    (said,) = judged(_TRY.format(trick))
    assert said.mark is Mark.right, said
    (said,) = judged(_TRY.format(trick).replace("x + 7", "x"))
    assert (said.mark, said.score) == (Mark.wrong, 0.0), said


def test_what_a_program_starts_does_not_outlive_its_test() -> None:
    code = (
        "import os, time\nn = len([p for p in os.listdir('/proc') if p.isdigit()])\n"
        "for i in range(6):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n"
        "        time.sleep(99)\n        os._exit(0)\ndef f(x): return x + 7 if n < 8 else n\n"
    )
    (said,) = judged(code, tests={"visible": [], "hidden": HIDDEN * 5})
    assert (said.mark, said.score) == (Mark.right, 1.0), said


def test_each_test_sees_a_fresh_program() -> None:
    (said,) = judged("n = 0\ndef f(x):\n    global n\n    n += 1\n    return x + 7 if n == 1 else 0")
    assert said.mark is Mark.right


def test_what_a_program_does_to_its_arguments_a_test_sees() -> None:
    tests = {"visible": [], "hidden": ["x = [3, 1]\ng(x)\nassert x == [1, 3]", "d = {1: 2}\nh(d)\nassert d == {}"]}
    (said,) = judged("def g(x): x.sort()\ndef h(d): d.clear()", tests=tests, names=["g", "h"])
    assert said.mark is Mark.right


def test_an_exception_reaches_the_test_as_the_built_in_of_its_name() -> None:
    tests = {
        "visible": [],
        "hidden": ["try:\n    f(1)\nexcept KeyError as e:\n    assert 'no' in str(e)\nelse:\n    assert False"],
    }
    assert judged("def f(x): raise KeyError('no')", tests=tests)[0].mark is Mark.right
    assert judged("def f(x): raise ValueError('no')", tests=tests)[0].mark is Mark.wrong


def test_an_expression_is_the_value_of_answer() -> None:
    tests = {"visible": [], "hidden": ["assert answer() == 42"]}
    right, wrong, none = judged(
        "The answer is 42.", "The answer is 41.", "I am not sure.", judge=Execution(read="expression"), tests=tests,
        names=["answer"], answer="42",
    )  # fmt: skip
    assert [right.mark, wrong.mark, none.mark] == [Mark.right, Mark.wrong, Mark.wrong]
    assert none.comment == "no program found"


def test_what_a_program_would_do_as_a_script_is_not_done_and_its_classes_know_their_module() -> None:
    script = "if __name__ == '__main__':\n    print(f(int(input())))\n    raise SystemExit(1)"
    (said,) = judged(f"def f(x): return x + 7\n{script}")
    assert said.mark is Mark.right
    typed = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport typing\n@dataclass\nclass P:\n"
        "    x: int\n    y: typing.ClassVar[int] = 7\ndef f(x): return typing.get_type_hints(P) and P(x).x + P.y"
    )
    (said,) = judged(typed)
    assert said.mark is Mark.right


def test_a_task_without_hidden_tests_is_refused() -> None:
    with pytest.raises(DataError, match="no hidden tests"):
        execution.tests_of(task(tests={"visible": ["assert True"], "hidden": []}))


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**80), 1.5, float("inf"), "ä\ud800", b"\x00\xff", 1j, [1, [2]], (1, (2,)), {1, 2}, frozenset({3}),
     {"a": 1, (1, 2): [None]}, {}],
)  # fmt: skip
def test_plain_data_goes_through_the_pipe_unchanged(value: Any) -> None:
    there = decode(json.loads(json.dumps(encode(value))))
    assert there == value
    assert type(there) is type(value)


@pytest.mark.parametrize("value", [object(), lambda: 1, iter([]), type("S", (str,), {})("x"), type("I", (int,), {})(3)])
def test_what_is_not_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not plain data"):
        encode(value)


@pytest.mark.parametrize(
    ("reply", "program"),
    [
        ("Sure:\n```python\ndef f(): pass\n```\nDone.", "def f(): pass"),
        ("```\nx = 1\n```\n```py\nx = 2\n```", "x = 2"),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
        ("```python\nx = 1\n```\n```bash\nls\n```", "x = 1"),
        ("Here it is:\ndef f(x):\n    return x\n\nThis returns x.", "def f(x):\n    return x"),
        ("    return x + 1", "    return x + 1"),
        ("import math\ndef f(x):\n    return math.pi", "import math\ndef f(x):\n    return math.pi"),
        ("", None),
        ("```python\n```", None),
    ],
)
def test_the_program_is_cut_out_of_the_reply(reply: str, program: str | None) -> None:
    assert program_in(reply) == program


def test_half_an_emoji_in_what_a_program_raises_is_written_out_where_it_comes_in() -> None:
    (said,) = judged("```python\ndef f(x):\n    raise ValueError('cannot add \\ud83d')\n```")
    assert said.evidence["failed"] == "assert f(1) == 8\nValueError: cannot add \\ud83d"
    said.model_dump_json()
