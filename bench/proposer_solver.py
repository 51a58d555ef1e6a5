"""Zero data against given tasks and against tasks by lot: `proposer_solver`, `rest_em`, and random valid expressions.

    python -m bench.proposer_solver FOLDER            # goes on where it was, after any kill; one run after the other
    python -m bench.proposer_solver FOLDER --table    # the table, of what is there
    python -m bench.proposer_solver FOLDER --small    # two rounds, fewer tasks: for a busy machine

All arms have the same exams (gate and sealed sets drawn with the same seeds), rounds, samples and training. `given`
asks the training tasks of the two families; `proposed` and `random` never see one: their tasks are bare expressions of
whole numbers under a wording that neither family has. What the families ask stands in no seed of the proposer, and its
grammar refuses it: sums of decimal fractions, and sequences to go on with. Every candidate is taken (``taken.py``):
what is compared is what was trained on. Tokens are counted over all that is sampled, proposals included, without exams.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from instar.evaluate.compare import compare
from instar.evaluate.intervals import paired_bootstrap
from instar.records import Report
from instar.report.summary import summary
from instar.store.ledger import Ledger

FAMILIES = (
    "{decimal_chain_sum={min_terms=2,max_terms=2,min_digits=1,max_digits=1,min_decimal_places=1,max_decimal_places=1},"
    "number_sequence={min_value=0,max_value=20,max_complexity=1}}"
)
ASKS = "What do you get for {}?"


def arms(small: bool) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Arm to recipe and settings."""
    rounds, a_round, gate, sealed = (2, 96, 20, 200) if small else (3, 120, 20, 300)
    common = (
        "model=smollm2-135m", f"tasks.families={FAMILIES}", f"rounds={rounds}", f"sizes.gate={gate}",
        f"sizes.sealed={sealed}", "solve.samples=8", "solve.sampling.max_tokens=24",
        "exam.solve.sampling.max_tokens=24", "train.epochs=2", "keep_going=true", "brake=off",
        f"gate={Path(__file__).with_name('taken.py')}:Taken", "verifier_stress=off",
    )  # fmt: skip
    own = (*common, f"made_a_round={a_round}", "sizes.train=1")
    return {
        "proposed": ("proposer_solver", (*own, f'create.asks="{ASKS}"')),
        "given": ("rest_em", (*common, f"sizes.train={a_round}")),
        "random": ("proposer_solver", (*own, f'create={{op="random_expressions", asks="{ASKS}"}}')),
    }


def work(folder: Path, small: bool) -> None:
    """Each arm's run, begun or gone on with; what is finished is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "INSTAR_RUNS": str(folder)}
    for arm, (recipe, sets) in arms(small).items():
        options = [o for s in sets for o in ("--set", s)]
        begun = (folder / arm / "ledger.db").exists()
        command = ["resume", arm] if begun else ["run", recipe, "--name", arm, *options]
        subprocess.run([sys.executable, "-m", "instar.cli", *command, "--quiet"], env=env, check=True)


def table(folder: Path) -> str:
    """A row for each arm that is finished, then what each round's tasks were like."""
    lines = [
        "| arm | sampled tokens | before | after | gain (95 % interval), n | by family |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    made, reports = [], {}
    for arm in arms(False):
        if not (folder / arm / "ledger.db").exists():
            continue
        found = summary(folder / arm)
        made += [_made(arm, r["round"], q) for r in found["rounds"] for q in r.get("quality", ())]
        sealed = found["sealed"]
        if not sealed:
            continue
        before, after = _sealed(folder / arm, found)
        reports[arm] = after
        families = "; ".join(
            f"{a} {100 * c.gain:+.1f} ({100 * c.low:+.1f} to {100 * c.high:+.1f})"
            for a, c in compare(before, after).abilities.items()
        )
        gain = f"{100 * sealed['gain']:+.1f} ({100 * sealed['low']:+.1f} to {100 * sealed['high']:+.1f}), {sealed['n']}"
        tokens = found["tokens"].get("generate", 0)
        scores = f"{100 * sealed['base']:.1f} % | {100 * sealed['final']:.1f} %"
        lines.append(f"| {arm} | {tokens:,} | {scores} | {gain} | {families} |")
    for other in ("random", "given"):
        if "proposed" in reports and other in reports:
            # the same items in the same order: ids differ, they hang on the size of the training set
            one, two = reports[other].outcomes, reports["proposed"].outcomes
            i = paired_bootstrap([o.score for o in one], [o.score for o in two])
            lines += ["", f"proposed less {other}: {100 * i.value:+.1f} ({100 * i.low:+.1f} to {100 * i.high:+.1f})"]
    return "\n".join([*lines, "", *made])


def _made(arm: str, round: int, q: dict[str, Any]) -> str:
    shares = ("validity", "novelty", "leaks", "diversity", "difficulty", "answerable")
    said = ", ".join(f"{k} {q[k]:.1%}" for k in shares if q[k] is not None)
    keys = f", keys right {q['keys_right']:.0f} of {q['keys_checked']:.0f}" if q["keys_checked"] else ""
    return f"- {arm}, round {round}: kept {q['kept']:.0f} of {q['proposals']:.0f}; {said}{keys}"


def _sealed(folder: Path, found: dict[str, Any]) -> tuple[Report, Report]:
    """The reports on the sealed set, of the base and of the result."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        own = {r.policy: r for r in ledger.records("report") if isinstance(r, Report) and r.exam.suite == "sealed"}
    finally:
        ledger.close()
    return own[found["base"]], own[found["final"]]


def main() -> None:
    """Run what is not finished and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.proposer_solver", description=(__doc__ or "").split("\n\n", 1)[0]
    )
    parser.add_argument("folder", type=Path, help="where the runs lie; gone on with where they are")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is finished")
    parser.add_argument("--small", action="store_true", help="two rounds, fewer tasks")
    given = parser.parse_args()
    if not given.table:
        work(given.folder, given.small)
        (given.folder / "readings.json").write_text(json.dumps({"table": table(given.folder)}, indent=1))
    print(table(given.folder))


if __name__ == "__main__":
    main()
