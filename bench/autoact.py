"""AutoAct on the small model: two-hop questions over relations that it never learned on, before and after, and what
each part of it is worth.

    python -m bench.autoact [full one no_reflect ...] [--questions 60] [--samples 6] [--sealed 200] [--table]

Each way is a run of its own (``autoact-NAME`` in INSTAR_RUNS) on the small model, with the episodes that the recipe
brings as shots; its exam is the gate's (base and candidate, greedily, on the same fresh questions over held-out
relations), and for ``full`` the sealed one. ``react`` is one voice that says thought and action at once, with
``rest_em`` on its whole right episodes. It may be killed at any time and started again: runs that are finished are only
read. ``--table`` runs nothing and prints what there is, in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any, cast

from bench.tools import processor, toml
from instar.app.configs.villagers import villagers
from instar.app.storage.paths import runs_folder
from instar.evaluate.intervals import paired_bootstrap
from instar.records import Policy, Report, Solution, Task
from instar.store.ledger import Ledger

WAYS: dict[str, tuple[str, ...]] = {
    "full": (),
    "one": ("split=one",),
    "no_reflect": ("solve.reflect=false", "exam.solve.reflect=false"),
    "no_filter": ('right={op = "score_at_least", minimum = 0.0}',),
    "shuffled": ("split=shuffled",),
    "lot": ("lot=true",),
    "one_hop": ('tasks={op = "village", train_hops = 1}',),
    "react": (),
}
"""What differs from ``full``."""


def spoken(shots: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The shots of the group as one voice says them: thought and call in one reply, no reflection, and what was taken
    back left out."""
    out = []
    for shot in shots:
        said = [m["content"] for m in shot["messages"]]
        made, plan = [{"role": "user", "content": said[0]}], ""
        for i, text in enumerate(said[1:], 1):
            if " Tool: " in text:
                plan = text.partition(" Tool: ")[0]
            elif text.endswith("]"):
                withdrawn = len(said) > i + 3 and said[i + 3] == "Go on."
                plan, call = "", f"{plan} {text}"
                if not withdrawn:
                    made.append({"role": "assistant", "content": call})
            elif text.startswith("The "):
                made.append({"role": "user", "content": text})
        out.append({"messages": made})
    return out


def sets(way: str, o: argparse.Namespace) -> list[str]:
    """The settings of a run, as ``--set`` takes them."""
    village = '{op = "village"}'
    common = [
        "model=smollm2-135m", "audit_with=none", "rounds=1",
        f"train.learning_rate={o.learning_rate}", f"train.epochs={o.epochs}", f"train.batch_size={o.batch}",
        f"sizes.train={o.questions if way == 'react' else 8}", f"sizes.gate={o.gate}",
        f"sizes.sealed={o.sealed if way == 'full' else 8}",
    ]  # fmt: skip
    if way != "react":
        return [*common, f"questions={o.questions}", f"solve.samples={o.samples}", *WAYS[way]]
    warm, cool = "{temperature = 0.7, top_k = 40, max_tokens = 40}", "{temperature = 0.0, max_tokens = 40}"
    play = '{{op = "play", environment = {}, samples = {}, turns = 8, sampling = {}}}'
    judge = f'{{op = "outcome", environment = {village}}}'
    return [
        *common, f"tasks={village}", f"shots={toml(spoken(villagers(signatures=False)))}", "train.max_length=2048",
        f"solve={play.format(village, o.samples, warm)}", f"judge={judge}",
        f"exam.solve={play.format(village, 1, cool)}", f"exam.judge={judge}",
    ]  # fmt: skip


def begun(name: str) -> str | None:
    """The status of a run: None where there is none, "finished", or "begun"."""
    ledger = runs_folder() / name / "ledger.db"
    if not ledger.exists():
        return None
    with closing(Ledger.read(ledger)) as found:
        return "finished" if "result" in found.about() else "begun"


