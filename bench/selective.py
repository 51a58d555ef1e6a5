"""What selecting tasks is worth, and what a written objective is worth, where a mastered step opens the next.

    python -m bench.selective scripted              every arm and seed of the scripted world (seconds each)
    python -m bench.selective real --seeds 21       SmolLM2-135M on sums in three steps (minutes each)
    python -m bench.selective real --table          the table of what is finished

Arms, all of ``full_loop``, all with as many tasks a round and as many samples a task:

- ladder     the objective is written by ``ladder``: a mastered step opens the next
- room       the objective is written by ``room_to_learn``
- uniform    the same tasks split equally (``uniform = true``)
- learn      tasks of any step, selected by learnability; no objective splits them
- lot        tasks of any step, drawn by lot

Compared are ladder and room with uniform, and learn with lot: pairs of the same seed, on the same sealed tasks, so
differences are paired by task, over the seeds by each task's mean. Every candidate is taken (``taken.py``): what is
compared is what was trained on. In the scripted world ``climbing.py`` trains, of which the steps are true by
construction: it shows that the parts work together, and nothing about models.

A run that is there is gone on with, so the script can be stopped at any time; each finished run is kept in
``INSTAR_RUNS/selective-WORLD.jsonl``. Prints Markdown; the rows stand whatever they say.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.named_run import finished, instar, shown
from bench.tools import processor
from instar.app.storage.paths import runs_folder
from instar.evaluate.intervals import paired_bootstrap

HERE = Path(__file__).parent
SEEDS = {"scripted": (1, 2, 3), "real": (21, 22, 23)}
_ON = "refusals = 99, patience = 99"  # no arm stops before its rounds are over: they would not have asked as much
_ROOM = f"{{op = 'room_to_learn', {_ON}}}"
ARMS: dict[str, tuple[str, ...]] = {
    "ladder": ("choose={op = 'ladder', refusals = 99, mastered = MASTERED, needs = NEEDS}",),
    "room": (f"choose={_ROOM}",),
    "uniform": (f"choose={_ROOM}", "uniform=true"),
    "learn": (f"choose={_ROOM}", "propose={op = 'by_learnability', over = 'all'}"),
    "lot": (f"choose={_ROOM}", "propose={op = 'by_lot', over = 'all'}"),
}
PAIRS = (("ladder", "uniform"), ("room", "uniform"), ("learn", "lot"))
COMMON = ("predict=none", f"gate={HERE / 'taken.py'}:Taken", "verifier_stress=off", "audit_with=none", "brake=off",
          "sealed_seed=4711")  # fmt: skip
_STEPS = (
    "'chain_sum/1_two_numbers' = {min_terms = 2, max_terms = 2, min_digits = 1, max_digits = 2}, "
    "'chain_sum/2_longer_numbers' = {min_terms = 2, max_terms = 2, min_digits = 2, max_digits = 3}, "
    "'chain_sum/3_three_numbers' = {min_terms = 3, max_terms = 3, min_digits = 1, max_digits = 2}"
)
WORLDS: dict[str, tuple[str, ...]] = {
    "scripted": (
        "model=scripted:add=0.3,subtract=0.02,multiply=0.02,mixed=0.02", "rounds=6", "per_round=40",
        "sizes={train = 160, dev = 60, gate = 4, sealed = 240}", "solve.samples=4", "dev_exam.samples=4",
        "dev_exam.solve.samples=4", "keep=['finished', {op = 'per_task_cap', at_most = 1}]",
        f"train={{op = '{HERE / 'climbing.py'}:Climbing', epochs = 1}}",
    ),
    "real": (
        "model=smollm2-135m", "rounds=3", "per_round=90", f"tasks.families={{{_STEPS}}}",
        "sizes={train = 180, dev = 60, gate = 9, sealed = 180}", "solve.samples=8", "dev_exam.samples=4",
        "dev_exam.solve.samples=4",
    ),
}  # fmt: skip
MASTERED = {"scripted": "0.6", "real": "0.4"}
"""What counts as mastered: of the real model's samples at temperature 0.7, less is right than when it is examined."""
_CHAIN = ("add", "subtract", "multiply", "mixed")
NEEDS = {
    "scripted": "{" + ", ".join(f"'steps/{b}' = ['steps/{a}']" for a, b in itertools.pairwise(_CHAIN)) + "}",
    "real": "{}",
}  # fmt: skip
"""What each step needs; "{}": the easier one of what was measured."""


def rows_of_steps(path: Path) -> None:
    """The scripted world's questions: 1,000 of each step, all different."""
    draw, found = random.Random(0), dict[str, dict[str, str]]()
    signs = {"add": "+", "subtract": "-", "multiply": "*"}
    for step in _CHAIN:
        want = len(found) + 1000
        while len(found) < want:
            a, b, c = (draw.randint(2, 999) for _ in range(3))
            text, value = f"{a} + {b} - {c}", a + b - c
            if step != "mixed":
                text = f"{a} {signs[step]} {b}"
                value = {"add": a + b, "subtract": a - b, "multiply": a * b}[step]
            found[text] = {"question": f"What is {text}?", "answer": str(value), "ability": f"steps/{step}"}
    rows = list(found.values())
    draw.shuffle(rows)
    path.write_text("\n".join(json.dumps(r) for r in rows) + "\n")


