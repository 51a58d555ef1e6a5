"""``instar run`` and ``instar resume``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instar.app.configs.by_name import started
from instar.app.configs.config import Plan, plan
from instar.app.configs.config_file import apply_set
from instar.app.preflight.estimate import estimate
from instar.app.preflight.flight import Ready, preflight
from instar.app.preflight.foreseen import how_it_decides
from instar.app.sessions.session import execute
from instar.app.sessions.tracking import ready
from instar.app.storage.paths import called_after, check_places, new_run_folder
from instar.cli.plain import aloud
from instar.cli.show import page, print_summary
from instar.errors import Cancelled, ConfigError, DataError, InstarError, LockError
from instar.report.facts import left_of
from instar.report.summary import summary
from instar.run.progress import Screen, clock
from instar.store.door import open_ledger


def start(target: str, sets: Sequence[str], *, name: str | None, dry_run: bool, as_json: bool, quiet: bool) -> None:
    """Check everything, then run."""
    raw = started(target, sets)
    what = plan(raw)
    ready(what)
    screen = Screen("silent" if quiet else "auto")
    seen = preflight(what, name=name, fetch=not dry_run, say=screen.line)
    if dry_run:
        _dry_run(what, seen, as_json)
        return
    check_places()
    folder = new_run_folder(name, called_after(target, what.recipe.name))
    rounds = f"{what.settings.rounds} round{'s' if what.settings.rounds != 1 else ''}"
    screen.line(f"run {folder.name}: {what.recipe.name} on {what.run.model}, {rounds}")
    for sentence in seen.warnings:
        screen.line(f"warning: {sentence}")
    _execute(what, folder, screen, as_json=as_json, accept=False, seen=seen)


def go_on(
    folder: Path,
    sets: Sequence[str],
    *,
    accept_changes: bool,
    as_json: bool,
    quiet: bool,
    without: Sequence[str] = (),
) -> None:
    """Continue a run with the config it was made with. ``without``: tasks to leave out, each as ``TASK=WHY``."""
    out = [_left_out(one) for one in without]
    ledger = open_ledger(folder / "ledger.db")
    try:
        about = ledger.about()
    finally:
        ledger.close()
    if "config" not in about:
        raise ConfigError(f"the run {folder.name} was killed before it began: nothing is stored.", "Start it again.")
    raw: dict[str, Any] = json.loads(about["config"])
    for one in sets:
        apply_set(raw, one)
    screen = Screen("silent" if quiet else "auto")
    screen.line(f"run {folder.name}: resuming")
    _execute(plan(raw), folder, screen, as_json=as_json, accept=accept_changes, without=out)


def _execute(
    what: Plan, folder: Path, screen: Screen, *, as_json: bool, accept: bool,
    without: Sequence[tuple[str, str]] = (), seen: Ready | None = None,
) -> None:  # fmt: skip
    drawn, checking = (seen.sets, seen.check_seconds) if seen else (None, 0.0)
    screen.left = lambda: left_of(folder)
    try:
        ended = execute(
            what, folder, screen, accept_changes=accept, without=without, drawn=drawn, check_seconds=checking
        )
    except InstarError as e:
        if can_go_on(e):
            accepting = "".join(f" {flag}" for flag in ("--accept-changes", "--keep-going") if flag in e.hint)
            e.hint = f"{e.hint} Continue with: instar resume {folder.name}{accepting}".strip()
        if isinstance(e, Cancelled):
            e.message = "stopped; everything finished is kept."
        raise
    if ended.nothing_left:
        screen.line(f"nothing left to do: the run {folder.name} is finished")
    found = summary(folder)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print_summary(found, page())


def _left_out(said: str) -> tuple[str, str]:
    task, _, why = said.partition("=")
    if not task.strip() or not why.strip():
        raise ConfigError(f"--without {said!r} is not of the form TASK=WHY.", 'For example: --without 3fa1="too long"')
    return task.strip(), why.strip()


def can_go_on(e: InstarError) -> bool:
    """Whether the same run goes on once what this error says is mended."""
    return e.resumes and not isinstance(e, (ConfigError, DataError, LockError))


def _dry_run(what: Plan, seen: Ready, as_json: bool) -> None:
    """The resolved config and an estimate. The sets are drawn and proven disjoint; nothing is stored."""
    sizes = {k: len(v) for k, v in seen.sets.items()}
    cost, warnings = estimate(what, seen.sets, seen.check_seconds), list(seen.warnings)
    gate = how_it_decides(what, seen.sets)
    if as_json:
        told = {"config": what.resolved(), "sets": sizes, "estimate": cost, "warnings": warnings}
        told |= {"gate": gate} if gate else {}
        print(json.dumps({**told, "fetches": list(seen.fetches)}, indent=1))
        return
    print(to_toml(what.resolved()))
    aloud("# sets, disjoint on canonical content: " + ", ".join(f"{k} {n}" for k, n in sizes.items()))
    aloud(
        f"# estimate: {cost['calls']:,} model calls, {cost['tokens']:,} tokens generated, "
        f"{cost['trained_tokens']:,} trained, {clock(cost['seconds'])}, {cost['disk_gb']} GB of disk"
    )
    if gate:
        aloud(f"# sequential gate: {gate}; the estimate counts all of them")
    if cost["check_seconds"] >= 1 and seen.check_seconds >= 0.05:
        aloud(f"# of that {clock(cost['check_seconds'])} are checks: one took {seen.check_seconds:.1f} s")
    aloud(f"# the estimate rests on {cost['rests_on']}")
    for what_is in seen.fetches:
        aloud(f"# the run would first fetch {what_is}; its prompts are measured when it is here")
    for sentence in warnings:
        aloud(f"# warning: {sentence}")


def to_toml(value: dict[str, Any]) -> str:
    """Plain data as TOML: one line a key, tables inline. None has no TOML form: it is written as a comment."""
    lines = [f"{k} = {_toml(v)}" if v is not None else f"# {k} is not set" for k, v in value.items()]
    text = "\n".join(lines)
    tomllib.loads(text)
    return text


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)  # TOML refuses JSON's two escapes for one character
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(str(k), ensure_ascii=False)} = {_toml(v)}" for k, v in value.items() if v is not None
        )
        return f"{{ {inner} }}" if inner else "{}"
    return f"[{', '.join(_toml(v) for v in value if v is not None)}]"
