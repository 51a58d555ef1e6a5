"""Runs inside the sandbox, around the tester: ends what a program leaves, tells who ended it, stops at a time-out.

Standard library alone; this file's text is what is run, with the tester's beside it as ``rules.py``. The rules decide
what a test says of a program. This decides whether they may:

- between the spawner and each program stands a *nurse*: it waits for the program, ends whatever that has started, and
  notes how it ended on a pipe that no program holds;
- a program can neither signal them nor send itself a SIGKILL (``instar.sandbox.guard``), so one that came was sent from
  outside, by the OOM killer for example: then there is no verdict, and the tester says so by its exit code;
- after the first test that runs out of time no other is run. A program that sleeps would take all the time there is.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import types
from typing import Any

OUTSIDE = 75
"""Exit code: something that the tests need was killed from outside."""
NOT_RUN = "not run: the program ran out of time in an earlier test"
_PATIENCE = 6.0
_ENDED, _LATE, _KILLED, _STOPPED = b"e", b"t", b"k", b"s"


def loaded(name: str) -> Any:
    """A file of this folder as a module. Not imported: what a program writes here must never be."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    with open(f"{name}.py", encoding="utf-8") as file:
        exec(compile(file.read(), f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - our own files
    return module


def main() -> None:
    """As the rules' main, which does the work."""
    rules, offspring, guard = loaded("rules"), loaded("offspring"), loaded("guard")
    machine = os.uname().machine
    heard, notes = os.pipe()
    os.set_blocking(heard, False)
    tester = os.getpid()
    play, run_one = rules.be_the_program, rules.test

    def be_the_program(code: str, seconds: int, calls: int, answers: int) -> None:
        """In a fresh fork of the spawner: become the nurse of another, which is the program."""
        spawner, nurse = os.getppid(), os.getpid()
        offspring.adopt()
        os.close(heard)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        program = os.fork()
        if program == 0:
            offspring.die_with_the_parent(nurse)
            os.close(notes)
            os.setsid()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM})
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            guard.put_on(guard.program([tester, spawner, nurse], os.getpid(), machine))
            rules.resource = types.SimpleNamespace(RLIMIT_CPU=0, setrlimit=lambda *_: None)  # it is set, for good
            play(code, seconds, calls, answers)
        os.close(calls)
        note = waited(program, seconds)
        offspring.end_all()
        os.write(notes, note)
        os._exit(0)

    class Program(rules.Program):  # type: ignore[misc,name-defined]  # of a module made here
        """A program whose end is understood."""

        def end(self) -> None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)
            until = time.monotonic() + _PATIENCE
            with contextlib.suppress(rules.Unanswered):
                while True:
                    rules._read(self.answer, 1, until)  # to its end: nobody is left who could write
            super().end()
            try:
                note = os.read(heard, 1)
            except BlockingIOError:
                note = _KILLED  # the nurse has not written one
            if note == _KILLED:
                os._exit(OUTSIDE)
            state.late |= note == _LATE

    def test(line: Any, job: dict[str, Any], code: str) -> dict[str, Any]:
        if state.late:
            return {"passed": False, "why": NOT_RUN}
        try:
            result: dict[str, Any] = run_one(line, job, code)
        except (OSError, ValueError, rules.struct.error):  # the spawner is gone
            if os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL:
                os._exit(OUTSIDE)
            raise
        state.late |= result["why"] == "it took too long"
        return result

    state = types.SimpleNamespace(late=False)
    rules.be_the_program, rules.Program, rules.test = be_the_program, Program, test
    rules.main()


def waited(program: int, seconds: int) -> bytes:
    """Wait for the program, or for the tester's word that it is done with it: how it ended."""
    while True:
        number = signal.sigwait({signal.SIGCHLD, signal.SIGTERM})
        if number == signal.SIGTERM:
            return _STOPPED
        ended = os.waitid(os.P_PID, program, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            continue  # an orphan of its
        with open(f"/proc/{program}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if ended.si_code != os.CLD_KILLED or ended.si_status not in (signal.SIGKILL, signal.SIGXCPU):
            return _ENDED
        # the limit counts ticks, and this is measured: beside other work the two are apart by a tenth and more
        return _LATE if used >= seconds / 2 else _KILLED


if __name__ == "__main__":
    main()
