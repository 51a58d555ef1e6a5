"""A run that llama.cpp's own HTTP server judges (the wheel xllamacpp), killed in the middle and resumed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.native import build
from instar.export.gguf import export_gguf
from tests.recipes.scripted import content, instar

pytestmark = pytest.mark.slow

KEY = "sk-llama-0123456789abcdef"
SERVER = """
import os, sys, time
import xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.api_keys = sys.argv[1], [sys.argv[2]]
p.n_ctx, p.n_parallel, p.warmup, p.verbosity, p.cache_prompt = 1024, 1, False, -1, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)
"""
JUDGE = '''
from typing import ClassVar
from instar.acquire.feedback.judging import judge_of
from instar.protocols import Judge
from instar.records import Feedback, Mark, Message, Role, Sampling

class YesOrNo(Judge):
    """Asks in one short line: SmolLM2 follows no longer form."""

    name: ClassVar[str] = "yes_or_no"
    believes_a_model: ClassVar[bool] = True
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=3)

    async def __call__(self, task, solutions, models):
        said = []
        for s in solutions:
            asked = Message(role=Role.user, content=f"{task.question}\\n{s.text}\\nIs this right? Say Yes or No.")
            (reply,) = await judge_of(models).ask([asked], n=1, sampling=self.sampling)
            yes = "yes" in reply.text.lower()
            said.append(Feedback(solution=s.id, score=float(yes), mark=Mark.right if yes else Mark.wrong,
                                 source="judge", comment=reply.text))
        return said
'''
SETS = (
    "model=scripted", "rounds=1", "sizes={train=8, gate=8, sealed=8}", "solve.samples=3", "train.epochs=1",
    "right.minimum=0.0", "judge=judge.py:YesOrNo", "openai.concurrency=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    (folder / "judge.py").write_text(JUDGE)
    return folder / "runs"


@pytest.fixture(scope="module")
def url(runs: Path) -> Iterator[str]:
    """SmolLM2 as the GGUF file that instar exports, on llama.cpp's server, behind a key."""
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=print)
    gguf = runs.parent / "m.gguf"
    export_gguf(artefacts().open(policy.weights.digest), gguf, "Q8_0")
    with subprocess.Popen([sys.executable, "-c", SERVER, str(gguf), KEY], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("OPENAI_API_KEY", KEY)
            yield f"{address}/v1"
        server.kill()
    gguf.unlink()


def options(url: str, *more: str) -> list[str]:
    return [o for s in (*SETS, f"judge_model=openai:smol@{url}", *more) for o in ("--set", s)]


def judgements(runs: Path, name: str) -> int:
    try:
        with sqlite3.connect(f"file:{runs / name / 'ledger.db'}?mode=ro", uri=True) as raw:
            return int(raw.execute("select count(*) from journal where engine = 'openai'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def show(runs: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(instar("show", name, "--json", runs=runs).stdout)
    return found


NATIVE = (
    "model=smollm2-135m", "engine=native", "sizes={train=8, gate=4, sealed=4}", "solve.sampling.max_tokens=8",
    "exam.solve.sampling.max_tokens=8",
)  # fmt: skip


@pytest.mark.parametrize("policy", ["scripted", "native"])
def test_a_run_that_llama_cpp_judges_is_killed_and_resumed_and_ends_the_same(runs: Path, url: str, policy: str) -> None:
    if policy == "native" and (missing := build.why_not()) is not None:
        pytest.skip(missing)
    # the embedded model is converted once for all tests
    env = {"INSTAR_HOME": str(home() if policy == "native" else runs.parent / "home")}
    unmeasured = options(url, "audit_with=none", *(NATIVE if policy == "native" else ()))
    name = {n: f"{policy}_{n}" for n in ("whole", "killed")}
    instar("run", "rest_em", "--name", name["whole"], "--quiet", *unmeasured, runs=runs, **env)
    assert judgements(runs, name["whole"]) == 24
    command = [sys.executable, "-m", "instar.cli", "run", "rest_em", "--name", name["killed"], "--quiet", *unmeasured]
    process = subprocess.Popen(command, cwd=runs.parent, env={**os.environ, "INSTAR_RUNS": str(runs), **env})
    while judgements(runs, name["killed"]) < 8:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert judgements(runs, name["killed"]) < 24
    instar("resume", name["killed"], "--quiet", runs=runs, **env)
    whole, killed = show(runs, name["whole"]), show(runs, name["killed"])
    assert killed["sessions"] == 2
    assert killed["sealed"]["engine"] == policy
    assert (killed["final"], killed["sealed"]) == (whole["final"], whole["sealed"])
    assert content(runs, name["killed"]) == content(runs, name["whole"])
    kept = [p for p in runs.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert kept == []


def test_a_judge_on_a_server_is_measured_on_planted_answers_and_a_small_one_is_refused(runs: Path, url: str) -> None:
    refused = instar("run", "rest_em", "--name", "measured", "--quiet", *options(url), runs=runs, check=False)
    assert refused.returncode == 11, refused.stderr
    assert "the judge 'yes_or_no' is refused" in refused.stderr
    (rubric,) = [a for r in show(runs, "measured")["audit"] for a in r["assessments"] if a["name"] == "yes_or_no"]
    assert not rubric["trusted"]
    assert rubric["numbers"]["n"] == 16


def test_a_wrong_key_is_found_out_before_a_token_of_the_policy(
    runs: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
    refused = instar("run", "rest_em", "--name", "locked", *options(url), runs=runs, check=False)
    assert refused.returncode == 5
    assert "refuses the key in OPENAI_API_KEY (401): Invalid API Key" in refused.stderr
    assert not (runs / "locked").exists()
