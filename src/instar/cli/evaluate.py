"""``instar evaluate``: any policy on any exam, and each item's outcome in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from instar.app.review.comparing import by_content, pair
from instar.app.review.examine import (
    Suite,
    candidate_for,
    examine_all,
    suite_of_config,
    suite_of_file,
    suite_of_run,
)
from instar.app.storage.paths import run_folder
from instar.app.weights.policies import Found
from instar.cli.compare import as_data, print_comparison
from instar.cli.plain import plain
from instar.cli.show import page, write_rows
from instar.errors import ConfigError, DataError
from instar.records import Report
from instar.run.progress import Screen

ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""How the name of a file of rows ends."""


def evaluate_policies(
    policies: list[str], *, on: str | None, judge: str | None, samples: int, max_tokens: int, at_most: int | None,
    system: str | None, engine: str | None, outcomes: Path | None, as_json: bool, quiet: bool,
    question: str | None = None, answer: str | None = None,
) -> None:  # fmt: skip
    """Examine each policy; with two, also compare the second with the first."""
    if outcomes is not None and outcomes.suffix not in (".jsonl", ".csv"):
        write_rows([], outcomes)  # says what can be written, before a token is spent
    screen = Screen("silent" if quiet else "auto")
    suite = suite_named(
        on, policies[0], judge=judge, samples=samples, max_tokens=max_tokens, at_most=at_most, question=question,
        answer=answer,
    )  # fmt: skip
    found = [candidate_for(suite, said, system=system, say=screen.line) for said in policies]
    screen.line(f"on {suite.about}")
    reports = examine_all([f.policy for f in found], suite, screen, engine=engine)
    if outcomes is not None:
        asked = {t.id: t.question for t in suite.tasks}
        write_rows([{**row, "question": asked[row["task"]]} for row in _rows(reports)], outcomes)
        screen.line(f"{sum(len(r.outcomes) for r in reports)} outcomes written to {outcomes}")
    compared = None
    if len(found) == 2:
        tasks = list(suite.tasks)
        compared = pair(found[0], found[1], *(by_content(r, tasks) for r in reports))
    if as_json:
        said: dict[str, Any] = {
            "exam": suite.about,
            "policies": [_data(f, r) for f, r in zip(found, reports, strict=True)],
        }
        if compared is not None:
            said["comparison"] = as_data(compared)
        print(json.dumps(said, indent=1))
        return
    _print(found, reports, suite)
    if compared is not None:
        print_comparison(compared, page())


def suite_named(
    on: str | None, policy: str, *, judge: str | None, samples: int, max_tokens: int, at_most: int | None,
    question: str | None = None, answer: str | None = None,
) -> Suite:  # fmt: skip
    """The exam that ``--on`` names; without it, that of the policy's own run."""
    if on is None:
        head = policy.rpartition(":")[0] or policy
        try:
            return suite_of_run(run_folder(head))
        except ConfigError:
            raise ConfigError(
                f"on which exam should {policy} be evaluated?",
                "Give --on RUN, --on RUN:dev, --on CONFIG.toml or --on FILE.jsonl.",
            ) from None
    if on.endswith(".toml"):
        if judge is not None or question is not None or answer is not None:
            raise ConfigError("a config's exam has a judge and columns of its own.", "Name its file of rows instead.")
        return suite_of_config(Path(on), at_most=at_most)
    if Path(on).suffix.casefold() in ROWS:
        if samples < 1 or max_tokens < 1:
            raise DataError(f"--samples {samples} and --max-tokens {max_tokens}: both are at least 1.")
        return suite_of_file(
            Path(on), judge=judge, samples=samples, max_tokens=max_tokens, at_most=at_most, question=question,
            answer=answer,
        )  # fmt: skip
    if judge is not None or at_most is not None or question is not None or answer is not None:
        raise ConfigError(
            "a run's exam has a judge and tasks of its own.",
            "Use --judge, --limit, --question and --answer with a file of rows.",
        )
    head, _, which = on.partition(":")
    return suite_of_run(run_folder(head), which or "sealed")


def _rows(reports: list[Report]) -> list[dict[str, Any]]:
    return [
        {
            "suite": r.exam.suite, "policy": r.policy, "task": o.task, "ability": o.ability, "gold": o.gold,
            "answers": list(o.answers), "marks": [m.value for m in o.marks], "score": o.score, "tokens": list(o.tokens),
        }
        for r in reports
        for o in r.outcomes
    ]  # fmt: skip


def _data(found: Found, report: Report) -> dict[str, Any]:
    said = report.model_dump(mode="json", exclude={"outcomes", "id"})
    return {"title": found.title, "run": found.run.name if found.run else None, "role": found.role, **said}


def _print(found: list[Found], reports: list[Report], suite: Suite) -> None:
    console = page()
    console.print(Text(suite.about, style="bold"))
    for f, report in zip(found, reports, strict=True):
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for column in (f.title, "right", "95 % interval", "read", "tokens", "n"):
            table.add_column(Text(column), justify="left" if column == f.title else "right")
        for name, m in {"all": report.metrics, **report.abilities}.items():
            x = m["mean@1"]
            table.add_row(
                Text(plain(name)), f"{x.value:.1%}", f"{x.low:.1%} to {x.high:.1%}", f"{m['parse_rate'].value:.1%}",
                f"{m['tokens'].value:.0f}", str(x.n),
            )  # fmt: skip
        console.print(table)
        constant = report.metrics.get("best_constant")
        if constant is not None:
            console.print(f"  best constant answer: {constant.value:.1%} (always giving one answer scores this)")
    e = reports[0].exam
    console.print(f"  {e.engine} {e.precision}, {e.n} a task", markup=False)
