"""``instar chat``: talk to any policy in the terminal, or say one thing from a script."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from instar.app.config import RunConfig
from instar.app.examine import open_engine, plan_of
from instar.app.policies import find
from instar.app.talk import Talk
from instar.cli.plain import plain
from instar.errors import EngineError
from instar.records import Finish, Reply, Sampling
from instar.run.progress import Screen


def talk(
    said: str, once: list[str], *, system: str | None, engine: str | None, temperature: float, max_tokens: int,
    seed: int, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Answer each text of ``once``; without any, read lines until the user leaves."""
    screen = Screen("silent" if quiet else "auto")
    default = RunConfig(recipe="rest_em")
    found = find(said, system=default.system if system is None else system, say=screen.line)
    config = plan_of(found.run).run if found.run else default
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    with open_engine(found.policy, config, name=engine) as made, Talk(made, found.policy, sampling, seed) as held:
        if once:
            replies = [(text, held.say(text)) for text in once]
            print(json.dumps([_data(t, r) for t, r in replies], indent=1)) if as_json else _print(replies)
            return
        if not quiet:
            print(f"{found.title} on {made.name} {held.precision}. An empty line leaves, /new begins again.")
        _converse(held, as_json)


def _converse(held: Talk, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    while True:
        try:
            text = console.input("[bold]you:[/] " if console.is_terminal else "").strip()
        except EOFError:
            return
        if not text:
            return
        if text == "/new":
            held.forget()
            continue
        try:
            with console.status("thinking"):
                reply = held.say(text)
        except EngineError as e:  # the context is full, say: the conversation can begin again
            console.print(f"{e} /new begins again.", markup=False)
            continue
        if as_json:
            print(json.dumps(_data(text, reply)))
        else:
            console.print(_shown(reply), markup=False)


def _print(replies: list[tuple[str, Reply]]) -> None:
    for _, reply in replies:
        print(_shown(reply))


def _shown(reply: Reply) -> str:
    cut = " [cut at --max-tokens]" if reply.finish is Finish.length else ""
    return plain(reply.text.strip(), lines=True) + cut


def _data(text: str, reply: Reply) -> dict[str, Any]:
    return {"said": text, "reply": reply.text, "finish": reply.finish.value, "tokens": reply.tokens,
            "policy": reply.policy, "engine": reply.engine, "precision": reply.precision}  # fmt: skip
