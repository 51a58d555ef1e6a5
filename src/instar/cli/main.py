"""The command ``instar``. Each command's work is in a file of its own, imported when it is called."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from instar import __version__
from instar.cli import after, around
from instar.cli.memory import memory
from instar.cli.options import (
    Accept,
    Json,
    KeepGoing,
    Last,
    Name,
    Quiet,
    Sets,
    Without,
    complete_run,
    complete_slot,
    complete_target,
)
from instar.errors import Cancelled, InstarError, StoreError

EXIT_CODES = (
    "Exit codes: 0 done; 1 unforeseen; 2 wrong command or config; 3 data; 4 model; 5 engine; 6 store, disk or lock; "
    "7 cannot continue or compare; 8 a step failed; 9 budget spent; 10 no sandbox; 11 a judge was refused; "
    "12 nothing to learn from; 13 held by its brake; 130 stopped. More: docs/guides/exit-codes.md"
)

app = typer.Typer(
    name="instar",
    help="Language models that improve themselves by experience, with evidence.\n\n"
    "Start with `instar run demo`, then `instar show --last`.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"instar {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show version.")] = False,
) -> None:
    """Language models that improve themselves by experience, with evidence."""


@app.command()
def run(
    target: Annotated[
        str, typer.Argument(help="A .toml file, a recipe's name, or `demo`.", autocompletion=complete_target)
    ],
    set_: Sets = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; default: config file or recipe, and a number.")
    ] = None,
    sealed_seed: Annotated[int | None, typer.Option(help="Seed of the sealed exam, your own choice.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, show the config and an estimate, stop.")] = False,
    keep_going: KeepGoing = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start a run.

    Example: instar run rest_em --set model=scripted --set rounds=1
    """
    from instar.cli.run import start

    sets = [*(set_ or []), *([f"sealed_seed={sealed_seed}"] if sealed_seed is not None else [])]
    sets += ["keep_going=true"] * keep_going
    start(target, sets, name=name, dry_run=dry_run, as_json=json_, quiet=quiet)


