"""The command line as Python functions, for notebooks and scripts: ``import instar; instar.run("demo")``.

In this room because it is the outermost one: like a command, each function wires app and report together. A notebook
has an event loop of its own, so a run works in a thread beside it; interrupting the cell stops it as Ctrl-C would.
"""

from __future__ import annotations

import html
import io
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from instar.app.configs.by_name import started
from instar.app.configs.config import Plan, plan
from instar.app.configs.in_python import Recipe, as_config, recipe_named
from instar.app.configs.relative_paths import from_here
from instar.app.preflight.flight import Ready, preflight
from instar.app.review.comparing import Paired, paired
from instar.app.review.examine import candidate_for, examine_all
from instar.app.sessions.session import execute
from instar.app.storage.paths import called_after, last_run, new_run_folder, run_folder
from instar.cli.compare import as_data, print_comparison
from instar.cli.evaluate import suite_named
from instar.cli.run import can_go_on
from instar.cli.show import page, print_summary
from instar.errors import CannotContinue, InstarError
from instar.records import Report
from instar.report.learned import learned
from instar.report.summary import outcomes as read_outcomes
from instar.report.summary import summary
from instar.report.why import why
from instar.run.progress import Screen

_WIDTH = 130
"""Characters of a run's page in a notebook."""


class OpenRun:
    """A run on the disk, finished or not. Shown at the end of a notebook cell it is the page of ``instar show``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._finished: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The run's name: what other functions and commands take."""
        return self.folder.name

    @property
    def summary(self) -> dict[str, Any]:
        """Everything that ``instar show --json`` gives, read anew while the run is not finished."""
        if self._finished is None:
            found = summary(self.folder)
            if found["status"] != "finished":
                return found
            self._finished = found
        return self._finished

    @property
    def status(self) -> str:
        """``finished``, ``running``, ``stopped``, ``killed``, ``failed`` or ``not started``."""
        return str(self.summary["status"])

    @property
    def sealed(self) -> dict[str, Any] | None:
        """The sealed exam: ``base``, ``final``, ``gain`` with ``low`` and ``high`` (fractions), ``n``, ``abilities``.
        None until the run is finished."""
        found: dict[str, Any] | None = self.summary["sealed"]
        return found

    @property
    def suites(self) -> list[dict[str, Any]]:
        """What came out on each suite ``guard:NAME`` and ``attack:NAME``: ``name``, figures as in ``sealed``, and
        ``sentence``. Empty until the run is finished, and of a run without suites."""
        return list(self.summary.get("suites", ()))

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """Every item of every exam, one row for each role its policy has: ``pandas.DataFrame(run.outcomes)``."""
        return read_outcomes(self.folder)

    def show(self) -> None:
        """Print the page of ``instar show``."""
        print_summary(self.summary, page())

    def why(self, id: str | None = None) -> list[str]:
        """Sentences on a record: what made it, and what it went into. ``id`` may be the beginning of one; without it an
        answer that the result was trained on, or why there is none."""
        found = learned(self.folder) if id is None else why(self.folder, id)
        return [str(s) for s in found["sentences"]]

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run as one HTML file that needs no network, ``RUN.html`` if no ``path`` is given; returns where."""
        from instar.report.page import write_report

        out = Path(path) if path is not None else Path(f"{self.name}.html")
        write_report(self.folder, out)
        return out

    def resume(
        self,
        *sets: str,
        quiet: bool = False,
        accept_changes: bool = False,
        without: Mapping[str, str] | None = None,
    ) -> OpenRun:
        """Work on until it is finished; ``sets`` as in ``--set``, for what may change (the budget). Returns itself.

        ``accept_changes``: go on although config or operators changed. ``without``: tasks to leave out for every
        policy, each with the reason.
        """
        from instar.app.configs.config_file import apply_set
        from instar.app.review.examine import plan_of

        raw = dict(plan_of(self.folder).raw)
        for one in sets:
            apply_set(raw, one)
        return _worked(plan(raw), self.folder, quiet, accept_changes=accept_changes, without=without)

    def _repr_html_(self) -> str:
        """The same page for a notebook; everything a model or a user wrote is escaped."""
        return _html(lambda console: print_summary(self.summary, console))

    def __repr__(self) -> str:
        sealed = self.sealed
        gain = f", sealed {sealed['base']:.1%} -> {sealed['final']:.1%}" if sealed else ""
        return f"OpenRun({self.name!r}, {self.status}{gain})"


class Compared:
    """Two policies item by item. ``figures`` is plain data: gain, low, high (fractions), p, n, abilities ..."""

    def __init__(self, found: Paired) -> None:
        self._found = found
        self.figures: dict[str, Any] = as_data(found)

    def show(self) -> None:
        """Print the page of ``instar compare``."""
        print_comparison(self._found, page())

    def _repr_html_(self) -> str:
        return _html(lambda console: print_comparison(self._found, console))

    def __repr__(self) -> str:
        f = self.figures
        return f"Compared({f['b']} - {f['a']}: {f['gain']:+.3f} ({f['low']:+.3f} to {f['high']:+.3f}), n = {f['n']})"


def run(target: str | Recipe, *sets: str, name: str | None = None, quiet: bool = False, **settings: Any) -> OpenRun:
    """Start a run and work on it to its end: ``instar.run("rest_em", model="scripted", rounds=2)``.

    ``target`` is a recipe (its name, a ``Recipe`` or ``my_recipe.py``), ``demo`` or a .toml file; ``sets`` are as in
    ``--set`` (``"train.epochs=1"``), ``settings`` are the config's keys, tables as dictionaries. ``tasks`` may be a
    list of rows, and a function may stand where a config names one: ``judge=is_right``. Raises InstarError: all that is
    finished is kept, and ``instar.open_run(name).resume()`` goes on.
    """
    if isinstance(target, Recipe):
        target = recipe_named(target)
    raw = _merged(started(target), {k: from_here(v) for k, v in as_config(settings).items()})
    if sets:
        from instar.app.configs.config_file import apply_set

        for one in sets:
            apply_set(raw, one)
    made, screen = plan(raw), _screen(quiet)
    seen = preflight(made, name=name, fetch=True, say=screen.line)
    for sentence in seen.warnings:
        screen.line(f"warning: {sentence}")
    return _worked(made, new_run_folder(name, called_after(target, made.recipe.name)), quiet, seen=seen)


def open_run(name: str | Path | None = None) -> OpenRun:
    """A run by its name or folder; without one the newest. Raises ConfigError naming the runs there are."""
    return OpenRun(last_run() if name is None else run_folder(str(name)))


def compare(a: str | OpenRun, b: str | OpenRun | None = None) -> Compared:
    """``b`` against ``a`` on the sealed exam; without ``b``, the run's final policy against its base.

    Policies may be named as on the command line: ``"demo-1:base"``. Raises CannotContinue when the exams differ.
    """
    found = paired(_named(a), None if b is None else _named(b))
    if found.comparison.refusal:
        raise CannotContinue(
            f"{found.a.title} and {found.b.title} cannot be compared: {found.comparison.refusal}",
            "Examine one on the other's exam: instar.examine(policy, on=run).",
        )
    return Compared(found)


def examine(
    policy: str | OpenRun, on: str | OpenRun | Path, *, judge: str | None = None, samples: int = 1,
    max_tokens: int = 48, engine: str | None = None, quiet: bool = False,
) -> Report:  # fmt: skip
    """A policy's report on the sealed exam of a run (``RUN:dev`` for its dev set, ``RUN:guard:NAME`` for a suite), on
    the sealed set of a config (.toml), or on a file of rows.

    ``report.metrics["mean@1"]`` is the share that is right, with its interval; ``report.outcomes`` has every item.
    """
    where = _named(on) if not isinstance(on, Path) else str(on)
    suite = suite_named(where, where, judge=judge, samples=samples, max_tokens=max_tokens, at_most=None)
    screen = _screen(quiet)
    found = candidate_for(suite, _named(policy), say=screen.line)
    (report,) = _beside(lambda _: examine_all([found.policy], suite, screen, engine=engine))
    return report  # type: ignore[no-any-return]  # _beside gives back what it was handed


def _worked(
    made: Plan,
    folder: Path,
    quiet: bool,
    *,
    accept_changes: bool = False,
    without: Mapping[str, str] | None = None,
    seen: Ready | None = None,
) -> OpenRun:
    screen = _screen(quiet)
    rounds = f"{made.settings.rounds} round{'s' if made.settings.rounds != 1 else ''}"
    screen.line(f"run {folder.name}: {made.recipe.name} on {made.run.model}, {rounds}")
    out, sets = list((without or {}).items()), seen.sets if seen else None
    try:
        _beside(
            lambda stop: execute(
                made, folder, screen, accept_changes=accept_changes, without=out, stop=stop, drawn=sets
            )
        )
    except InstarError as e:
        if can_go_on(e):
            going = "'keep_going=true'" if "--keep-going" in e.hint else ""
            accepting = "accept_changes=True" if "--accept-changes" in e.hint else going
            e.hint = f"{e.hint} Go on with: instar.open_run({folder.name!r}).resume({accepting})".strip()
        raise
    return OpenRun(folder)


def _beside(work: Any) -> Any:
    """Do it in a thread, so that an event loop that runs here (a notebook's) is no obstacle; Ctrl-C sets ``stop``."""
    stop = threading.Event()
    result: list[Any] = []
    error: list[BaseException] = []

    def body() -> None:
        try:
            result.append(work(stop))
        except BaseException as e:
            error.append(e)

    thread = threading.Thread(target=body, name="instar-run")
    thread.start()
    while thread.is_alive():
        try:
            thread.join(0.2)
        except KeyboardInterrupt:
            stop.set()
    if error:
        raise error[0]
    return result[0]


def _screen(quiet: bool) -> Screen:
    if quiet:
        return Screen("silent")
    if "ipykernel" in sys.modules:  # a cell's output is no terminal: plain lines
        return Screen("plain", Console(file=sys.stdout, highlight=False, force_jupyter=False))
    return Screen("auto")


def _merged(raw: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over a config; a table changes the keys it names."""
    out = dict(raw)
    for key, value in settings.items():
        old = out.get(key)
        same = (
            isinstance(value, Mapping) and isinstance(old, Mapping) and value.get("op", old.get("op")) == old.get("op")
        )
        out[key] = _merged(dict(old), value) if same and isinstance(old, Mapping) else value
    return out


def _named(which: str | OpenRun) -> str:
    return which.name if isinstance(which, OpenRun) else which


def _html(draw: Any) -> str:
    console = Console(
        file=io.StringIO(), record=True, width=_WIDTH, force_jupyter=False, soft_wrap=True, highlight=False
    )
    draw(console)
    style = "white-space: pre; overflow-x: auto; line-height: 1.3; font-family: monospace"
    return f'<pre style="{html.escape(style)}">{console.export_html(inline_styles=True, code_format="{code}")}</pre>'
