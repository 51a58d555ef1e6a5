"""Text games before and after: TextWorld's smallest, in games that were not trained on.

    python -m bench.textworld PYTHON                 PYTHON has textworld: VENV/bin/python
    python -m bench.textworld PYTHON --set engine=openvino    on a processor without AVX-512
    python -m bench.textworld PYTHON --table         the table of what is finished

One room, three things, a quest of one command, four turns; the commands that are possible are told. The policy is
shown three made-up openings with a command each, as chat turns, in exams as in training: without them the 135M model
talked, and won none of 320 episodes. ``rest_em`` learns from its own episodes that ended well. Beside it what chance
gets: commands drawn from those that are possible at the start. A run that is there is gone on with. Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence

from bench.named_run import finished, shown
from bench.tools import processor
from instar.acquire.environments.floor import floor
from instar.acquire.environments.textworld import TextWorld

NAME, TURNS = "textworld-rest_em", 4
SIZES = ("sizes.train=40", "sizes.gate=40", "sizes.sealed=200")
SHOTS = (
    ("Eat the plum.", "Pantry", "You see a plum on a plate.", "drop plate, eat plum, examine plum, look", "eat plum"),
    ("Open the box.", "Attic", "A closed box stands here.", "examine box, look, open box", "open box"),
    ("Put the mug on the bench.", "Yard", "You carry a mug.", "drop mug, look, put mug on bench", "put mug on bench"),
)
"""Openings of no game that TextWorld made: what is asked, where, what is seen, what can be said, and what wins."""


def shots() -> str:
    """The openings as ``shots`` of a config."""
    asks = TextWorld.model_fields["asks"].default
    told = (
        (f"{asks}\n\n{quest}\n-= {room} =-\n{seen}\nYou can: {can}.", wins) for quest, room, seen, can, wins in SHOTS
    )
    return ", ".join(f"{{question={json.dumps(q)}, answer={json.dumps(a)}}}" for q, a in told)


def settings(python: str) -> tuple[str, ...]:
    """What ``instar run rest_em`` is given."""
    world = f'{{op="textworld", python={json.dumps(python)}}}'
    play = f'op="play", environment={world}, turns={TURNS}, seconds=60'
    drawn = "sampling={temperature=0.8, top_k=40, max_tokens=16}"
    exam = "sampling={temperature=0.0, max_tokens=16}"
    judge = f'judge={{op="outcome", environment={world}, seconds=60}}'
    return (
        "model=smollm2-135m", "engine=native", "seed=41", "sealed_seed=4714", f"tasks={world}", "rounds=1", *SIZES,
        f"solve={{{play}, samples=8, {drawn}}}", judge, f"exam={{solve={{{play}, samples=1, {exam}}}, {judge}}}",
        f"shots=[{shots()}]", "control=false", "verifier_stress=off", "brake=off", "audit_with=none",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.textworld", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("python", help="an interpreter that has textworld")
    parser.add_argument("--set", action="append", default=[], help="a setting, such as engine=openvino")
    parser.add_argument("--table", action="store_true", help="the table of what is finished, nothing is run")
    o = parser.parse_args(argv)
    if not o.table:
        finished(NAME, "rest_em", (*settings(o.python), *o.set))
    x = shown(NAME)
    if x.get("status") != "finished":
        return
    s = x["sealed"]
    world = TextWorld(python=o.python)
    chance = asyncio.run(floor(world, world({"sealed": 100}, {"sealed": 1})["sealed"], turns=TURNS, seconds=60))
    print(processor())
    print("| by chance (100 games) | before | after | gain (95 %) | n | promoted | tokens asked | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {chance or 0:.1%} | {s['base']:.1%} | {s['final']:.1%} | {100 * s['gain']:+.1f} ({100 * s['low']:+.1f} to "
        f"{100 * s['high']:+.1f}) | {s['n']} | {sum(bool(r['gate'] and r['gate']['promoted']) for r in x['rounds'])} "
        f"| {x['asked']['tokens']:,} | {x['evolution_seconds']:.0f} |"
    )


if __name__ == "__main__":
    main()
