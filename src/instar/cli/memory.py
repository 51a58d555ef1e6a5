"""``instar memory``: what a policy remembers, memories with names of their own, and that somebody is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from instar.cli.options import Json, Quiet, complete_policy, complete_run
from instar.errors import ConfigError

memory = typer.Typer(
    name="memory", help="What a policy remembers: list, search, show, why, pin, export, import, forget.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip

Whose = Annotated[
    str,
    typer.Argument(
        metavar="POLICY", help="A run (what it ended with), RUN:ID, or a memory's name.", autocompletion=complete_policy
    ),
]
Which = Annotated[str, typer.Argument(metavar="NOTE", help="A note's id or its beginning.")]
Who = Annotated[str | None, typer.Option(help="Only notes of this person.")]


@memory.command("list")
def list_(
    policy: Whose,
    who: Who = None,
    all_: Annotated[bool, typer.Option("--all", help="Also notes that gave way or were forgotten.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the notes that hold, with their day, person and strength.

    Example: instar memory list memory_bank-1 --who "Anna 1"
    """
    found = _of(policy)
    rows = list(found.rows(who=who, all_of_it=all_))
    _print(rows, as_json=json_)
    if not (json_ or quiet):
        total = len(found.memory)
        print(f"{len(rows)} of {total} notes, {len(found.memory.segments)} segments, embedder {found.memory.embedder}")