def run(way: str, o: argparse.Namespace) -> None:
    """Begin the run, or go on with it; nothing where it is finished. One that has nothing to learn from ends so."""
    name = f"autoact-{way}"
    status = begun(name)
    if status == "finished":
        return
    command = [sys.executable, "-m", "instar.cli"]
    if status == "begun":
        command += ["resume", name, "--quiet"]
    else:
        options = [x for s in sets(way, o) for x in ("--set", s)]
        command += ["run", "rest_em" if way == "react" else "autoact", "--name", name, "--quiet", *options]
    done = subprocess.run(command, check=False)
    if done.returncode not in (0, 12):
        raise SystemExit(done.returncode)


def rows(way: str) -> list[str]:
    """The lines of a run's table: each exam before and after, and what was learned from."""
    folder = runs_folder() / f"autoact-{way}"
    if not (folder / "ledger.db").exists():
        return []
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        reports = cast(list[Report], list(ledger.records("report")))
        base = cast(list[Policy], list(ledger.records("policy")))
        first = next(p.id for p in base if not p.adapters and p.parent is None)
        examined = {o.task for r in reports for o in r.outcomes}
        tried = [s for s in cast(list[Solution], list(ledger.records("solution"))) if s.task not in examined]
        about = ledger.about()
    tokens = sum(s.tokens + s.prompt_tokens for s in tried)
    seconds = json.loads(about.get("result", "{}")).get("evolution_seconds")
    out = []
    for suite in dict.fromkeys(r.exam.suite for r in reports):
        own = [r for r in reports if r.exam.suite == suite]
        before = [o.score for r in own if r.policy == first for o in r.outcomes]
        after = [o.score for r in own if r.policy != first for o in r.outcomes]
        if len(before) < 20:
            continue
        gain = paired_bootstrap(before, after) if len(after) == len(before) else None
        change = (
            f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})" if gain else "no candidate"
        )
        came = f"{sum(after) / len(after):.1%}" if after else ""
        out.append(
            f"| {way} | {suite} | {len(before)} | {sum(before) / len(before):.1%} | {came} | {change} | {len(tried)} "
            f"| {tokens:,} | {'' if seconds is None else round(seconds)} |"
        )
    return out or [f"| {way} | | | | | not examined | {len(tried)} | {tokens:,} | |"]


def after(way: str) -> dict[str, float]:
    """What each question of the gate scored by the last that was examined there; by its content, for ways differ in
    the ids of their tasks."""
    folder = runs_folder() / f"autoact-{way}"
    if not (folder / "ledger.db").exists():
        return {}
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        reports = [r for r in cast(list[Report], list(ledger.records("report"))) if r.exam.suite.startswith("gate")]
        policies = {p.id: p for p in cast(list[Policy], list(ledger.records("policy")))}
        tasks = {t.id: t.canonical for t in cast(list[Task], list(ledger.records("task")))}
    own = [r for r in reports if policies[r.policy].parent is not None] or reports
    return {tasks[o.task]: o.score for r in own[-1:] for o in r.outcomes}


def less(ways: Sequence[str]) -> list[str]:
    """Lines: how far ``full`` is above each other way on the very questions that both were examined on."""
    best, out = after("full"), []
    for way in ways:
        other = after(way)
        both = [task for task in best if task in other]
        if way != "full" and len(both) >= 20:
            gap = paired_bootstrap([other[t] for t in both], [best[t] for t in both])
            change = f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
            out.append(f"- full less {way}, gate, n {len(both)}: {change}")
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.autoact", description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("ways", nargs="*", default=list(WAYS))
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--gate", type=int, default=40)
    parser.add_argument("--sealed", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--table", action="store_true")
    o = parser.parse_args(argv)
    if not o.table:
        for way in o.ways:
            run(way, o)
    head = ["| way | exam | n | before | after | change, 95 % | episodes | tokens | seconds |", "|" + "---|" * 9]
    print(processor(), "", *head, *(line for way in o.ways for line in rows(way)), "", *less(o.ways), sep="\n")


if __name__ == "__main__":
    main()
