"""Is this tree slower than an older one? Our side of each row of docs/bench by both, in turns (A B B A ...), small.

    git worktree add /tmp/old 71ac535
    python -m bench.old_new --old /tmp/old [--only KEY,KEY] [--pairs 5] [--out FILE]

The figure is CPU seconds (user and system, of the process and its children), with one thread: on a machine that others
use, wall time says what they did. Memory rows are megabytes. Every reading is kept in FILE as it is made, and what is
there is not measured again. Prints a Markdown table: the ratio new / old (geometric mean of the pairs) with its 95 %
interval (Student's t over the logarithms). The exit code is 1 where an interval lies wholly above 1.03.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine, model
from bench.train_work import training
from bench.work import generation
from bench.worker import Worker, ticks_of

ROOT = Path(__file__).parents[1]
SIDES = ("old", "new")
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t at 95 %, by degrees of freedom."""
SLOWER = 1.03
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Work:
    """One piece of work that either tree can do."""

    title: str
    script: str = ""
    """A script of ``bench``, in a process that stays; "" for a run of the command line."""
    given: Mapping[str, Any] | None = None
    work: Callable[[int], Mapping[str, Any]] | None = None
    run: tuple[str, ...] = ()
    memory: bool = False


SUMS = "tasks={op='reasoning_gym', families={chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=2}}}"
REAL = ("model=smollm2-135m", "engine=native", "seed=1", "verifier_stress=off", SUMS, "sizes.gate=8", "sizes.sealed=8")
SCRIPTED = (
    "model=scripted", "engine_options.latency=0", "rounds=2", "sizes.train=60", "sizes.gate=40", "sizes.sealed=40",
    "train.epochs=1", "control=false",
)  # fmt: skip
BF16, F32 = {"precision": "bf16"}, {"precision": "f32"}
WORKS: dict[str, Work] = {
    "generate_128": Work("12 prompts x 48 tokens, bf16", "ours.py", BF16, generation(12, 1)),
    "generate_32x8": Work("2 prompts x 8 samples x 48 tokens, bf16", "ours.py", BF16, generation(2, 8)),
    "generate_32x8_equal_precision": Work("2 prompts x 8 samples x 48, f32", "ours.py", F32, generation(2, 8)),
    "train_3_answers": Work("2 steps of 3 prompts x 3 answers", "train_ours.py", {}, training(3, 3, 2)),
    "train_1_answer": Work("2 steps of 4 prompts x 1 answer", "train_ours.py", {}, training(4, 1, 2)),
    "train_3_answers_unlike": Work(
        "the same with unlike prompts", "train_ours.py", {}, training(3, 3, 2, alike=False)
    ),
    "train_1_answer_unlike": Work("the same with unlike prompts", "train_ours.py", {}, training(4, 1, 2, alike=False)),
    "train_memory": Work("peak MB, 3 x 3 answers", "train_ours.py", {"memory": True}, training(3, 3, 2), memory=True),
    "train_memory_recomputed": Work(
        "peak MB, 3 x 3 answers, activations recomputed", "train_ours.py", {"memory": True, "recompute": True},
        training(3, 3, 2), memory=True,
    ),
    "gain_300s": Work(
        "rest_em, one round of 8 tasks x 4, on native",
        run=("rest_em", *REAL, "rounds=1", "sizes.train=8", "solve.samples=4", "train.epochs=1"),
    ),
    "gain_300s_grpo": Work(
        # one rollout: the policies inside an update have other ids now, so a second one would have other answers
        "grpo, one rollout of 8 prompts, two steps, on native",
        run=("grpo", *REAL, "rounds=1", "sizes.train=8", "train.prompts=8", "train.minibatches=2"),
    ),
    "scripted": Work("rest_em on the scripted model, 2 rounds of 60 tasks x 8: the ledger's part",
                     run=("rest_em", *SCRIPTED)),
}  # fmt: skip
"""By the row of docs/bench whose side of ours it is; sizes are for half a minute at most. Rows that share our side
(three peers beside one generation) are one here. ``scripted`` is none of them: it is nearly all ledger."""


