import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from instar.acquire.feedback.pool import Done, Failed, Pool


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