@memory.command()
def search(
    policy: Whose,
    query: Annotated[str, typer.Argument(help="What is looked for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Notes at most.")] = 5,
    who: Who = None,
    now: Annotated[float | None, typer.Option(help="The day that it is; default: time plays no part.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search as a policy does that recalls, with the scores.

    Example: instar memory search memory_bank-1 "What is my cat called?" --who "Anna 1"
    """
    from instar.protocols import Query

    _print(_of(policy).search(Query(query, k, who=who, now=now)), as_json=json_)


@memory.command()
def show(policy: Whose, note: Which, json_: Json = False, quiet: Quiet = False) -> None:
    """Show one note with all that is known of it.

    Example: instar memory show memory_bank-1 3fa1
    """
    found = _of(policy)
    row = found.row(found.note(note))
    print(json.dumps(row, indent=1, ensure_ascii=False) if json_ else "\n".join(_lines(row)))


@memory.command()
def why(policy: Whose, note: Which, json_: Json = False, quiet: Quiet = False) -> None:
    """Say what a note was made from, and which answers were given with it.

    Example: instar memory why memory_bank-1 3fa1
    """
    found = _of(policy)
    told = found.why(found.note(note))
    if json_:
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return
    lines = _lines(told["note"])
    lines += [f"made from {s['id']}: {_shown(s.get('text', ''))}" for s in told["made_from"]]
    lines.append(f"recalled for {len(told['used'])} answers")
    lines += [f"  {u['id']}: {_shown(u['text'])}" for u in told["used"][:10]]
    print("\n".join(lines))


@memory.command()
def export(
    policy: Whose,
    file: Annotated[Path, typer.Argument(help="A .jsonl file to write: a note a line.")],
    who: Who = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write all notes, with their states, to a file.

    Example: instar memory export memory_bank-1 notes.jsonl
    """
    rows = list(_of(policy).rows(who=who, all_of_it=True))
    try:
        file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    except OSError as e:
        raise ConfigError(f"{file} cannot be written: {e}.", "Name a file in a folder that is there.") from e
    if json_:
        print(json.dumps({"notes": len(rows), "file": str(file)}))
    elif not quiet:
        print(f"{len(rows)} notes written to {file}")


@memory.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .jsonl file: a note a line, as export writes them.")],
    name: Annotated[str, typer.Argument(help="What the memory is called: --set memory=NAME gives it to a run.")],
    to: Annotated[str | None, typer.Option(help="Put onto this memory: a name, RUN or RUN:ID.")] = None,
    embedder: Annotated[
        str, typer.Option(help="What a new memory is searched by: minilm, e5 (other languages) or words.")
    ] = "minilm",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a memory of a file of notes. They are believed by nobody (trust: unknown), whatever the file says; what
    repeats a task that the run of --to holds out is left out.

    Example: instar memory import notes.jsonl mine --to memory_bank-1
    """
    from instar.app.memories import imported

    made = imported(file, name, onto=to, embedder=embedder)
    if json_:
        print(json.dumps({"name": name, **made.__dict__}))
        return
    if quiet:
        return
    print(f"{made.notes} notes imported as {name}; {made.known} were known")
    if made.gone:
        print(f"{made.gone} no longer held where they come from, and were left out")
    if made.leaked:
        print(f"left out, for they repeat words of tasks that are held out: lines {', '.join(map(str, made.leaked))}")


@memory.command()
def pin(
    policy: Whose,
    notes: Annotated[list[str], typer.Argument(metavar="NOTE...", help="Ids of notes or their beginnings.")],
    as_: Annotated[str | None, typer.Option("--as", help="The new memory's name; default: that of POLICY.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Let them be forgotten again.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pin notes, in a memory with a name of its own: they fade no more, no forget update takes them out and no later
    note takes their place. A person who is forgotten takes them along (instar memory forget).

    Example: instar memory pin memory_bank-1 3fa1 --as mine
    """
    from instar.app.memories import memories, name_it, pinned, refuse_taken

    found = _of(policy)
    name = as_ or (policy if policy in memories() else None)
    if name is None:
        raise ConfigError(
            f"{policy} is what a run made, and stays as it is.", "Name the new memory: --as NAME; --set memory=NAME."
        )
    if name != policy:
        refuse_taken(name)
    ids = [found.note(note).id for note in notes]
    root = name_it(name, pinned(policy, ids, on=not off))
    if json_:
        print(json.dumps({"name": name, "root": root, "pinned": [] if off else ids, "unpinned": ids if off else []}))
    elif not quiet:
        print(f"{len(ids)} notes {'unpinned' if off else 'pinned'} in the memory {name}")


@memory.command()
def attack(
    policy: Whose,
    notes: Annotated[int, typer.Option(min=1, help="Notes planted at most.")] = 50,
    how: Annotated[str, typer.Option(help="What they say: facts (wrong ones) or orders.")] = "facts",
    seed: Annotated[int, typer.Option(help="Which notes they stand against.")] = 1,
    tasks: Annotated[int | None, typer.Option(min=1, help="Tasks of the exam; default: all.")] = None,
    engine: Annotated[str | None, typer.Option(help="What answers; default: as in the run.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plant notes in a copy of a run's memory and take its sealed exam with and without what protects it: the share of
    right answers that they flip. Nothing of the run is changed; show and report have what came of it.

    Example: instar memory attack memory_bank-1 --notes 50 --how orders
    """
    from instar.app.attacking import attacked
    from instar.report.attacks import in_words
    from instar.run.progress import Screen

    screen = Screen("silent" if json_ or quiet else "plain")
    found = attacked(policy, notes=notes, how=how, seed=seed, screen=screen, at_most=tasks, engine=engine)
    if json_:
        print(json.dumps(found, indent=1))
        return
    for line in in_words([found])[0]:
        print(line)


@memory.command()
def forget(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or a memory's name.", autocompletion=complete_run)],
    about: Annotated[str | None, typer.Option(help="The person, as tasks and notes name them.")] = None,
    text: Annotated[str | None, typer.Option(help="Everything that holds these words, whoever said them.")] = None,
    reason: Annotated[str, typer.Option(help="Why it has to go; it stays in the ledger.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Without it and a terminal, nothing is done.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forget a person: their notes go from every memory that has them, what they said and was answered to it or with it
    from the run's ledger. It says which policies learned from it: those must be retrained. It cannot be taken back.

    Example: instar memory forget memory_bank-1 --about "Anna 1" --reason "she asked for it"
    """
    from instar.cli.forgetting import forget_in

    forget_in(run, about=about, text=text, reason=reason, yes=yes, as_json=json_, quiet=quiet)


def _of(policy: str) -> Any:
    from instar.app.remembered import remembered

    return remembered(policy, print)


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        score = f"{row['score']:.3f}  " if "score" in row else ""
        day = "" if row["when"] is None else f"day {row['when']:g}"
        gone = "" if row["state"] == "holds" else f"  ({row['state']})"
        who = _shown(row["who"] or "")
        print(f"{row['id'].split(':')[-1][:8]}  {score}{day:<8}  {who:<12}  {_shown(row['text'])}{gone}")


def _lines(row: dict[str, Any]) -> list[str]:
    return [f"{name}: {_shown(str(value))}" for name, value in row.items() if value not in (None, [])]


def _shown(text: str) -> str:
    from instar.legible import shown

    return shown(text)
