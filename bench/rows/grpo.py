"""What 300 seconds of training gain on tasks never seen: ours beside TRL's GRPOTrainer at the best of three rates.

Same base weights, system prompt, training tasks, verifier and sealed tasks; both results are examined anew, greedy, in
f32, by one engine. The difference of the two gains is what the two final exams differ by: the base is the same. TRL's
runs are kept beside the peers' environments and used again for as long as nothing about them changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.pairs import Outcome, Reading, Say
from bench.peers import venvs

if TYPE_CHECKING:
    from instar.records import Policy, Task

SECONDS = 300.0
RATES = (3e-6, 1e-5, 3e-5)
"""Around the best of those tried; 1e-4 made it worse than the base (docs/log/2026-11-22-grpo.md)."""
ROOT = Path(__file__).parents[2]
SUMS = {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}}
COMMON: dict[str, Any] = {
    "model": "smollm2-135m", "engine": "openvino", "seed": 1, "sealed_seed": 20261122, "verifier_stress": "off",
    "tasks": {"op": "reasoning_gym", "families": SUMS},
}  # fmt: skip
SIZES = {"train": 720, "gate": 300, "sealed": 330}
"""In all; a recipe of three rounds has a third of the first two a round. Both of ours, and TRL, train on the same."""
PEER = {"bf16": True, "batch": 32, "seed": 1, "seconds": SECONDS}
"""Answers a second in a minute's trial: float32 1.05 at 64 answers a step; bfloat16 1.31 at 32, 1.39 at 64 and 1.45 at
128. Of the fast ones, 32 takes the most steps, and TRL's gain is made of steps."""


