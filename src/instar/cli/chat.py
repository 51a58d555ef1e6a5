"""``instar chat``: talk to any policy in the terminal, or say one thing from a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rich.console import Console

from instar.app.configs.run_config import RunConfig
from instar.app.review.chat import Talk, recalling
from instar.app.review.examine import open_engine, plan_of
from instar.app.weights.policies import find
from instar.cli.plain import aloud, plain
from instar.errors import EngineError
from instar.records import Finish, Sampling
from instar.run.progress import Screen


def talk(
    said: str, once: list[str], *, system: str | None, engine: str | None, temperature: float, max_tokens: int,
    seed: int, as_json: bool, quiet: bool, who: str | None = None, now: float | None = None,
) -> None:  # fmt: skip
    """Answer each text of ``once``; without any, read lines until the user leaves. ``who`` speaks, on the day ``now``:
    that decides what a policy with a memory recalls."""
    screen = Screen("silent" if quiet else "auto")
    default = RunConfig(recipe="rest_em")
    found = find(said, system=default.system if system is None else system, say=screen.line)
    plan = plan_of(found.run) if found.run else None
    config = plan.run if plan else default
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    talks = recalling(found.policy, plan, who=who, now=now)
    with open_engine(found.policy, config, name=engine) as made, talks(made, found.policy, sampling, seed) as held:
        if once:
            if as_json:
                print(json.dumps([_data(text, held) for text in once], indent=1))
                return
            for text in once:
                _aloud(held, text, Speech(_write))
            return
        if not quiet:
            aloud(f"{found.title} on {made.name} {held.precision}. An empty line leaves, /new begins again.")
            if found.policy.memory is not None and who is None:
                aloud("It has a memory, and recalls what is nobody's: --who NAME recalls what somebody told it.")
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
            with console.status("thinking") as status:
                if as_json:
                    print(json.dumps(_data(text, held)))
                else:
                    _aloud(held, text, Speech(_write, before=status.stop))
        except EngineError as e:  # the context is full, say: the conversation can begin again
            console.print(plain(f"{e} /new begins again.", lines=True), markup=False)


class Speech:
    """Shows a reply while it is written: escaped, without the blanks around it. ``before`` is called once, before the
    first of it."""

    def __init__(self, write: Callable[[str], None], before: Callable[[], None] = lambda: None) -> None:
        self.write, self.before = write, before
        self.begun = False
        self._blank = ""

    def __call__(self, piece: str) -> None:
        text = self._blank + piece if self.begun else piece.lstrip()
        shown = text.rstrip()
        self._blank = text[len(shown) :]  # it is shown when something comes after it
        if shown:
            if not self.begun:
                self.before()
                self.begun = True
            self.write(plain(shown, lines=True))


def _aloud(held: Talk, text: str, speech: Speech) -> None:
    try:
        reply = held.say(text, speech)
    except BaseException:
        if speech.begun:
            speech.write("\n")  # what was begun stays; the error has a line of its own
        raise
    speech.write(" [cut at --max-tokens]\n" if reply.finish is Finish.length else "\n")
    for note in held.recalled:
        aloud(f"  recalled {note.id.split(':')[-1][:8]}: {note.text}")


def _write(text: str) -> None:
    print(text, end="", flush=True)


def _data(text: str, held: Talk) -> dict[str, Any]:
    reply = held.say(text)
    recalled = [{"id": n.id, "text": n.text, "when": n.when, "who": n.who} for n in held.recalled]
    return {"said": text, "reply": reply.text, "finish": reply.finish.value, "tokens": reply.tokens,
            "policy": reply.policy, "engine": reply.engine, "precision": reply.precision,
            **({"recalled": recalled} if held.policy.memory is not None else {})}  # fmt: skip
