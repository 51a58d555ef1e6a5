"""All that a process has started: found, ended and buried, however well it hid.

Standard library alone, and no other module of ours: it runs in processes that have little else. A process that forks
twice, takes a session of its own or ignores signals is still somebody's child: of the nearest ancestor that called
``adopt``, once its own parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time

PATIENCE = 5.0
"""Seconds within which all that is to end has ended, or is left to whoever comes next."""
_PDEATHSIG, _SUBREAPER = 1, 36


def adopt() -> None:
    """From now on whatever loses its parent below this process becomes its child, and does not slip away."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def die_with_the_parent(parent: int) -> None:
    """SIGKILL for this process when the one that forked it, ``parent``, ends; at once where it has ended."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def tree(root: int) -> list[int]:
    """This process and all below it, parents first."""
    found, at = [root], 0
    while at < len(found):
        for thread in [str(found[at]), *threads(found[at])]:
            with contextlib.suppress(OSError), open(f"/proc/{found[at]}/task/{thread}/children") as file:
                found += map(int, file.read().split())
        at += 1
    return found


def threads(pid: int) -> list[str]:
    """The threads of a process other than its first: a child belongs to the thread that forked it."""
    try:
        return [t for t in os.listdir(f"/proc/{pid}/task") if t != str(pid)]
    except OSError:
        return []


def end_all() -> None:
    """Kill everything below this process and bury it. Needs ``adopt`` to have been called before any of it began.

    All are stopped before the first is killed, or what forks all the time would be ahead of us for ever.
    """
    until = time.monotonic() + PATIENCE
    while (left := tree(os.getpid())[1:]) and time.monotonic() < until:
        stopped: set[int] = set()
        while (new := set(tree(os.getpid())[1:]) - stopped) and time.monotonic() < until:
            _send(new, signal.SIGSTOP)
            stopped |= new
        _send({*left, *stopped}, signal.SIGKILL)
        bury()
        time.sleep(0.001)


def bury() -> None:
    """Wait for every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def keep(pid: int, life: int) -> int:
    """Wait until the child ``pid`` ends, or kill it when ``life``, a pipe, has no more writers; end all that it leaves.

    Returns its exit code. Does not return for one that a signal ended: this process then ends by the same signal.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever asks it to end asks the child
    end = os.pidfd_open(pid)
    watch = select.poll()
    watch.register(end, select.POLLIN)
    watch.register(life, 0)  # told of its end alone
    while end not in dict(watch.poll()):
        watch.unregister(life)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    end_all()
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code & 0xFF


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
