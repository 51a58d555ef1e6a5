"""``instar verify``: whether a run's ledger is what it says, and what that covers."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

from instar.app.review.rederive import NOT_COVERED, Verified, verified
from instar.cli.plain import aloud, plain
from instar.errors import StoreError
from instar.run.progress import Phase, Screen
from instar.store.lock import WriterLock
from instar.store.mend import mend as make_anew
from instar.store.shape import DAMAGED

PATIENCE = 5.0
"""Seconds without a word; then progress is shown."""


def verify_run(folder: Path, *, mend: bool, as_json: bool, quiet: bool = False) -> None:
    """Check a ledger; exit code 6 when something is wrong."""
    screen = Screen("silent" if quiet or as_json else "auto")
    if mend:
        with WriterLock(folder / "lock"):
            kept = make_anew(folder / "ledger.db")
        screen.line(f"{folder.name}: every row was copied into a fresh ledger; the old one is kept as {kept}")
    found = _watched(folder, screen)
    if as_json:
        said = {"run": folder.name, "wrong": found.wrong, "content": found.content, "checked": found.counts}
        said |= {"schema": found.schema, "rows_as_shown": found.rows}
        print(json.dumps({**said, "result": found.digest, "not_covered": NOT_COVERED}, indent=1))
    elif not found.wrong and not quiet:
        aloud(f"{folder.name}: every id and digest is what it should be; content {found.content}")
        print(f"  {_covered(found)}")
    if found.wrong:
        mendable = f"`instar verify {folder.name} --mend` makes it anew where all rows can still be read. If not: put"
        more = f"; and {len(found.wrong) - 5} more (--json has all)" if len(found.wrong) > 5 else ""
        raise StoreError(
            plain(f"{len(found.wrong)} things are wrong in {folder.name}: {'; '.join(found.wrong[:5])}{more}."),
            (mendable if found.wrong[0].startswith((DAMAGED, "the file cannot")) else "Put")
            + f" a copy of {folder / 'ledger.db'} in its place, or run it again.",
        )


def _watched(folder: Path, screen: Screen) -> Verified:
    """Verify; when it takes long, with progress and what is left."""
    began = time.monotonic()
    with screen.shown(), ExitStack() as stack:
        phase: Phase | None = None

        def tell(done: int, total: int, what: str) -> None:
            nonlocal phase
            if total and phase is None and time.monotonic() - began > PATIENCE:
                phase = stack.enter_context(screen.phase("verifying", total))
            if total and phase is not None:
                phase.at(done, total, note=what)

        return verified(folder, tell)


def _shown(rows: dict[str, int]) -> str:
    """How what was trained on compares with what was shown, in words."""
    if not any(rows.values()):
        return "no answer was handed to a training"
    n = {k: f"{v:,}" for k, v in rows.items()}
    return (
        f"prompts of trained turns: {n['checked']} made again, {n['differing']} of them not what was read; "
        f"{n['plainly']} learned plainly, {n['text_only']} read as text, {n['not_known']} not known"
    )


def _covered(found: Verified) -> str:
    n = {k: f"{v:,}" for k, v in found.counts.items()}
    derived = ", ".join(f"{k} {n[k]}" for k in ("reports", "verdicts", "results") if k in n) or "nothing"
    others = n.get("verdicts of other gates")
    other = f" ({others} verdicts of other gates are as stored)" if others else ""
    how = {
        "derived and digest": "the result is derived and under a digest",
        "derived": "the result is derived, and under no digest: this run is older than that",
        "none": "there is no result yet",
    }[found.digest]
    return (
        f"read: {n['records']} records, {n['calls']} calls, {n['journal']} model calls; "
        f"derived again: {derived}{other}; {how}; {_shown(found.rows)}. Not covered: {NOT_COVERED}."
    )
