"""How a run ends: its last figures, and the record that says which reports they follow from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from instar.app.sessions.headline import result_digest
from instar.hashing import hash_of
from instar.records import Result
from instar.run.outputs import Output, mint_all
from instar.store.ledger import Ledger

Reported = Mapping[tuple[str, str], str]
"""(suite, policy) to the id of the report on it."""


def result_record(result: Mapping[str, Any], reports: Reported, *, tokens: int) -> Result:
    """The record of what a run ended with, from the figures it notes. Raises KeyError where a report is missing."""
    base, final, controls = result["base"], result["final"], result.get("controls", {})
    suites = [*(["sealed"] if "sealed" in result else []), *result.get("suites", {})]
    procedures = result.get("sealed", {}).get("procedures", {})
    return Result(
        policies={"base": base, "final": final, **{f"control: {name}": id for name, id in controls.items()}},
        base={s: reports[s, base] for s in suites},
        final={s: reports[s, final] for s in suites},
        controls={name: {s: reports[s, id] for s in suites} for name, id in controls.items()},
        procedures={n: {s: reports[s, final] for s in (f"sealed, {n}", f"sealed, as many tokens as {n}")}
                    for n in procedures},
        tokens=tokens,
        seconds=result.get("evolution_seconds"),
    )  # fmt: skip


def end(ledger: Ledger, recipe: str, result: Mapping[str, Any], reports: Reported) -> None:
    """Note what a run ended with, as figures and as a record made from their reports, in one go."""
    record = result_record(result, reports, tokens=ledger.asked()["tokens"])
    (made,) = mint_all([Output(record, named(record))], hash_of("recipe", recipe), 0)
    noted = {"result": json.dumps(result), "result_record": made.record.id}
    ledger.end([made], result_digest=result_digest({**ledger.about(), **noted}), **noted)


def named(result: Result) -> tuple[str, ...]:
    """The reports that a result names, each once: what it is made from."""
    of = [result.base, result.final, *result.controls.values(), *result.procedures.values()]
    return tuple(sorted({id for reports in of for id in reports.values()}))