@app.command()
def resume(
    name: Name = None,
    last: Last = False,
    set_: Sets = None,
    accept_changes: Accept = False,
    keep_going: KeepGoing = False,
    without: Without = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a run that was stopped or killed; what is finished is not done again.

    Example: instar resume --last --set budget.seconds=600
    """
    from instar.cli.run import go_on
    from instar.store.sound import sound

    folder = _folder(name, last)
    with sound(folder):
        sets = [*(set_ or []), *["keep_going=true"] * keep_going]
        go_on(folder, sets, accept_changes=accept_changes, as_json=json_, quiet=quiet, without=without or [])


@app.command()
def show(
    name: Name = None,
    last: Last = False,
    full: Annotated[bool, typer.Option("--full", help="Also filters, gates' reasons and audits.")] = False,
    json_: Json = False,
    outcomes: Annotated[
        Path | None, typer.Option(help="Write every exam item's outcome to this .jsonl or .csv file.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show a run: its verdict, its rounds, its seconds.

    Example: instar show --last --outcomes outcomes.csv
    """
    from instar.cli.show import show_run
    from instar.store.sound import sound

    folder = _folder(name, last or name is None)
    with sound(folder):
        show_run(folder, as_json=json_, outcomes=outcomes, full=full)


@app.command()
def why(
    id: Annotated[
        str | None,
        typer.Argument(
            help="A record's id, or enough of its beginning; default: an answer that the result was trained on."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--run", help="The run; default: the newest that has it.", autocompletion=complete_run),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say why a record is there: back to the tasks and policies it came from, on to the policies it went into.

    Example: instar why, or instar why 3fa1 --run demo-1
    """
    from instar.cli.show import run_with, show_why
    from instar.store.sound import sound

    folder = run_with(id, _folder(name, name is None), chosen=name is not None)
    with sound(folder):
        show_why(folder, id, as_json=json_)


@app.command()
def report(
    name: Name = None,
    last: Last = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; default: RUN.html.")] = None,
    json_: Json = False,
) -> None:
    """Write a run's report: one HTML file that needs no network.

    Example: instar report --last -o report.html
    """
    from instar.cli.report import make_report
    from instar.store.sound import sound

    folder = _folder(name, last or name is None)
    with sound(folder):
        make_report(folder, out, as_json=json_)


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Where to listen; only this machine by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 finds a free one.")] = 8765,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Let other machines read your runs.")] = False,
) -> None:
    """Show all runs in the browser, finished and running ones, for reading only.

    Example: instar ui --port 8765
    """
    from instar.app.storage.paths import runs_folder
    from instar.cli.ui import serve

    serve(runs_folder(), host=host, port=port, allow_remote=allow_remote)


@app.command()
def verify(
    name: Name = None,
    last: Last = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="Make a ledger with damaged indices anew first; the old file is kept.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Re-derive every id, digest and figure of a run's ledger.

    Example: instar verify --last
    """
    from instar.cli.verify import verify_run

    verify_run(_folder(name, last or name is None), mend=mend, as_json=json_, quiet=quiet)


@app.command()
def recipes(json_: Json = False, quiet: Quiet = False) -> None:
    """List the methods that can be run.

    Example: instar recipes --json
    """
    from instar.cli.lists import list_recipes

    list_recipes(as_json=json_)


@app.command()
def ops(
    slot: Annotated[
        str | None,
        typer.Argument(help="Only operators of this slot.", show_default=False, autocompletion=complete_slot),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the operators that a config can name, with their settings.

    Example: instar ops filter
    """
    from instar.cli.lists import list_ops

    list_ops(slot, as_json=json_)


app.command()(after.compare)
app.command()(after.difficulty)
app.command()(after.evaluate)
app.command()(after.chat)
app.command()(after.export)
app.command()(around.init)
app.command()(around.models)
app.command()(around.doctor)
app.command()(around.gc)
app.command()(around.runs)
app.command()(around.rm)
app.command()(around.redact)
app.add_typer(memory)


def _folder(name: str | None, last: bool) -> Path:
    from instar.app.storage.paths import last_run, run_folder
    from instar.errors import ConfigError

    if name is not None:
        return run_folder(name)
    if last:
        return last_run()
    raise ConfigError("which run?", "Give its name, or --last.")


def main() -> None:
    """Run the command line; every error a user can meet is one clear sentence and an exit code."""
    # no library that we call may phone home or pick a thread pool fight
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        # asked to end is asked to stop: what was started is closed, and nothing is said of what was left open
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        app()
    except InstarError as e:
        from instar.cli.plain import aloud

        aloud(f"instar: {e.message}", error=True)
        if e.hint:
            aloud(f"        {e.hint}", error=True)
        sys.exit(e.exit_code)
    except BrokenPipeError:
        os._exit(0)
    except KeyboardInterrupt:
        print("instar: stopped.", file=sys.stderr)
        sys.exit(Cancelled.exit_code)
    except OSError as e:
        if _is_full(e):
            _leave(f"the disk is full: {e.filename or 'nothing already stored is lost'}.")
        _leave(f"{e.strerror or e}: {e.filename}" if e.filename else str(e))
    except Exception as e:
        if not _is_of_database(e):
            raise
        _leave(f"the ledger cannot be read or written: {getattr(e, 'orig', None) or e}.")


def _leave(sentence: str) -> NoReturn:
    from instar.cli.plain import aloud

    aloud(f"instar: {sentence}", error=True)
    sys.exit(StoreError.exit_code)


def _is_full(e: OSError) -> bool:
    from instar.store.disk import is_full

    return is_full(e)


def _is_of_database(e: Exception) -> bool:
    from instar.store.refusal import is_of_database

    return is_of_database(e)