def made(world: str, arm: str, seed: int) -> dict[str, Any]:
    """What an arm's run ended with, begun or gone on with; read from the file of readings where it stands there."""
    kept = readings(world)
    if (arm, seed) in kept:
        return kept[arm, seed]
    name = f"selective-{world}-{arm}-{seed}"
    given = [*COMMON, *WORLDS[world], *ARMS[arm], f"seed={seed}"]
    if world == "scripted":
        steps = runs_folder() / "steps.jsonl"
        if not shown(name):
            steps.parent.mkdir(parents=True, exist_ok=True)
            rows_of_steps(steps)
        given.append(f"tasks={{op = 'jsonl', path = '{steps}'}}")
    sets = [s.replace("MASTERED", MASTERED[world]).replace("NEEDS", NEEDS[world]) for s in given]
    said = finished(name, "full_loop", sets)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.jsonl"
        instar("show", name, "--json", "--outcomes", str(out))
        outcomes = [r for r in map(json.loads, out.read_text().splitlines()) if r["suite"] == "sealed"]
    final = [r for r in outcomes if r["role"] == "final"] or [r for r in outcomes if r["role"] == "base"]
    row = {
        "arm": arm, "seed": seed, "scores": [r["score"] for r in final], "abilities": [r["ability"] for r in final],
        "base": said["sealed"]["base"], "tokens": said["asked"]["tokens"], "seconds": said["evolution_seconds"],
        "tasks": [
            {o["ability"]: o["tasks"] for o in r["objectives"] if o["tasks"] and o["ability"] != "*"}
            for r in said["rounds"]
        ],
    }  # fmt: skip
    with (runs_folder() / f"selective-{world}.jsonl").open("a") as f:
        f.write(json.dumps(row) + "\n")
    return row


def readings(world: str) -> dict[tuple[str, int], dict[str, Any]]:
    """What is finished, by arm and seed."""
    path = runs_folder() / f"selective-{world}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(r["arm"], r["seed"]): r for r in rows}


def table(world: str) -> list[str]:
    """Each arm over its seeds, and each pair's difference, paired by task: of its means over the seeds both have."""
    kept = readings(world)
    lines = ["| arm | seeds | n | sealed before | sealed after | tokens asked, a run | seconds, a run |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for arm in ARMS:
        own = [r for (a, _), r in kept.items() if a == arm]
        if own:
            scores = [s for r in own for s in r["scores"]]
            base = sum(r["base"] * len(r["scores"]) for r in own) / len(scores)
            lines.append(
                f"| {arm} | {len(own)} | {len(scores)} | {base:.1%} | {sum(scores) / len(scores):.1%} | "
                f"{sum(r['tokens'] for r in own) / len(own):,.0f} | {sum(r['seconds'] for r in own) / len(own):.0f} |"
            )
    lines += ["", "| difference | seeds | points (95 %) | by seed |", "|---|---|---|---|"]
    for ours, theirs in PAIRS:
        seeds = sorted(s for a, s in kept if a == ours and (theirs, s) in kept)
        if seeds:
            a, b = (_scores(kept, arm, seeds) for arm in (ours, theirs))
            gap = paired_bootstrap(b, a)
            each = [paired_bootstrap(_scores(kept, theirs, [s]), _scores(kept, ours, [s])).value for s in seeds]
            lines.append(
                f"| {ours} - {theirs} | {len(seeds)} | {100 * gap.value:+.1f} ({100 * gap.low:+.1f} to "
                f"{100 * gap.high:+.1f}) | {', '.join(f'{100 * e:+.1f}' for e in each)} |"
            )
    return lines


def _scores(kept: dict[tuple[str, int], dict[str, Any]], arm: str, seeds: Sequence[int]) -> list[float]:
    """By sealed task, which all seeds have alike: its mean score over the seeds."""
    return [sum(own) / len(own) for own in zip(*(kept[arm, seed]["scores"] for seed in seeds), strict=True)]


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.selective", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("world", choices=list(WORLDS))
    parser.add_argument("--only", default=",".join(ARMS))
    parser.add_argument("--seeds", default="")
    parser.add_argument("--table", action="store_true")
    o = parser.parse_args(argv)
    arms = o.only.split(",")
    if unknown := [a for a in arms if a not in ARMS]:
        parser.error(f"there is no arm {', '.join(unknown)}; there are: {', '.join(ARMS)}")
    seeds = [int(s) for s in o.seeds.split(",")] if o.seeds else SEEDS[o.world]
    if not o.table:
        for seed in seeds:
            for arm in arms:
                made(o.world, arm, seed)
    print(processor())
    print(*table(o.world), sep="\n")


if __name__ == "__main__":
    main()
