"""The commands around runs: begin with your own data, see what there is, free what nobody needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instar.cli.options import Json, Quiet, complete_run


def init(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Your rows: JSONL, a JSON array, CSV, TSV or Parquet, in any usual layout."
        ),
    ],
    folder: Annotated[Path, typer.Option(help="Where to write the two files.")] = Path(),
    recipe: Annotated[str, typer.Option(help="The method.")] = "rest_em",
    model: Annotated[str, typer.Option(help="The model that evolves.")] = "smollm2-135m",
    question: Annotated[str | None, typer.Option(help="The column with the question; default: found out.")] = None,
    answer: Annotated[str | None, typer.Option(help="The column with the gold answer; default: found out.")] = None,
    template: Annotated[
        str | None,
        typer.Option(help="What is wanted: classify, extract, number, choice, code or free; default: found out."),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Try the model on 20 rows, in two or three ways of asking.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a config that is there; a my_checks.py is always kept.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read your own tasks, try the model on some, and write a commented config and a verifier to begin with.

    Example: instar init my_questions.jsonl, then instar run my_questions.toml
    """
    from instar.cli.init import begin

    begin(data, folder, recipe=recipe, model=model, question=question, answer=answer, template=template, probing=probe,
          force=force, as_json=json_, quiet=quiet)  # fmt: skip


def models(json_: Json = False, quiet: Quiet = False) -> None:
    """List what can be given as model=, what is converted already, and how much disk it takes.

    Example: instar models
    """
    from instar.cli.models import list_models

    list_models(as_json=json_, quiet=quiet)


def doctor(
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Measure speeds (about 5 s).")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what this machine can do, what is installed, and what is missing.

    Example: instar doctor --no-measure
    """
    from instar.cli.doctor import examine_machine

    examine_machine(measure=measure, as_json=json_, quiet=quiet)


def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it, nothing is touched.")] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also artefacts no run in INSTAR_RUNS knows (other folders may!).")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Free the disk of weights that no kept policy needs, of what killed processes left behind, and of copies that were
    made of older ledgers before they were brought up to date, once their run is finished and verifies.

    Kept always: what a run began and ended with, its controls, what a gate promoted, all of an unfinished run.

    Example: instar gc, then instar gc --yes
    """
    from instar.cli.gc import collect

    collect(yes=yes, orphans=orphans, as_json=json_, quiet=quiet)


def runs(json_: Json = False, quiet: Quiet = False) -> None:
    """List the runs there are, the newest first: what each came to, or why it did not.

    Example: instar runs
    """
    from instar.cli.runs import list_runs

    list_runs(as_json=json_, quiet=quiet)


def redact(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.", autocompletion=complete_run)],
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID...]", show_default=False,
            help="Tasks, answers, feedback, model and tool calls, messages: ids, or enough of their beginnings.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="Everything in the run that holds these words.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it has to go; it stays in the ledger.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Without it and a terminal, nothing is done.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Empty what had to go from a run (a person's text), and say which policies learned from it. Digests stay, so the
    run still verifies; whoever looks into it is told why it is gone. It cannot be taken back.

    Example: instar redact demo-1 3fa1 --reason "its author asked for it"
    """
    from instar.app.storage.paths import run_folder
    from instar.cli.redact import redact_in
    from instar.store.sound import sound

    folder = run_folder(run)
    with sound(folder):
        redact_in(folder, ids or [], text=text, reason=reason, yes=yes, as_json=json_, quiet=quiet)


def rm(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs by name.", autocompletion=complete_run)],
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it, nothing is touched.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove runs: their ledgers and what lies in their folders. Weights go when no run needs them: instar gc.

    A run that another process writes is refused.

    Example: instar rm demo-1, then instar rm demo-1 --yes
    """
    from instar.cli.runs import remove_runs

    remove_runs(names, yes=yes, as_json=json_, quiet=quiet)
