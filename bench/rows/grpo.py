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
from typing import Any

from bench.pairs import Outcome, Reading, Say
from bench.peers import venvs

SECONDS = 300.0
RATES = (1e-5, 3e-5, 1e-4)
ROOT = Path(__file__).parents[2]
FAMILY = {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}}
COMMON = {
    "model": "smollm2-135m", "engine": "openvino", "seed": 1, "sizes.sealed": 330, "sealed_seed": 20261122,
    "tasks": {"op": "reasoning_gym", "families": FAMILY}, "control": False, "verifier_stress": "off",
}  # fmt: skip
PEER = {"bf16": True, "batch": 64, "seed": 1, "seconds": SECONDS}


@dataclass(frozen=True)
class Gain:
    """A row of gains. ``ours`` is the config of the run of ours, over COMMON."""

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
        from instar.app.home import artefacts
        from instar.evaluate.compare import compare
        from instar.records import Policy
        from instar.store.ledger import Ledger

        folder, seconds = self._evolve(say)
        ledger = Ledger.read(folder / "ledger.db")
        result = json.loads(ledger.about()["result"])
        sets, store = ledger.sets(), artefacts()
        train, sealed = (ledger.records(ids=sets[n]) for n in ("train", "sealed"))
        policies = {p.id: p for p in ledger.records("policy") if isinstance(p, Policy)}
        base, final = (policies[result[k]] for k in ("base", "final"))
        folders = {"base": store.open(base.weights.digest), "ours": store.open(final.weights.digest)}
        told: dict[str, Any] = {}
        for rate in RATES:
            folders[f"trl {rate:g}"], told[f"trl {rate:g}"] = _trl(folders["base"], base, train, rate, say)
        reports = examine(folders, sealed, base.system)  # type: ignore[arg-type]  # they are tasks
        gains = {n: compare(reports["base"], r).gain or 0.0 for n, r in reports.items()}
        best = max((n for n in gains if n.startswith("trl")), key=lambda n: gains[n])
        between = compare(reports[best], reports["ours"])
        assert between.gain is not None
        assert between.low is not None
        assert between.high is not None
        for name, gain in gains.items():
            say(f"  {name}: gain {100 * gain:+.1f} points")
        detail = {"gains": gains, "best_constant": between.best_constant, "n": between.n, "base": between.before}
        return Outcome(
            key=self.key, title=self.title, ratio=100 * between.gain, low=100 * between.low, high=100 * between.high,
            target=self.target, at_least=True, unit="points", ours=self.name,
            theirs=f"TRL 1.16 GRPOTrainer, {best[4:]}",
            ours_median=100 * gains["ours"], theirs_median=100 * gains[best],
            ours_readings=(Reading(100 * gains["ours"], seconds, {"config": dict(self.ours)}),),
            theirs_readings=tuple(Reading(100 * gains[n], told[n]["seconds"], told[n]) for n in told),
            note=f"Gains in points over the same base on {between.n} sealed tasks; the figure is ours minus theirs, "
            f"its spread the 95 % interval (paired bootstrap), one pair. {json.dumps(detail)}",
        )  # fmt: skip

    def _evolve(self, say: Say) -> tuple[Path, float]:
        """Our run. Raises RuntimeError if its evolution took longer than the time: a larger one is no fair pair."""
        runs = Path(tempfile.mkdtemp(prefix="instar-bench-runs-"))
        config = runs / "gain.toml"
        options = [f"{k}={json.dumps(v)}" for k, v in {**COMMON, **self.ours}.items() if k not in ("recipe", "tasks")]
        family = ", ".join(f"{k} = {v}" for k, v in FAMILY["chain_sum"].items())
        families = f"families = {{ chain_sum = {{ {family} }} }}"
        config.write_text(f'recipe = "{self.ours["recipe"]}"\n[tasks]\nop = "reasoning_gym"\n{families}\n')
        if "control" not in _fields(str(self.ours["recipe"])):
            options = [o for o in options if not o.startswith("control=")]
        command = [sys.executable, "-m", "instar.cli", "run", str(config), "--name", "gain", "--json", "--quiet"]
        env = {**os.environ, "INSTAR_RUNS": str(runs), "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(
            [*command, *(x for o in options for x in ("--set", o))],
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"our run failed: {done.stderr[-2000:]}")
        seconds = float(json.loads(done.stdout)["evolution_seconds"])
        say(f"  ours: {seconds:.0f} s of evolution")
        if seconds > SECONDS:
            raise RuntimeError(f"our evolution took {seconds:.0f} s, more than {SECONDS:.0f}: make it smaller")
        return runs / "gain", seconds


def _fields(recipe: str) -> set[str]:
    from instar.recipes import RECIPES

    return set(RECIPES[recipe].config.model_fields)


def _trl(model: Path, base: Any, train: Any, rate: float, say: Say) -> tuple[Path, dict[str, Any]]:
    """TRL's final weights at one learning rate, and what it said of its training."""
    rows = [
        {"prompt": [{"role": m.role.value, "content": m.content} for m in base.prompt(t)], "private": dict(t.private)}
        for t in train
    ]
    script = ROOT / "bench" / "peers" / "trl_grpo.py"
    what = json.dumps([PEER, rate, str(model), rows, script.read_text()])
    out = venvs.place() / "trl-grpo" / hashlib.sha256(what.encode()).hexdigest()[:16]
    marker = out / "told.json"
    if not marker.exists():
        out.mkdir(parents=True, exist_ok=True)
        tasks = out / "tasks.jsonl"
        tasks.write_text("".join(json.dumps(r) + "\n" for r in rows))
        verifier = ["env", f"PYTHONPATH={ROOT / 'src'}:{ROOT}", sys.executable, str(ROOT / "bench" / "verifier.py")]
        given = {
            **PEER, "learning_rate": rate, "model": str(model), "out": str(out / "model"), "tasks": str(tasks),
            "verifier": verifier,
        }  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(
            [str(venvs.python("trl")), str(script), json.dumps(given)], capture_output=True, text=True, check=False,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"TRL failed: {done.stderr[-3000:]}")
        told = {**json.loads(done.stdout.strip().splitlines()[-1]), "wall": time.monotonic() - began}
        marker.write_text(json.dumps(told))
    told = json.loads(marker.read_text())
    say(f"  TRL at {rate:g}: {len(told['ended'])} steps in {told['seconds']:.0f} s, rewards {told['rewards']}")
    return out / "model", told


REST_EM = {"recipe": "rest_em", "rounds": 2, "sizes.train": 360, "sizes.gate": 150, "control": False}
GRPO = {
    "recipe": "grpo", "rounds": 1, "sizes.train": 640, "sizes.gate": 150, "train.prompts": 64, "train.minibatches": 2,
    "train.learning_rate": 2e-5, "train.checkpoint_seconds": 1e6,
}  # fmt: skip
ROWS = [
    Gain("gain_300s_minus_trl_grpo", "gain after 300 s on sealed sums", 0.0, "instar rest_em", REST_EM),
    Gain("gain_300s_grpo_minus_trl_grpo", "the same, our GRPO", None, "instar grpo", GRPO),
]
