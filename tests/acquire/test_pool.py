import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from instar.acquire.feedback.pool import Done, Failed, Pool
from instar.sandbox.offspring import tree


@pytest.fixture(scope="module")
def pool():
    pool = Pool(workers=2)
    yield pool
    pool.close()


def run(pool, function, *args, seconds=5.0):
    return asyncio.run(pool.run(function, *args, seconds=seconds))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_job_returns_its_value_from_another_process(pool):
    result = run(pool, os.getpid)
    assert isinstance(result, Done)
    assert result.value != os.getpid()


def test_a_hanging_job_is_killed_and_the_next_one_works(pool):
    started = time.monotonic()
    assert run(pool, time.sleep, 60, seconds=0.3) == Failed("timed out after 0.3 s")
    assert run(pool, abs, -3) == Done(3)
    assert time.monotonic() - started < 5


def test_a_job_that_ends_its_process_gives_a_reason_and_the_next_one_works(pool):
    assert run(pool, os._exit, 7) == Failed("the checking process died (exit code 7)")
    assert run(pool, os._exit, 0) == Failed("the checking process died (exit code 0)")
    assert run(pool, signal.raise_signal, signal.SIGSEGV) == Failed("the checking process died (SIGSEGV)")
    assert run(pool, abs, -3) == Done(3)


def test_an_idle_worker_that_is_killed_does_not_end_the_pool(pool):
    victim = run(pool, os.getpid)
    os.kill(victim.value, signal.SIGKILL)
    time.sleep(0.5)
    assert run(pool, abs, -3) == Done(3)


def test_a_job_that_raises_or_returns_what_cannot_be_sent_gives_a_reason(pool):
    assert run(pool, int, "seven").reason.startswith("the checking process failed (ValueError: invalid literal")
    assert isinstance(run(pool, open, os.devnull), Failed)


class Odd(Exception):
    """It cannot be said, nor made again from what is pickled of it."""

    def __init__(self, one, two):
        super().__init__("one argument")

    def __str__(self):
        raise ValueError("no words")


class Interrupting(Exception):
    """Whoever asks what it says is interrupted."""

    def __str__(self):
        raise KeyboardInterrupt


class Unreadable:
    def __reduce__(self):
        return int, ("seven",)


def raises(error, *given):
    raise error(*given)


@pytest.mark.parametrize(
    ("job", "given", "why"),
    [
        (raises, (KeyboardInterrupt,), "KeyboardInterrupt: "),
        (raises, (SystemExit, "enough"), "SystemExit: enough"),
        (raises, (asyncio.CancelledError,), "CancelledError: "),
        (raises, (TimeoutError, "its own"), "TimeoutError: its own"),
        (raises, (Odd, 1, 2), "Odd: a Odd that cannot be shown"),
        (raises, (Interrupting,), "Interrupting, which cannot be shown"),
        (Unreadable, (), "what it returned cannot be read: ValueError: invalid literal for int()"),
    ],
)
def test_whatever_a_job_raises_or_returns_is_its_own_reason_and_stops_nothing_else(pool, job, given, why):
    assert run(pool, job, *given).reason.startswith(f"the checking process failed ({why}")
    assert run(pool, abs, -3) == Done(3)


def test_a_memory_bomb_fails_alone(pool):
    assert "MemoryError" in run(pool, bytearray, 64 * 2**30).reason


def test_many_jobs_at_once_from_one_loop(pool):
    async def all_of_them():
        return await asyncio.gather(*(pool.run(abs, -i, seconds=5) for i in range(200)))

    assert asyncio.run(all_of_them()) == [Done(i) for i in range(200)]


def test_a_cancelled_job_frees_its_worker(pool):
    async def cancelled():
        jobs = [asyncio.ensure_future(pool.run(time.sleep, 60, seconds=50)) for _ in range(2)]
        await asyncio.sleep(0.3)
        for job in jobs:
            job.cancel()
        return await pool.run(abs, -3, seconds=5)

    assert asyncio.run(asyncio.wait_for(cancelled(), 10)) == Done(3)


def test_a_closed_pool_leaves_no_process_and_can_be_used_again():
    pool = Pool(workers=1)
    before = run(pool, os.getpid).value
    pool.close()
    assert not alive(before)
    assert run(pool, os.getpid).value != before
    pool.close()


