"""The commands for what a run made: compare it, evaluate it, talk to it, take it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instar.cli.options import A_POLICY, EngineName, Json, PolicyName, Quiet, System, complete_policy, complete_run


def compare(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="A run, or a policy of one (RUN:ID).", autocompletion=complete_policy),
    ],
    b: Annotated[
        str | None,
        typer.Argument(
            metavar="[B]", help="What A is compared with. Without it: A's final policy with its base.",
            show_default=False, autocompletion=complete_policy,
        ),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compare two runs, or two policies, item by item on the sealed exam.

    Refuses (exit code 7) when the exams differ. Spends no token: it reads what the runs stored.

    Example: instar compare demo-1 star-1
    """
    from instar.cli.compare import compare_two

    compare_two(a, b, as_json=json_)


def difficulty(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Runs whose policies are fitted together; default: the newest.",
            show_default=False, autocompletion=complete_run,
        ),
    ] = None,
    two: Annotated[
        bool, typer.Option("--2pl", help="Also each task's slope; it wants many policies. Default: the Rasch model.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Estimate how hard the tasks of train and dev are and how able the policies, with standard errors.

    For choosing what to learn from. Gate and sealed tasks are not looked at: they stay random and paired.

    Example: instar difficulty full_loop-1 full_loop-2
    """
    from contextlib import ExitStack

    from instar.app.storage.paths import last_run, run_folder
    from instar.cli.difficulty import show_difficulty
    from instar.store.sound import sound

    folders = [run_folder(name) for name in runs] if runs else [last_run()]
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(sound(folder))
        show_difficulty(folders, two=two, as_json=json_)


def evaluate(
    policies: Annotated[
        list[str],
        typer.Argument(metavar="POLICY...", help=f"One or more: {A_POLICY}", autocompletion=complete_policy),
    ],
    on: Annotated[
        str | None,
        typer.Option(
            help="The exam: RUN (its sealed set), RUN:dev, RUN:guard:NAME, a config (.toml: its sealed set), or a file "
            "of rows as init reads them. Default: the policy's own run.",
            autocompletion=complete_run,
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="For a file of rows: a checker's name, or my_checks.py:is_right.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="For a file of rows: the column; default: found out.")] = None,
    answer: Annotated[str | None, typer.Option(help="For a file of rows: the column; default: found out.")] = None,
    samples: Annotated[int, typer.Option(help="For a file of rows: answers a task; more than one are sampled.")] = 1,
    max_tokens: Annotated[int, typer.Option(help="For a file of rows: longest answer.")] = 48,
    limit: Annotated[int | None, typer.Option(min=1, help="For a file of rows: only its first tasks.")] = None,
    system: System = None,
    engine: EngineName = None,
    outcomes: Annotated[
        Path | None, typer.Option(help="Write every item's outcome to this .jsonl or .csv file.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Examine any policy, artefact or model on any exam; two of them are also compared.

    Looking at a sealed exam often and choosing by it makes it a dev set: keep another for the last word.

    Example: instar evaluate demo-1:base demo-1 --on my_questions.jsonl --outcomes items.csv
    """
    from instar.cli.evaluate import evaluate_policies

    evaluate_policies(
        policies, on=on, judge=judge, samples=samples, max_tokens=max_tokens, at_most=limit, system=system,
        engine=engine, outcomes=outcomes, as_json=json_, quiet=quiet, question=question, answer=answer,
    )  # fmt: skip


def chat(
    policy: PolicyName,
    once: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Say this and leave; given again: the next turn.")
    ] = None,
    system: System = None,
    engine: EngineName = None,
    temperature: Annotated[float, typer.Option(min=0, max=10, help="0 always gives the same answer.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="For temperatures above 0.")] = 1,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who speaks: of whom a policy with a memory recalls notes.")
    ] = None,
    now: Annotated[float | None, typer.Option(help="The day that it is, for a memory of dated notes.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Talk to any policy. An empty line or Ctrl-D leaves; /new begins again.

    Example: instar chat demo-1 --once "What is 17 + 25?"
    """
    from instar.cli.chat import talk

    talk(
        policy, once or [], system=system, engine=engine, temperature=temperature, max_tokens=max_tokens, seed=seed,
        as_json=json_, quiet=quiet, who=who, now=now,
    )  # fmt: skip


def export(
    policy: PolicyName,
    out: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A new or empty folder.", show_default=False)
    ] = None,
    gguf: Annotated[Path | None, typer.Option(help="Write a GGUF file for llama.cpp instead.")] = None,
    gguf_type: Annotated[str, typer.Option(help="Its weights: F32, F16 or Q8_0.")] = "F16",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Only the LoRA adapter the policy was trained as.")
    ] = False,
    items: Annotated[
        Path | None, typer.Option(help="Write the run's sealed tasks, as they were asked, to this .jsonl instead.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="With --adapter: of which role, where a policy has one for each.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a policy as a Hugging Face folder with a model card made from the ledger, or as GGUF, or its adapter.

    Example: instar export demo-1 my-model, then AutoModelForCausalLM.from_pretrained("my-model")
    """
    from instar.cli.export import export_items, export_policy

    if items is not None:
        export_items(policy, items, other=out or gguf, force=force, as_json=json_, quiet=quiet)
        return
    export_policy(
        policy, out, gguf=gguf, gguf_type=gguf_type, adapter=adapter, role=role, force=force, as_json=json_, quiet=quiet
    )
