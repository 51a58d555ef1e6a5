"""What a small model knows of documents that it asked itself about, closed book, beside the bare text.

    python -m bench.self_qa [--articles 60] [--name self-qa] [--set KEY=VALUE ...] [--table]

Made-up articles, six facts each; sealed questions in words that no article uses, each fact's value told right where it
stands in the reply and no other value of the article does; a suite over articles that are never read. It may be killed
at any time and started again: a run that is finished is only read. ``--table`` prints what is there as Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from bench.named_run import instar
from bench.tools import processor
from instar.app.storage.paths import runs_folder
from instar.records import Assessment, Decision
from instar.store.ledger import Ledger


def settings(articles: int, sealed: int) -> list[str]:
    """As ``--set`` takes them; all else is what the recipe brings when it is started by its name."""
    unseen = f'{{op = "made_up_articles", first = {articles}, articles = {articles}}}'
    judge = '{op = "verify", checker = "guard_item", extract = "text"}'
    return [
        "model=smollm2-135m", "engine=native", "audit_with=none", "verifier_stress=off",
        f'tasks={{op = "made_up_articles", articles = {articles}}}', 'system="Answer the question."',
        f'suites={{"guard:unseen" = {{tasks = {unseen}, size = {sealed}, judge = {judge}}}}}',
        f"sizes={{train = {articles}, gate = {max(20, sealed // 3)}, sealed = {sealed}}}",
    ]  # fmt: skip


def run(name: str, articles: int, sealed: int, more: Sequence[str]) -> Path:
    """Begin the run, or go on with it; nothing where it is finished."""
    folder = runs_folder() / name
    if (folder / "ledger.db").exists():
        with closing(Ledger.read(folder / "ledger.db")) as ledger:
            if "result" in ledger.about():
                return folder
        command = ["resume", name]
    else:
        options = [o for s in (*settings(articles, sealed), *more) for o in ("--set", s)]
        command = ["run", "self_qa", "--name", name, *options]
    instar(*command)
    return folder


def table(folder: Path) -> str:
    """The sealed exam and the suite: base, result, control; and what was made."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        result: dict[str, Any] = json.loads(ledger.about().get("result", "{}"))
        decisions = cast(list[Decision], ledger.records("decision"))
        made = [a for a in cast(list[Assessment], ledger.records("assessment")) if a.verb == "create"]
    lines = [f"{folder.name}, {processor()}", "", "```", json.dumps(result, indent=1)[:4000], "```", ""]
    for a in made:
        lines.append(f"- made: { ({k: v for k, v in a.numbers.items() if v is not None}) }, refused {dict(a.counts)}")
    reasons = Counter(d.reason.partition(":")[0] for d in decisions)
    lines += [f"- {n} x {reason}" for reason, n in reasons.most_common(12)]
    return "\n".join(lines)


def main() -> None:
    """Run it, or print what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=60)
    parser.add_argument("--sealed", type=int, default=200)
    parser.add_argument("--name", default="self-qa")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    folder = runs_folder() / args.name if args.table else run(args.name, args.articles, args.sealed, args.sets)
    print(table(folder))


if __name__ == "__main__":
    main()