@dataclass(frozen=True)
class Gain:
    """A row of gains. ``ours`` is the config of our run, over COMMON."""

    key: str
    title: str
    target: float | None
    name: str
    ours: Mapping[str, Any]

    def minutes(self, pairs: int) -> float:
        return 2 * SECONDS / 60 + len(RATES) * (SECONDS / 60 + 1.5)

    def measure(self, pairs: int, say: Say) -> Outcome:
        """One pair, whatever ``pairs`` is: a pair takes half an hour."""
        from bench.exam import examine
        from instar.evaluate.compare import compare

        theirs = {f"TRL, rate {rate:g}": self.peer(rate, say) for rate in RATES}
        drawn, base = self._start()
        final, seconds = self.evolve(say)
        folders = {"base": _weights(base), "ours": final} | {name: folder for name, (folder, _) in theirs.items()}
        reports = examine(folders, drawn["sealed"], base.system)
        gains = {n: compare(reports["base"], r).gain or 0.0 for n, r in reports.items()}
        for name, gain in gains.items():
            say(f"  {name}: gain {100 * gain:+.1f} points")
        best = max(theirs, key=lambda n: gains[n])
        between = compare(reports[best], reports["ours"])
        if between.gain is None or between.low is None or between.high is None:
            raise RuntimeError(f"the exams cannot be compared: {between.refusal}")
        detail = {
            "gains": gains,
            "best_constant": between.best_constant,
            "base": compare(reports["base"], reports["base"]).before,
        }
        return Outcome(
            key=self.key, title=self.title, ratio=100 * between.gain, low=100 * between.low, high=100 * between.high,
            target=self.target, at_least=True, unit="points", ours=self.name, theirs=f"GRPOTrainer of {best}",
            ours_median=100 * gains["ours"], theirs_median=100 * gains[best],
            ours_readings=(Reading(100 * gains["ours"], seconds, {"config": dict(self.ours)}),),
            theirs_readings=tuple(Reading(100 * gains[n], told["seconds"], told) for n, (_, told) in theirs.items()),
            note=f"Gains over the same base on {between.n} sealed tasks. The figure is ours minus theirs, its spread "
            f"the 95 % interval (paired bootstrap), one pair; target: the interval is above 0. {json.dumps(detail)}",
        )  # fmt: skip

    def _config(self) -> dict[str, Any]:
        rounds = int(self.ours["rounds"])
        sizes = {"train": SIZES["train"] // rounds, "gate": SIZES["gate"] // rounds, "sealed": SIZES["sealed"]}
        return {**COMMON, "sizes": sizes, **self.ours}

    def _start(self) -> tuple[dict[str, list[Task]], Policy]:
        """The four sets and the base, as ``instar run`` draws and finds them."""
        from instar.app.configs.config import plan
        from instar.app.sessions.task_sets import draw
        from instar.app.storage.paths import artefacts, home
        from instar.app.weights.models import obtain

        what = plan(self._config())
        base = obtain(what.run.model, home=home(), artefacts=artefacts(), system=what.run.system, say=print)
        return draw(what), base

    def evolve(self, say: Say) -> tuple[Path, float]:
        """The weights our run ends with, and its seconds of evolution.

        Raises RuntimeError if those were more than SECONDS: a larger run is no fair pair.
        """
        from instar.cli.run import to_toml

        runs = Path(tempfile.mkdtemp(prefix="instar-bench-runs-"))
        (runs / "gain.toml").write_text(to_toml(self._config()))
        command = [sys.executable, "-m", "instar.cli", "run", str(runs / "gain.toml"), "--name", "gain", "--json"]
        env = {**os.environ, "INSTAR_RUNS": str(runs), "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise RuntimeError(f"our run failed: {done.stderr[-2000:]}")
        found = json.loads(done.stdout)
        seconds = float(found["evolution_seconds"])
        say(f"  ours: {seconds:.0f} s of evolution in {runs}; its own exam: {json.dumps(found['sealed'])}")
        say(f"  seconds by phase: {json.dumps(found['seconds'])}")
        if seconds > SECONDS:
            raise RuntimeError(f"our evolution took {seconds:.0f} s, more than {SECONDS:.0f}: make it smaller")
        return _final(runs / "gain"), seconds

    def peer(self, rate: float, say: Say, **changed: Any) -> tuple[Path, dict[str, Any]]:
        """TRL's final weights at one learning rate, and what it said of its training."""
        drawn, base = self._start()
        rows = [
            {
                "prompt": [{"role": m.role.value, "content": m.content} for m in base.prompt(t)],
                "private": dict(t.private),
            }
            for t in drawn["train"]
        ]
        script, peer = ROOT / "bench" / "peers" / "trl_grpo.py", {**PEER, **changed}
        what = json.dumps([peer, rate, base.id, rows, script.read_text()])
        out = venvs.place() / "trl-grpo" / hashlib.sha256(what.encode()).hexdigest()[:16]
        told = out / "told.json"
        if not told.exists():
            _train_peer(script, out, rows, {**peer, "learning_rate": rate, "model": str(_weights(base))})
        found = json.loads(told.read_text())
        say(f"  TRL at {rate:g}: {len(found['ended'])} steps in {found['seconds']:.0f} s, rewards {found['rewards']}")
        return out / "model", found


def _train_peer(script: Path, out: Path, rows: list[dict[str, Any]], given: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tasks = out / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(r) + "\n" for r in rows))
    verifier = ["env", f"PYTHONPATH={ROOT / 'src'}:{ROOT}", sys.executable, str(ROOT / "bench" / "verifier.py")]
    given = {**given, "out": str(out / "model"), "tasks": str(tasks), "verifier": verifier}
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [str(venvs.ensure("trl")), str(script), json.dumps(given)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"TRL failed: {done.stderr[-3000:]}")
    told = {**json.loads(done.stdout.strip().splitlines()[-1]), "wall": time.monotonic() - began}
    (out / "told.json").write_text(json.dumps(told))


def _weights(policy: Policy) -> Path:
    from instar.app.storage.paths import artefacts

    return artefacts().open(policy.weights.digest)


def _final(run: Path) -> Path:
    from instar.store.ledger import Ledger

    ledger = Ledger.read(run / "ledger.db")
    final = json.loads(ledger.about()["result"])["final"]
    (policy,) = (p for p in ledger.records("policy") if p.id == final)
    ledger.close()
    return _weights(policy)  # type: ignore[arg-type]  # a record of this kind is one


REST_EM = {"recipe": "rest_em", "rounds": 3, "solve": {"samples": 10}}
"""Chosen on other sealed tasks than the row's (sealed_seed 111), to fill the time."""
GRPO = {
    "recipe": "grpo", "rounds": 1,
    "train": {"prompts": 32, "minibatches": 8, "learning_rate": 1e-5, "checkpoint_seconds": 1e6},
}  # fmt: skip
ROWS = [
    Gain("gain_300s_minus_trl_grpo", "gain after 300 s on sealed sums", 0.0, "instar rest_em", REST_EM),
    Gain("gain_300s_grpo_minus_trl_grpo", "the same, our GRPO", None, "instar grpo", GRPO),
]
