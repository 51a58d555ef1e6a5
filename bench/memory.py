"""What a small model gains from memory alone, without training a weight: rows of sealed exams beside their controls.

    python -m bench.memory [demonstrations ...] [--set KEY=VALUE ...]

Each recipe is a run of its own (``memory-NAME`` in INSTAR_RUNS). It may be killed at any time and started again: a run
that is finished is only read. Prints Markdown: each policy's sealed score, and what it is above the base, paired, with
95 % intervals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from bench.named_run import instar
from bench.tools import processor
from instar.acquire.solutions.recalling import HEAD
from instar.app.storage.paths import artefacts, runs_folder
from instar.app.weights.policies import roles
from instar.evaluate.compare import compare
from instar.fence import fenced, mark_for
from instar.memory import kept
from instar.records import Policy, Report, Solution, Task
from instar.store.ledger import Ledger

_SUMS = "min_terms = 2, max_terms = 2, min_digits = 1, max_digits = 2"
SUMS = f'tasks={{op = "reasoning_gym", families = {{chain_sum = {{{_SUMS}}}}}}}'


def _shots(*noted: tuple[str, str, str]) -> str:
    """Examples of how a note is read: note, question and answer of each."""
    shots = [
        {
            "question": f"{HEAD}\n{fenced('note', note, mark_for(note, asked))}\n\n{asked}",
            "answer": f"答案：{answer}",
        }
        for note, asked, answer in noted
    ]
    return "shots=" + json.dumps(shots, ensure_ascii=False).replace('": "', '" = "')


SETS = {
    "demonstrations": [
        "model=smollm2-135m", "engine=native", "audit_with=none", SUMS, "candidates=10", "finalists=3",
        "sizes={train = 60, dev = 120, gate = 150, sealed = 300}",
    ],
    # all else is what the recipe brings when it is started by its name
    "memory_bank": ["model=smollm2-135m", "engine=native", "audit_with=none", "sizes.gate=60"],
    # the same in Chinese: what is told, asked and shown, and an embedder that reads it
    "memory_bank_zh": [
        "model=smollm2-135m", "engine=native", "audit_with=none", "sizes.gate=60",
        'tasks={op = "diaries", language = "zh"}', "insert.embedder=e5",
        "system=回答关于我的问题。把答案写在“答案：”后面。",
        _shots(("Day 2: 我的马叫闪电。", "我的马叫什么名字？", "闪电"),
               ("Day 5: 我来自挪威。", "我来自哪个国家？", "挪威")),
    ],
}  # fmt: skip
"""The settings of each run, as ``--set`` takes them. A name is a recipe's, and a language's where it is not English."""


def run(recipe: str, more: Sequence[str]) -> Path:
    """Begin the run, or go on with it; nothing where it is finished."""
    folder = runs_folder() / f"memory-{recipe}"
    if (folder / "ledger.db").exists():
        with closing(Ledger.read(folder / "ledger.db")) as ledger:
            if "result" in ledger.about():
                return folder
        command = ["resume", folder.name, "--quiet"]
    else:
        options = [o for s in (*SETS[recipe], *more) for o in ("--set", s)]
        command = ["run", recipe.removesuffix("_zh"), "--name", folder.name, "--quiet", *options]
    instar(*command)
    return folder


def rows(folder: Path) -> list[str]:
    """Of base, result and controls: right on the sealed set, what it is above the base, what it was shown."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        who = roles(ledger.about())
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        sealed = {r.policy: r for r in (cast(Report, r) for r in ledger.records("report"))
                  if r.exam.suite == "sealed"}  # fmt: skip
        told = {id: _recalled(ledger, policies[id], sealed[id]) for id in who.values()
                if id in sealed and policies[id].memory}  # fmt: skip
    base = sealed[who["base"]]
    made = []
    for role, id in who.items():
        if id not in sealed:
            continue
        score = sealed[id].metrics["mean@1"]
        line = f"| {role} | {score.value:.1%} ({score.low:.1%} to {score.high:.1%}) |"
        if id == base.policy:
            made.append(f"{line} | |")
            continue
        gain = compare(base, sealed[id])
        shown = told[id] if policies[id].memory else _few_shots(policies[id])
        made.append(f"{line} {points(gain.gain)} ({points(gain.low)} to {points(gain.high)}) | {shown} |")
    return [f"{len(base.outcomes)} sealed tasks", "", "| | right | above the base, points | shown |",
            "|---|---|---|---|", *made]  # fmt: skip


def _few_shots(policy: Policy) -> str:
    return " / ".join(m.content.replace("\n", " ") for m in policy.few_shots)


def _recalled(ledger: Ledger, policy: Policy, report: Report) -> str:
    """How many notes hold, and how often the one that was recalled first is the one that has the answer."""
    memory = kept.read(artefacts(), policy.memory or "")
    tasks = {t.id: cast(Task, t) for t in ledger.records("task")}
    asked = {o.task for o in report.outcomes}
    first = {
        s.task: memory.notes[s.memories[0]].text if s.memories else ""
        for s in (cast(Solution, s) for s in ledger.records("solution"))
        if s.policy == policy.id and s.task in asked
    }
    right = sum(text == tasks[task].private["told"] for task, text in first.items())
    return f"{sum(1 for _ in memory.live())} notes; recall@1 {right / len(first):.1%}"


def points(share: float | None) -> str:
    return "not known" if share is None else f"{share * 100:+.1f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print a table of each."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("recipes", nargs="*", default=list(SETS))
    parser.add_argument("--set", action="append", default=[], dest="sets")
    o = parser.parse_args(argv)
    print(processor())
    for recipe in o.recipes:
        print("", recipe, "", *rows(run(recipe, o.sets)), sep="\n")


if __name__ == "__main__":
    main()