SCRIPT = """
import asyncio, os, re
from instar.acquire.feedback.pool import Pool
print("main", flush=True)
pool = Pool(workers=2)
async def main():
    pids = {(await pool.run(os.getpid, seconds=60)).value for _ in range(20)}
    hang_in_c = ("(a+)+b", "a" * 60)  # holds the GIL
    jobs = [asyncio.ensure_future(pool.run(re.match, *hang_in_c, seconds=600)) for _ in range(2)]
    await asyncio.sleep(0.3)
    print(*pids, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_a_killed_run_leaves_no_worker_behind_even_a_hanging_one_and_its_script_runs_once(tmp_path):
    script = tmp_path / "unguarded.py"  # no `if __name__ == "__main__"`: a worker that imported it would start again
    script.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "main\n"
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert pids
        assert all(map(alive, pids))
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == ""
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if alive(pid)]


# --- what a job starts ends with it -----------------------------------------------------------------------------------

SLEEPS = "import time\nwhile True: time.sleep(0.1)  # {mark}"


def started(mark: str) -> list[int]:
    """The processes whose command line bears this mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found += [int(pid)] if mark.encode() in file.read() and alive(int(pid)) else []
        except OSError:
            continue
    return found


def none_left(mark: str, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while started(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not started(mark)


def starts(mark: str, how: str, then: str) -> int:
    """A job: starts a process that never ends and hides it, then returns, hangs, or dies."""
    command = [sys.executable, "-c", SLEEPS.format(mark=mark)]
    if how == "plain":
        subprocess.Popen(command)
    elif how == "session":
        subprocess.Popen(command, start_new_session=True)
    elif how == "deaf":
        subprocess.Popen(
            [*command[:2], "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\n" + command[2]]
        )
    elif how == "shell":
        subprocess.run(f'({sys.executable} -c "{SLEEPS.format(mark=mark)}" >/dev/null 2>&1 &)', shell=True, check=True)
    else:  # the classic daemon
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 4096)
                os.execv(command[0], command)
            os._exit(0)
        os.wait()
    while not started(mark):
        time.sleep(0.01)
    {"return": int, "hang": lambda: time.sleep(60), "die": lambda: os._exit(3), "crash": os.abort}[then]()
    return os.getpid()


@pytest.mark.parametrize("how", ["plain", "session", "deaf", "shell", "daemon"])
def test_what_a_job_starts_is_gone_when_it_has_returned(pool, how):
    mark = f"instar-left-{os.getpid()}-{how}"
    first = run(pool, starts, mark, how, "return")
    assert isinstance(first, Done)
    assert started(mark) == []


@pytest.mark.parametrize("then", ["hang", "die", "crash"])
def test_what_a_job_starts_ends_with_a_worker_that_is_killed_or_dies(pool, then):
    mark = f"instar-killed-{os.getpid()}-{then}"
    assert isinstance(run(pool, starts, mark, "daemon", then, seconds=2.0), Failed)
    assert none_left(mark)
    assert run(pool, abs, -3) == Done(3)


def forks_and_returns(deep: int) -> int:
    """A job with a slip: its children return instead of ending."""
    for _ in range(deep):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
    return os.getpid()


def below(pid: int) -> int:
    return len(tree(pid)) - 1


def test_a_child_that_a_job_lets_return_takes_no_job_of_the_workers_and_is_gone():
    pool = Pool(workers=1)
    worker = run(pool, os.getpid).value
    assert [run(pool, forks_and_returns, 3, seconds=20.0) for _ in range(5)] == [Done(worker)] * 5
    assert below(worker) == 0
    pool.close()


def killed_once(path: str) -> str:
    """A job whose worker somebody kills the first time."""
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def kills_its_keeper(path: str) -> str:
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)
    return "done"


@pytest.mark.parametrize("job", [killed_once, kills_its_keeper])
def test_a_job_whose_worker_or_keeper_was_killed_from_outside_is_begun_again(pool, tmp_path, job):
    assert run(pool, job, str(tmp_path / "once")) == Done("done")


def test_a_job_that_is_killed_each_time_has_that_for_its_reason(pool):
    assert run(pool, signal.raise_signal, signal.SIGKILL) == Failed("the checking process died (SIGKILL)")


LEAVES = """
import asyncio, sys
from tests.acquire.test_pool import starts
from instar.acquire.feedback.pool import Pool
async def main():
    asyncio.get_running_loop().call_later(600, print)
    await Pool(workers=1).run(starts, sys.argv[1], sys.argv[2], "hang", seconds=600)
asyncio.run(main())
"""


@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, "daemon"), (signal.SIGTERM, "plain")])
def test_a_killed_run_leaves_nothing_that_its_jobs_have_started(number, how):
    mark = f"instar-run-{os.getpid()}-{how}-{number}"
    with subprocess.Popen([sys.executable, "-c", LEAVES, mark, how]) as process:
        deadline = time.monotonic() + 30
        while not [p for p in started(mark) if p != process.pid] and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
    assert none_left(mark)
