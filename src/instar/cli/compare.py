"""``instar compare``: two policies item by item, with the interval of the difference."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from instar.app.review.comparing import Paired, paired
from instar.cli.plain import plain
from instar.cli.show import page
from instar.errors import CannotContinue


def compare_two(a: str, b: str | None, *, as_json: bool) -> None:
    """Print ``b`` against ``a``; exit code 7 when their exams are not the same."""
    found = paired(a, b)
    if found.comparison.refusal:
        raise CannotContinue(
            f"{found.a.title} and {found.b.title} cannot be compared: {found.comparison.refusal}",
            "Runs compare when they have the same sealed tasks, checker, engine and precision; "
            "or examine one on the other's exam: instar evaluate POLICY --on RUN.",
        )
    if as_json:
        print(json.dumps(as_data(found), indent=1))
    else:
        print_comparison(found, page())


def as_data(found: Paired) -> dict[str, Any]:
    """A comparison as plain data, policies by id and by title."""
    return {"a": found.a.title, "b": found.b.title, "exam": found.exam, **found.comparison.model_dump(mode="json")}


def print_comparison(found: Paired, console: Console) -> None:
    """The difference in a sentence, then ability by ability."""
    c = found.comparison
    assert c.gain is not None
    assert c.low is not None
    assert c.high is not None
    sure = "a real gain" if c.low > 0 else "a real loss" if c.high < 0 else "no difference that can be told from chance"
    console.print(f"{found.b.title} against {found.a.title} ({found.exam})", markup=False, style="bold")
    console.print(
        f"  {c.before:.1%} -> {c.after:.1%}, {100 * c.gain:+.1f} points "
        f"(95 % interval {100 * c.low:+.1f} to {100 * c.high:+.1f}, p = {c.p:.2g}): {sure}"
    )
    console.print(
        f"  {c.newly_right} items newly right, {c.newly_wrong} newly wrong, {c.both_right} right twice, "
        f"{c.both_wrong} wrong twice; answers read: {c.parse_before:.1%} and {c.parse_after:.1%}"
    )
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("ability", "A", "B", "B - A", "95 % interval", "newly right", "newly wrong", "n"):
        table.add_column(column, justify="left" if column == "ability" else "right")
    for ability, x in c.abilities.items():
        table.add_row(
            Text(plain(ability)), f"{x.before:.1%}", f"{x.after:.1%}", f"{100 * x.gain:+.1f}",
            f"{100 * x.low:+.1f} to {100 * x.high:+.1f}", str(x.newly_right), str(x.newly_wrong), str(x.n),
        )  # fmt: skip
    console.print(table)