class Tree:
    """One side of rows that one process does: a checkout at work."""

    def __init__(self, tree: Path, like: Work) -> None:
        self._tree, self._like = tree, like
        self._worker: Worker | None = None
        if like.script:
            given = {**(like.given or {}), "folder": str(model.folder())}
            self._worker = Worker(str(tree), like.script, lambda: given, fresh=like.memory, tree=tree)

    def open(self) -> None:
        """Start what stays, and let it do something once: loading is no part of a reading."""
        if self._worker is not None and not self._like.memory:
            self._worker.open()
            self.measure(self._like, -1)
        if self._worker is None:  # where no bytecode is written, a reading would count the lines of a tree
            subprocess.run([sys.executable, "-m", "compileall", "-q", str(self._tree / "src")], env=_env(), check=True)

    def measure(self, what: Work, pair: int) -> dict[str, float]:
        """The figure of one reading, and its seconds of wall."""
        if self._worker is None:
            return self._ran(what)
        assert what.work is not None
        pid = self._worker.pid
        before, began = ticks_of(pid), time.perf_counter()
        reading = self._worker.run(what.work(pair))
        wall = time.perf_counter() - began
        if what.memory:
            return {"figure": reading.value, "wall": wall}
        return {"figure": (ticks_of(pid) - before) / os.sysconf("SC_CLK_TCK"), "wall": wall}

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def _ran(self, what: Work) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as runs:
            sets = [word for s in what.run[1:] for word in ("--set", s)]
            command = [sys.executable, "-m", "instar.cli", "run", what.run[0], "--name", "x", "--quiet", *sets]
            env = _env(PYTHONPATH=str(self._tree / "src"), INSTAR_RUNS=runs)
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(command, env=env, cwd=runs, capture_output=True, text=True, check=False)
            after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{self._tree}: {(done.stderr or done.stdout)[-1500:]}")
        return {"figure": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "wall": wall}


def _env(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | ONE_THREAD | more


def measure(keys: Sequence[str], trees: Mapping[str, Path], pairs: int, path: Path) -> None:
    """The pairs of rows that one process does which are not in the file yet, each put there when both its sides are
    done."""
    known = kept(path)
    todo = [(pair, key) for pair in range(pairs) for key in keys if pair >= len(known.get(key, []))]
    if not todo:
        return
    sides = {name: Tree(tree, WORKS[keys[0]]) for name, tree in trees.items()}
    try:
        for side in sides.values():
            side.open()
        for pair, key in todo:
            order = SIDES if pair % 2 == 0 else SIDES[::-1]
            found = {name: sides[name].measure(WORKS[key], pair) for name in order}
            known.setdefault(key, []).append(found)
            path.with_suffix(".part").write_text(json.dumps(known, indent=1))
            os.replace(path.with_suffix(".part"), path)
            said = "; ".join(f"{name} {found[name]['figure']:.2f}" for name in SIDES)
            print(f"{key} {pair + 1}/{pairs}: {said}", flush=True)
    finally:
        for side in sides.values():
            side.close()


def kept(path: Path) -> dict[str, list[dict[str, dict[str, float]]]]:
    """What was measured so far: by row, its pairs."""
    found: dict[str, list[dict[str, dict[str, float]]]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The geometric mean with its 95 % interval; of one pair, itself and nothing known about it."""
    logs = [math.log(r) for r in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), 0.0, math.inf
    most = max(T95)
    off = T95.get(len(logs) - 1, T95[most]) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - off), math.exp(mean + off)


def table(known: Mapping[str, list[dict[str, dict[str, float]]]]) -> tuple[str, list[str]]:
    """The rows in Markdown, and the keys of those that are surely slower."""
    lines = [
        "| row | work | old | new | new / old (95 %) | pairs | wall, old and new |",
        "|---|---|---|---|---|---|---|",
    ]
    slower = []
    for key, pairs in known.items():
        ratio, low, high = interval([p["new"]["figure"] / p["old"]["figure"] for p in pairs])
        (old, new), (was, now) = (
            [statistics.median(p[side][what] for p in pairs) for side in SIDES] for what in ("figure", "wall")
        )
        unit = "MB" if WORKS[key].memory else "s"
        slower += [key] if low > SLOWER else []
        lines.append(
            f"| `{key}` | {WORKS[key].title} | {old:.2f} {unit} | {new:.2f} {unit} | "
            f"**{ratio:.3f}** ({low:.3f} to {high:.3f}) | {len(pairs)} | {was:.1f} and {now:.1f} s |"
        )
    return "\n".join(lines), slower


def main() -> int:
    """Measure what is asked for and not there yet, then say all that is."""
    parser = argparse.ArgumentParser(prog="python -m bench.old_new", description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the older commit")
    parser.add_argument("--new", type=Path, default=ROOT)
    parser.add_argument("--only", default=",".join(WORKS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "old_new.json")
    given = parser.parse_args()
    os.environ.update(ONE_THREAD)
    trees = {side: getattr(given, side).resolve() for side in SIDES}
    failed = []
    alike: dict[str, list[str]] = {}
    for key in given.only.split(","):
        what = WORKS[key]
        alike.setdefault(f"{what.script} {what.given}" if what.script else key, []).append(key)
    for keys in alike.values():
        try:
            measure(keys, trees, given.pairs, given.out)
        except RuntimeError as e:  # the other rows can still be measured
            failed += keys
            print(f"{', '.join(keys)} could not be measured: {e}", file=sys.stderr, flush=True)
    text, slower = table(kept(given.out))
    here = machine.described()
    print(f"\n{here['cpu']}, {here['cores']} cores; CPU seconds, one thread.\n\n{text}")
    print(f"surely more than 3 % slower: {', '.join(slower) or 'none'}")
    return 1 if slower or failed else 0


if __name__ == "__main__":
    sys.exit(main())
