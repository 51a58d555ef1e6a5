"""Options that mean the same in every command, and what a shell may complete them with."""

from __future__ import annotations

from typing import Annotated

import typer


def complete_run(incomplete: str) -> list[str]:
    """Names of the runs there are."""
    from instar.app.weights.policies import names

    return [n for n in names() if n.startswith(incomplete)]


def complete_target(incomplete: str) -> list[str]:
    """What ``instar run`` takes: recipes, presets, and the .toml files here."""
    from pathlib import Path

    from instar.app.configs.config_file import PRESETS
    from instar.app.configs.registry import recipes

    here = [p.name for p in Path().glob("*.toml")]
    return [n for n in sorted({*recipes(), *PRESETS, *here}) if n.startswith(incomplete)]


def complete_policy(incomplete: str) -> list[str]:
    """Runs, and model names."""
    from instar.app.weights.models import models

    known = [m for m in models() if m.replace("-", "").isalnum()]
    return [*complete_run(incomplete), *(m for m in known if m.startswith(incomplete))]


def complete_slot(incomplete: str) -> list[str]:
    """Slots of operators."""
    from instar.protocols import SLOTS

    return [s for s in SLOTS if s.startswith(incomplete)]


Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. rounds=1.")]
Name = Annotated[
    str | None, typer.Argument(help="A run's name or folder.", show_default=False, autocompletion=complete_run)
]
Last = Annotated[bool, typer.Option("--last", help="The newest started run.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
Accept = Annotated[bool, typer.Option("--accept-changes", help="Go on although config or operators changed.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Go on with a round of which no answer is right, or all are.")
]
Without = Annotated[
    list[str] | None, typer.Option(metavar="TASK=WHY", help="Leave a task out from now on, for every policy.")
]
A_POLICY = "RUN, RUN:base, RUN:final, RUN:ID, an ID, an artefact's or model's folder, or a model's name."
PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help=A_POLICY, show_default=False, autocompletion=complete_policy)
]
System = Annotated[
    str | None, typer.Option(help="System prompt for a model that is of no run; default: the one runs use.")
]
EngineName = Annotated[str | None, typer.Option("--engine", help="Answer with this engine, e.g. transformers.")]
