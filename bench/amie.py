"""AMIE on the small model: the diagnosis of made-up illnesses by asking a patient of fixed rules, before and after.

    python -m bench.amie [--name NAME] [--set KEY=VALUE ...]      begin the run, or go on with it, then print its table
    python -m bench.amie [--name NAME] --table                    print what there is, or say how far it is
    python -m bench.amie [--name NAME] --episode N                the N-th sealed case as both policies talked about it

A run is ``amie-NAME`` in INSTAR_RUNS. It may be killed at any time and started again with the same line. The table has
the floors of the very cases (the complaint alone and the whole case by naive Bayes, the doctor of rules), the sealed
exam of the base and of the result with paired 95 % intervals, and leaks: words that a doctor was shown before his
diagnosis and that name an illness. Nothing here is medical advice.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, cast

from bench.named_run import instar
from bench.tools import processor
from instar.acquire.environments.clinic import case_in
from instar.acquire.environments.clinic_cases import ILLNESSES, SYMPTOMS, by_rule, diagnosed, ranked
from instar.app.storage.paths import runs_folder
from instar.app.weights.policies import roles
from instar.evaluate.compare import compare
from instar.records import Feedback, Report, Solution, Task, TurnKind
from instar.store.ledger import Ledger

TAKEN = f"{Path(__file__).with_name('taken.py')}:Taken"
SETS = [
    "model=smollm2-135m", "audit_with=none", f'gate="{TAKEN}"', "keep_going=true",
    'tasks={op="clinic", sides=true, shots=1, turns=6, aloud=true}', "sizes={train = 400, gate = 2, sealed = 200}",
    "played=24", "turns.each=9", "train.learning_rate=3e-4", "train.batch_size=12", "train.epochs=3",
]  # fmt: skip
"""The settings of the run, as ``--set`` takes them. It ends with what two outer loops made, whatever a gate says."""
_NAMED = re.compile("|".join(ILLNESSES), re.IGNORECASE)


class Row(NamedTuple):
    """The sealed exam of one policy."""

    role: str
    report: Report
    tries: dict[str, tuple[Solution, Feedback]]
    """By task."""

    def mean(self, name: str) -> float:
        """Of a figure in the evidence."""
        return sum(float(f.evidence[name]) for _, f in self.tries.values()) / len(self.tries)


def run(name: str, more: Sequence[str]) -> Path:
    """Begin the run, or go on with it; nothing where it is finished."""
    folder = runs_folder() / f"amie-{name}"
    if (folder / "ledger.db").exists():
        with closing(Ledger.read(folder / "ledger.db")) as ledger:
            if "result" in ledger.about():
                return folder
        command = ["resume", folder.name]
    else:
        command = ["run", "amie", "--name", folder.name, *(o for s in (*SETS, *more) for o in ("--set", s))]
    instar(*command)
    return folder


def read(folder: Path) -> tuple[list[Task], list[Row]]:
    """The sealed cases, and the exams of base and result on them."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        who = {id: role for role, id in roles(ledger.about()).items() if role in ("base", "final")}
        found = [cast(Report, r) for r in ledger.records("report")]
        reports = [r for r in found if r.exam.suite == "sealed" and r.policy in who]
        solutions = {s.id: cast(Solution, s) for s in ledger.records("solution")}
        said = [cast(Feedback, f) for f in ledger.records("feedback")]
        items = {o.task for r in reports for o in r.outcomes}
        tasks = [t for t in (cast(Task, t) for t in ledger.records("task")) if t.id in items]
    tried = [(solutions[f.solution], f) for f in said]
    rows = [
        Row(who[r.policy], r, {s.task: (s, f) for s, f in tried if s.task in items and s.policy == r.policy})
        for r in reports
    ]
    return tasks, sorted(rows, key=lambda row: row.role)


def floors(tasks: Sequence[Task]) -> tuple[float, float, float]:
    """What the complaint alone, the whole case (both by naive Bayes) and the doctor of rules find of these cases."""
    cases = [case_in(t.private) for t in tasks]
    alone = sum(ranked({c.opening: True})[0] == c.illness for c in cases)
    whole = sum(ranked({s: s in c.symptoms for s in SYMPTOMS})[0] == c.illness for c in cases)
    rule = sum((diagnosed(by_rule(case_in(t.private), int(t.private["turns"]))[-1][1]) or ("",))[0]
               == t.private["answer"] for t in tasks)  # fmt: skip
    return alone / len(cases), whole / len(cases), rule / len(cases)


def leaks(tasks: Sequence[Task], row: Row) -> int:
    """Consultations in which the doctor was told an illness's name after the worked examples."""
    words = {t.id: [t.question] for t in tasks}
    for solution, _ in row.tries.values():
        words[solution.task] += [t.text for t in solution.turns if t.kind is TurnKind.partner]
    return sum(any(_NAMED.search(text) for text in said) for said in words.values())


def table(folder: Path) -> list[str]:
    """What was measured, as Markdown."""
    tasks, rows = read(folder)
    if len(rows) < 2:
        return [f"{folder.name} has {len(rows)} of 2 sealed exams."]
    alone, whole, rule = floors(tasks)
    made = [
        f"{len(tasks)} sealed cases of 12 illnesses. The complaint alone: {alone:.1%}; the whole case: {whole:.1%}; "
        f"the doctor of rules: {rule:.1%}.", "",
        "| | right | above the base, points | among three | questions | covered | leaks |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    base = rows[0].report
    for row in rows:
        score = row.report.metrics["mean@1"]
        gain = compare(base, row.report)
        above = "" if row.report is base else f"{_points(gain.gain)} ({_points(gain.low)} to {_points(gain.high)})"
        made.append(
            f"| {row.role} | {score.value:.1%} ({score.low:.1%} to {score.high:.1%}) | {above} | "
            f"{row.mean('top3'):.1%} | {row.mean('questions'):.1f} | {row.mean('coverage'):.1%} | {leaks(tasks, row)} |"
        )
    return made


def episode(folder: Path, number: int) -> list[str]:
    """A sealed case as each policy talked about it."""
    tasks, rows = read(folder)
    task = tasks[number]
    made = [f"{task.private['answer']}: {', '.join(task.private['symptoms'])}"]
    for row in rows:
        made += ["", f"{row.role}:", f"  patient: {task.question}"]
        solution, feedback = row.tries[task.id]
        for turn in solution.turns:
            made.append(f"  {'doctor' if turn.kind is TurnKind.assistant else 'patient'}: {turn.text}")
        made.append(f"  -> {feedback.mark.value}; {feedback.evidence}")
    return made


def _points(share: float | None) -> str:
    return "not known" if share is None else f"{share * 100:+.1f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.amie", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--name", default="two-rounds")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--episode", type=int)
    o = parser.parse_args(argv)
    folder = runs_folder() / f"amie-{o.name}"
    if o.episode is not None:
        print(*episode(folder, o.episode), sep="\n")
        return
    if not o.table:
        folder = run(o.name, o.sets)
    print(processor(), "", *table(folder), sep="\n")


if __name__ == "__main__":
    main()
