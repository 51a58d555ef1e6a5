"""The list of checks before a run, in the order in which they can be made, and all that they found as one error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from instar.acquire.feedback import pool
from instar.acquire.feedback.verify import Verify
from instar.app.configs.config import Plan
from instar.app.preflight import (
    draws,
    engines,
    judges,
    names,
    pools,
    prompts,
    remembering,
    replays,
    servers,
    settings,
    worlds,
)
from instar.app.preflight.foreseen import contradicted, foreseen, renamed
from instar.app.preflight.seen import Seen
from instar.app.preflight.strangers import strangers
from instar.app.preflight.trainable import refuse_untrainable
from instar.app.preflight.verifiers import put_to_the_test
from instar.app.sessions.task_sets import draw
from instar.app.storage.paths import artefacts, check_name, check_writable, home
from instar.app.weights.at_hand import AtHand, at_hand
from instar.app.weights.models import obtain
from instar.errors import DataError, InstarError
from instar.model_folder.folder import read
from instar.records import Task

Check = Callable[[Seen], Iterable[InstarError]]
Say = Callable[[str], None]

OF_THE_PLAN: tuple[Check, ...] = (
    settings.samples, settings.parts, pools.dev, judges.walls, worlds.others, prompts.shots_of_both_kinds,
)  # fmt: skip
"""Before a task is drawn; ``settings.sizes`` and ``draws.slow`` come first: what they find would make that hang."""
OF_THE_TASKS: tuple[Check, ...] = (
    names.abilities,
    names.ability_column,
    judges.tests,
    judges.golds,
    judges.needs,
    pools.pool,
    prompts.shots,
    remembering.leaks,
    replays.held_out,
)
OF_THE_MODEL: tuple[Check, ...] = (
    engines.engine, engines.training, pools.disk, prompts.template, prompts.rooms, prompts.untrainable,
)  # fmt: skip
"""Those of its tokenizer look at the tasks too. Nothing is loaded but the tokenizer."""
WARNINGS: tuple[Callable[[Seen], Sequence[str]], ...] = (
    settings.promised, pools.short, pools.blind, pools.repeated, prompts.dropped,
)  # fmt: skip


@dataclass(frozen=True)
class Ready:
    """What a run that may begin has: its sets, what is worth a warning, and what is fetched first."""

    sets: Mapping[str, list[Task]]
    warnings: tuple[str, ...]
    fetches: tuple[str, ...] = ()
    """In words; of these models nothing more than the name could be checked yet."""
    check_seconds: float = 0.0
    """Of one check by the user's own verifier, where it was timed (a dry run does)."""


def preflight(plan: Plan, *, name: str | None = None, fetch: bool, say: Say = lambda _: None) -> Ready:
    """Check everything that can be known of a run before a token is spent. Stores nothing but, with ``fetch``, models.

    Without ``fetch`` (a dry run) a model that is not here is looked up at most; and the verifier is put to its test,
    which a run does when its record has begun.

    Raises:
        InstarError: the one thing that is wrong; or one of the kind with the lowest exit code, which lists all.
    """
    found: list[InstarError] = []
    unwritable: list[InstarError] = []
    with _collected(unwritable):
        check_writable()
    found += unwritable
    with _collected(found):
        if name is not None:
            check_name(name)
    for line in strangers(plan):
        say(line)
    seen = Seen(plan, {}, None)
    absurd = _said(settings.sizes, seen) or _said(draws.slow, seen)
    found += absurd
    for check in OF_THE_PLAN:
        found += _said(check, seen)
    drawn: dict[str, list[Task]] = {}
    if not absurd:
        with _collected(found):
            drawn = _drawn(plan)
    seen = Seen(plan, drawn, None)
    if drawn:
        for check in OF_THE_TASKS:
            found += _said(check, seen)
    model, judge = (None, None) if unwritable else _models(plan, found)
    if not found and fetch:
        model, judge = _fetched(plan.run.model, model, say), _fetched(plan.run.judge_model, judge, say)
    found += servers.reached(plan, [m.server for m in (model, judge) if m is not None and m.server is not None])
    seen = replace(seen, model=model)
    for check in OF_THE_MODEL:
        found += _said(check, seen)
    each = 0.0
    if not found and not fetch:
        with _collected(found):
            each = _stress(plan, drawn, say)
    if found:
        raise together(found)
    fetches = [m.fetches for m in (model, judge) if m is not None and m.fetches]
    warnings = [
        *renamed(plan),
        *contradicted(plan),
        *foreseen(plan, drawn),
        *(w for warn in WARNINGS for w in warn(seen)),
    ]
    return Ready(drawn, tuple(warnings), tuple(dict.fromkeys(fetches)), each)


def together(found: Sequence[InstarError]) -> InstarError:
    """One error that says all: the finding itself where there is but one. The exit code is the lowest of theirs."""
    if len(found) == 1:
        return found[0]
    first = min(found, key=lambda e: e.exit_code)
    lines = [f"{n}. {e}" for n, e in enumerate(found, start=1)]
    return type(first)(f"{len(found)} things are in the way of this run; nothing was asked.", "\n        ".join(lines))


def _drawn(plan: Plan) -> dict[str, list[Task]]:
    try:
        return draw(plan)
    except InstarError:
        raise
    except (MemoryError, Exception) as e:  # a source is whatever a package or the settings of a family make of it
        raise DataError(
            f"the tasks cannot be drawn: {plan.run.tasks.name} fails with {type(e).__name__}: {str(e)[:300]}.",
            "Mend the settings of tasks, or the source.",
        ) from e


def _models(plan: Plan, found: list[InstarError]) -> tuple[AtHand | None, AtHand | None]:
    """The model and the judge's, where they are named rightly, and what is wrong with them."""
    model, judge = _model(plan, plan.run.model, found), None
    if plan.run.judge_model is not None:
        judge = _model(plan, plan.run.judge_model, found)
    return model, judge


def _model(plan: Plan, name: str, found: list[InstarError]) -> AtHand | None:
    with _collected(found):
        model = at_hand(name, home=home(), artefacts=artefacts())
        if model.folder is not None and name == plan.run.model:
            refuse_untrainable(plan, read(model.folder))
        return model
    return None


def _fetched(name: str | None, model: AtHand | None, say: Say) -> AtHand | None:
    if name is None or model is None or not model.fetches:
        return model
    obtain(name, home=home(), artefacts=artefacts(), system=None, say=say)
    return at_hand(name, home=home(), artefacts=artefacts())


def _stress(plan: Plan, sets: Mapping[str, Sequence[Task]], say: Say) -> float:
    """The verifier on planted answers, in the processes it runs in: some two seconds. Reasoning-gym's own verifiers on
    its own items are left to the run: what they do is known (tests measure them)."""
    judge = getattr(plan.settings, "judge", None)
    if isinstance(judge, Verify) and judge.checker == "auto" and all(judges.of_gym(t) for t in sets.get("train", ())):
        return 0.0
    pool.shared().warm()
    try:
        return asyncio.run(put_to_the_test(plan, sets.get("train", ()), say))
    finally:
        pool.shared().close()


def _said(check: Check, seen: Seen) -> list[InstarError]:
    found: list[InstarError] = []
    with _collected(found):
        found += check(seen)
    return found


@contextlib.contextmanager
def _collected(found: list[InstarError]) -> Iterator[None]:
    try:
        yield
    except InstarError as e:
        found.append(e)
