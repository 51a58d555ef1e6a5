"""Do two trees train on the same tokens? One small run a recipe on the real model by each, and each update's rows.

    git worktree add /tmp/old 71ac535
    python -m bench.same_rows --old /tmp/old [--only full_loop,constitutional] [--out DIR]

The engine, the seed and the settings are the same, so the answers are; what is compared is what ``rows_of`` gives the
trainer: the token ids of each row, how many of them are prompt, and what was refused. A side that is there already is
not run again. Prints a line a recipe; the exit code is 1 where rows differ, or where nothing was trained on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SUMS = "tasks={op='reasoning_gym', families={chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=1}}}"
COMMON = (
    "model=smollm2-135m", "engine=native", "audit_with=none", "rounds=1", "train.epochs=1", "sizes.gate=4",
    "sizes.sealed=4", "exam.solve.sampling.max_tokens=16", SUMS,
)  # fmt: skip
ANY = 'right={op="score_at_least", minimum=0.0}'
"""Whatever was answered is trained on: the rows are what is looked at, not what they teach."""
RECIPES: dict[str, tuple[str, ...]] = {
    "full_loop": (  # with ANY its prediction would say that a round cannot help
        "sizes.train=16", "sizes.dev=4", "per_round=8", "solve.samples=4", "dev_exam.solve.samples=4",
        "dev_exam.samples=4",
    ),
    "constitutional": ("sizes.train=6", "correct.revisions=2", 'judge={op="verify"}', ANY),
}  # fmt: skip
HOOK = """
import json, sys
out, sys.argv = sys.argv[1], ["instar", *sys.argv[2:]]
import instar.update.weights.layout.rows as rows, instar.update.weights.sft as sft,
instar.update.weights.trainer.group_batches as lessons was = rows.rows_of
def rows_of(*a, **k):
    found = was(*a, **k)
    with open(out, "a") as f:
        said = {"rows": [[list(r.ids), r.prompt] for r in found.kept], "refused": found.refused}
        f.write(json.dumps(said, default=str) + "\\n")
    return found
sft.rows_of = lessons.rows_of = rows_of
from instar.cli.__main__ import main
sys.exit(main())
"""
"""Run in either tree: it knows of ``rows_of`` alone, which both have."""


def rows_by(tree: Path, recipe: str, out: Path) -> list[dict[str, Any]]:
    """What ``rows_of`` gave in a run of this recipe by this tree, call by call."""
    done, part = out / f"{recipe}.jsonl", out / f"{recipe}.part"
    if not done.exists():
        out.mkdir(parents=True, exist_ok=True)
        part.write_text("")
        with tempfile.TemporaryDirectory(dir=out) as runs:
            sets = [word for s in (*COMMON, *RECIPES[recipe]) for word in ("--set", s)]
            env = {**os.environ, "PYTHONPATH": str(tree / "src"), "INSTAR_RUNS": runs}
            command = [sys.executable, "-c", HOOK, str(part), "run", recipe, "--name", recipe, "--quiet", *sets]
            ran = subprocess.run(command, env=env, capture_output=True, text=True, cwd=out, check=False)
        if ran.returncode:
            raise RuntimeError(f"{recipe} by {tree} failed: {(ran.stderr or ran.stdout)[-2000:]}")
        os.replace(part, done)
    return [json.loads(line) for line in done.read_text().splitlines()]


def compared(recipe: str, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> bool:
    """Say what was found; whether both trained on the same rows, and on any."""
    sizes = [len(call["rows"]) for call in new]
    tokens = sum(len(ids) for call in new for ids, _ in call["rows"])
    same = list(old) == list(new)
    print(f"{recipe}: {'identical' if same else 'DIFFER'}; rows {sizes}, {tokens} tokens", flush=True)
    return same and sum(sizes) > 0


def main() -> int:
    """Run what is asked for and compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.same_rows", description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the older commit")
    parser.add_argument("--new", type=Path, default=ROOT)
    parser.add_argument("--only", default=",".join(RECIPES))
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "same_rows")
    given = parser.parse_args()
    same = True
    for recipe in given.only.split(","):
        old, new = (rows_by(getattr(given, side).resolve(), recipe, given.out / side) for side in ("old", "new"))
        same = compared(recipe, old, new) and same
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
