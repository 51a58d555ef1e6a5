"""One session of a run: open or reopen its folder, let the recipe work, examine the result, leave it resumable."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import inspect
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.acquire.feedback import pool
from instar.acquire.replay import Mixed
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.sets import SETS, prove_disjoint, prove_storable
from instar.acquire.tasks.table import Table, reachable
from instar.app.configs.config import MAY_CHANGE, Plan
from instar.app.configs.shots import with_shots
from instar.app.host.engine_choice import engine_of
from instar.app.host.limits import limits
from instar.app.host.machine import gpu, processor
from instar.app.host.versions import versions
from instar.app.memories import with_memory
from instar.app.preflight.estimate import agenda
from instar.app.preflight.foreseen import contradicted, foreseen, renamed
from instar.app.preflight.guards import turns
from instar.app.preflight.needs import lacking
from instar.app.preflight.strangers import strangers
from instar.app.preflight.trainable import refuse_untrainable
from instar.app.preflight.verifiers import put_to_the_test, verifiers
from instar.app.sessions.begun_with import begun_with, recorded_as
from instar.app.sessions.ending import end
from instar.app.sessions.headline import beside, figures
from instar.app.sessions.procedures import procedures
from instar.app.sessions.renamed import RENAMED
from instar.app.sessions.suites import budgets, draw_suites, examined
from instar.app.sessions.texts import read_at_last, texts_of
from instar.app.sessions.tools import same_tools
from instar.app.sessions.tracking import followed, ready
from instar.app.storage.paths import artefacts, home
from instar.errors import (
    BudgetSpent,
    Cancelled,
    CannotContinue,
    ConfigError,
    DataError,
    InstarError,
    NothingToLearn,
    RunHeld,
    StepFailed,
    StoreError,
)
from instar.legible import said
from instar.model_folder.folder import read
from instar.protocols import Engine, Replay, identity
from instar.records import Policy, Sampling, Task, hash_of
from instar.run.braking import Brake
from instar.run.budget import BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.keys import set_seed
from instar.run.measuring import Measuring
from instar.run.outputs import Output, mint_all
from instar.run.progress import Screen
from instar.run.replaying import refuse_held_out
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.store.artefacts import Artefacts
from instar.store.disk import full, is_full
from instar.store.door import open_ledger
from instar.store.ledger import Ledger, Made
from instar.store.left_out import leave_out, left_out
from instar.store.lock import WriterLock
from instar.store.readers import policies
from instar.store.refusal import WRITING
from instar.store.schema import BEFORE
from instar.store.sessions import seconds_of

SEALED = "sealed"
WRITES = Sample(samples=1, sampling=Sampling(temperature=1.0, max_tokens=64))
"""How the base answers for the divergence from it: as it is, from all tokens, or the estimate would be biased."""


@dataclass(frozen=True)
class Ended:
    """How a session ended. ``nothing_left`` is True when the run was complete before it began."""

    folder: Path
    nothing_left: bool = False


def execute(
    plan: Plan,
    folder: Path,
    screen: Screen,
    *,
    accept_changes: bool = False,
    without: Sequence[tuple[str, str]] = (),
    stop: threading.Event | None = None,
    drawn: Mapping[str, list[Task]] | None = None,
    check_seconds: float = 0.0,
) -> Ended:
    """Work on a run until it is done, stopped or failed. Raises InstarError; what is finished is in the ledger.

    ``without``: tasks to leave out from now on, for every policy, each (id or its beginning, reason). ``drawn``: a new
    run's sets where they were drawn already (app.preflight), ``check_seconds`` what one check took there.

    Ctrl-C stops it in the main thread; in another thread (a notebook's), setting ``stop`` does.
    """
    stop = stop or threading.Event()
    ready(plan)
    with WriterLock(folder / "lock"), _clear_disk_errors(folder), contextlib.closing(_ledger(folder)) as ledger:
        if ledger.copied is not None:
            screen.line(f"  this ledger is of an older instar; as it was, it is kept as {ledger.copied.name}")
        if not ledger.has_work():  # a start that failed leaves nothing in the way of the next
            ledger.forget_start()
            (folder / "started").touch()
        changed = _same_run(ledger, plan, accept_changes)
        if "result" in ledger.about():
            with followed(plan, folder, screen.line):  # a tracker that was added later, or failed, hears of it now
                pass
            if without:
                raise ConfigError(f"the run {folder.name} is finished: its exam stands.", "Start a new run.")
            return Ended(folder, nothing_left=True)
        for task, reason in without:
            screen.line(leave_out(ledger, task, reason))
        watch = Stopwatch()
        session = ledger.begin_session()
        _note_versions(ledger, session)
        with followed(plan, folder, screen.line):
            status, note = "failed", ""
            try:
                _work(plan, folder, screen, ledger, watch, accept_changes, stop, changed, drawn, check_seconds)
                status = "finished"
            except KeyboardInterrupt:  # before the loop, or after it
                status, note = "stopped", "Ctrl-C"
                raise Cancelled("stopped.") from None
            except (Cancelled, BudgetSpent, NothingToLearn, RunHeld) as e:
                status, note = "stopped", f"{e.kept} {e.hint}" if isinstance(e, NothingToLearn) else str(e)
                raise
            except SystemExit as e:  # a user's operator called sys.exit(): the run has not ended well
                note = f"SystemExit: {e}"
                raise StepFailed(f"an operator called sys.exit({e}).", "Mend it and resume: the rest is kept.") from e
            except BaseException as e:
                note = f"{type(e).__name__}: {said(e)}"
                raise
            finally:
                # a full disk cannot take the note either; the reason is on its way
                with contextlib.suppress(StoreError):
                    ledger.end_session(session, status, note[:2000], watch.spans())
    return Ended(folder)


def _note_versions(ledger: Ledger, session: int) -> None:
    """Each session may have run on another machine, or after an upgrade: all of them are kept."""
    known = json.loads(ledger.about().get("versions", "{}"))
    ledger.set_about(versions=json.dumps({**known, f"session {session}": versions()}))


def _note_limits(ledger: Ledger, base: Policy, engine: Engine, store: Artefacts) -> None:
    """What this machine could do for such a model, so that the summary can say the share of it that was reached."""
    if base.weights.place != "artefact" or gpu() is not None or importlib.util.find_spec("torch") is None:
        return  # a GPU's rate is not measured yet
    trained = "bf16" if processor()["bf16_in_hardware"] else "f32"
    of = {"generate": engine.precision_for("sample"), "exam": engine.precision_for("exam"), "train": trained}
    ledger.set_about(limits=json.dumps(limits(home(), store.open(base.weights.digest), of)))


def _work(
    plan: Plan, folder: Path, screen: Screen, ledger: Ledger, watch: Stopwatch, accept: bool, stop: threading.Event,
    changed: frozenset[str], drawn: Mapping[str, list[Task]] | None, check_seconds: float,
) -> None:  # fmt: skip
    store = artefacts()
    with watch.phase("start"):
        pool.shared().warm()  # the checking processes start on the other core meanwhile: about a second
        try:
            base = _base(plan, ledger, store, screen)
            if base.weights.place == "artefact":
                refuse_untrainable(plan, read(store.open(base.weights.digest)))
            ledger.add_records([Made(base, recorded_as(plan.run.model), 0, 0)])
            judge = _judge(plan, ledger, store, screen)
            if judge is not None and judge.id != base.id:
                ledger.add_records([Made(judge, recorded_as(str(plan.run.judge_model)), 0, 0)])
            # who looked before the run began has said so
            contradictions = [] if ledger.sets() or drawn is not None else [*renamed(plan), *contradicted(plan)]
            tasks = _sets(plan, ledger, drawn)
            for sentence in [*contradictions, *(foreseen(plan, {"gate": tasks.gate}) if drawn is None else ())]:
                screen.line(f"warning: {sentence}")
            if "agenda" not in ledger.about():
                now = {n: getattr(tasks, n) for n in SETS} | dict(tasks.suites)
                ledger.set_about(agenda=json.dumps(agenda(plan, now, check_seconds)))
            if not ledger.has_work() and (taking := turns(plan, dict(tasks.suites))) is not None:
                ledger.set_about(guard_turns=json.dumps({str(r): list(n) for r, n in taking.by_round.items()}))
                screen.line(taking.sentence)
            engine = engine_of(plan, base, folder, store, ledger, screen.line, judge=judge)
            _note_limits(ledger, base, engine, store)
        except BaseException:
            pool.shared().close()  # now, not at exit: workers that boot while their parent goes print tracebacks
            raise
    try:
        asyncio.run(
            _loop(plan, folder, screen, ledger, watch, store, base, judge, tasks, engine, accept, stop, changed)
        )
    finally:
        with watch.phase("close"):
            engine.close()
            pool.shared().close()


async def _loop(
    plan: Plan, folder: Path, screen: Screen, ledger: Ledger, watch: Stopwatch, store: Artefacts,
    base: Policy, judge: Policy | None, tasks: Sets, engine: Engine, accept: bool, stop: threading.Event,
    changed: frozenset[str],
) -> None:  # fmt: skip
    cfg = plan.run
    spent = ledger.asked()
    before = sum(seconds for id, seconds in seconds_of(ledger).items() if id != ledger.session)
    budget_tracker = BudgetTracker(
        cfg.budget, folder, home(), tokens=spent["tokens"], calls=spent["calls"], seconds_before=before
    )
    about = ledger.about()
    for key, place in zip(("disk_free_at_start", "home_free_at_start"), budget_tracker.places, strict=False):
        if key not in about:
            about[key] = repr(shutil.disk_usage(place).free / 1e9)
            ledger.set_about(**{key: about[key]})
        budget_tracker.free_at_start[place] = float(about[key])
    ledger.spans = watch.spans
    generate_context = GenerateContext(engine, ledger, budget_tracker, asyncio.Event(), accept_changes=accept)
    run = Run(
        ledger=ledger, engine=engine, artefacts=store, generate_context=generate_context,
        budget_tracker=budget_tracker, screen=screen, watch=watch, stop=stop, folder=folder, seed=cfg.seed, base=base,
        tasks=tasks, tolerance=cfg.tolerance, measuring=Measuring(cfg.audit_with, judge), keep_going=cfg.keep_going,
        budgets=budgets(getattr(plan.settings, "exam", None), cfg.suites),
        brake=Brake(cfg.brake, replay=Mixed()), writes=WRITES, texts=texts_of(cfg),
        turns={int(r): n for r, n in json.loads(about.get("guard_turns", "{}")).items()},
    )  # fmt: skip
    with screen.shown(), _ctrl_c(asyncio.get_running_loop(), generate_context, stop, screen):
        if not spent["calls"]:  # a new run; one that was stopped here is tested again
            _prepared(plan, tasks)
        else:
            for line in strangers(plan):
                screen.line(line)
        await asyncio.to_thread(same_tools, plan, ledger, accept)
        if not spent["calls"] or changed & {j.op_id for j in verifiers(plan)}:
            with run.watch.phase("check"):
                await put_to_the_test(
                    plan, run.tasks.train, run.screen.line, lambda r: ledger.set_about(stress=r.model_dump_json())
                )
        final = run.brake.stands_for(await plan.recipe.function(run, plan.settings))
        if run.evolved_at is None:
            run.evolved()
        await _seal(plan, run, final)
        if generate_context.replayed:
            screen.line(
                f"  {generate_context.replayed:,} model calls were answered from the journal, "
                f"{generate_context.asked:,} asked anew"
            )
    with contextlib.suppress(OSError):
        (folder / "scratch").rmdir()


def _prepared(plan: Plan, tasks: Sets) -> None:
    """Refuse a run with an operator that lacks something it needs, before a token is spent."""
    for missing in lacking(plan, {**{name: getattr(tasks, name) for name in SETS}, **tasks.suites}):
        raise missing
    for op in plan.ops():
        if isinstance(op, Replay):
            refuse_held_out(op, tasks.held_out())


async def _seal(plan: Plan, run: Run, final: Policy) -> None:
    """The sealed exam: scored once, at the end, for the base, the result and the controls."""
    exam = getattr(plan.settings, "exam", None)
    result: dict[str, Any] = {"final": final.id, "base": run.base.id, "evolution_seconds": run.evolved_at}
    result["controls"] = {name: p.id for name, p in run.controls.items()}
    if exam is not None:
        before = await run.evaluate(exam, run.base, run.tasks.sealed, suite=SEALED)
        after = before if final.id == run.base.id else await run.evaluate(exam, final, run.tasks.sealed, suite=SEALED)
        result["sealed"] = {**figures(before, after), "controls": {}}
        for name, policy in run.controls.items():
            other = await run.evaluate(exam, policy, run.tasks.sealed, suite=SEALED)
            result["sealed"]["controls"][name] = beside(other, after)
        if run.procedures:
            result["sealed"]["procedures"] = await procedures(run, exam, final, after)
        if run.tasks.suites:  # without any, a result is what it was before there were suites
            result["suites"] = await examined(run, exam, plan.run.suites, final)
    if run.texts is not None:
        result["text"] = await read_at_last(run, final)
    end(run.ledger, plan.recipe.name, result, run.reported)


def _base(plan: Plan, ledger: Ledger, store: Artefacts, screen: Screen) -> Policy:
    base = begun_with(
        plan.run.model, ledger=ledger, home=home(), artefacts=store, system=plan.run.system, say=screen.line
    )
    began = policies.begun_with(ledger, recorded_as(plan.run.model))
    return with_memory(with_shots(base, plan.run.shots), plan.run.memory, began)


def _judge(plan: Plan, ledger: Ledger, store: Artefacts, screen: Screen) -> Policy | None:
    """The policy of ``judge_model``, if there is one."""
    if plan.run.judge_model is None:
        return None
    return begun_with(plan.run.judge_model, ledger=ledger, home=home(), artefacts=store, system=None, say=screen.line)


def draw(plan: Plan) -> dict[str, list[Task]]:
    """All four sets and the suites, drawn and proven disjoint. No token is spent."""
    cfg = plan.run
    for op in plan.ops():
        if isinstance(op, Table):
            reachable(op)
    rounds = plan.settings.rounds
    sizes = {"train": cfg.sizes.train * rounds, "gate": cfg.sizes.gate * rounds}
    sizes |= {"dev": cfg.sizes.dev, "sealed": cfg.sizes.sealed}
    seeds = {name: set_seed(cfg.seed, name) for name in SETS} | {"sealed": cfg.sealed_seed}
    try:
        drawn = cfg.tasks({k: n for k, n in sizes.items() if n}, seeds)
    except InstarError:
        raise
    except (Exception, SystemExit) as e:
        if type(cfg.tasks).__module__.startswith("instar."):
            raise
        raise DataError(f"the source {cfg.tasks.name} failed: {type(e).__name__}: {said(e)}.", "Mend it.") from e
    drawn = {**drawn, **draw_suites(cfg, drawn)}
    prove_storable(drawn)
    prove_disjoint({k: v for k, v in drawn.items() if v})
    return drawn


def _sets(plan: Plan, ledger: Ledger, drawn: Mapping[str, list[Task]] | None = None) -> Sets:
    """The run's sets: from its ledger when it is resumed, drawn and recorded when it is new."""
    stored = ledger.sets()
    if stored:
        found = {name: ledger.records(ids=ids) for name, ids in stored.items()}
        train, dev, gate, sealed = (tuple(r for r in found.get(n, []) if isinstance(r, Task)) for n in SETS)
        for name in plan.run.suites:
            if name not in found:
                raise CannotContinue(f"the suite {name} was not drawn when this run was made.", "Start a new run.")
        suites = {n: tuple(r for r in found[n] if isinstance(r, Task)) for n in plan.run.suites}
        sets = Sets(train, dev, gate, sealed, suites=suites)
        return sets.without(out) if (out := left_out(ledger)) else sets
    drawn = drawn or draw(plan)
    flat = [(name, i, task) for name in SETS for i, task in enumerate(drawn.get(name, []))]
    made = mint_all([Output(task, ()) for _, _, task in flat], plan.run.tasks.op_id, 0)
    for name, suite in plan.run.suites.items():  # after the sets, whose ids stay what they are without suites
        flat += (own := [(name, i, task) for i, task in enumerate(drawn[name])])
        made += mint_all([Output(task, ()) for *_, task in own], suite.tasks.op_id, 0, first=len(made))
    ledger.add_sets(made, [(name, i, m.record.id) for (name, i, _), m in zip(flat, made, strict=True)])
    return _sets(plan, ledger)


def _ledger(folder: Path) -> Ledger:
    return open_ledger(folder / "ledger.db", "write")


def _same_run(ledger: Ledger, plan: Plan, accept: bool) -> frozenset[str]:
    """Note the config and the operators of a new run; refuse to go on with an old one when they changed. Returns the
    operators whose source did."""
    known = ledger.about()
    digest = plan.digest()
    now = {o.op_id: (o.op_id, o.name, identity(o), o.source_digest()) for o in plan.ops()}
    recipe = plan.recipe
    source = hashlib.sha256(inspect.getsource(recipe.function).encode()).hexdigest()[:32]
    recipe_id = hash_of("recipe", recipe.name)
    now[recipe_id] = (recipe_id, recipe.name, {"recipe": recipe.name}, source)
    old = {id: was for id, was in ledger.ops().items() if id in now and not was["source"].startswith(BEFORE)}
    moved = {id: was["name"] for id, was in old.items() if was["source"] not in {now[id][3], *RENAMED}}
    if "config_digest" in known and not accept:
        if known["config_digest"] != digest:
            changed = sorted(_differences(json.loads(known["resolved"]), plan.resolved()))
            raise CannotContinue(
                f"the config of this run changed: {', '.join(changed) or 'its form'}.",
                "Start a new run with it, or continue this one anyway with --accept-changes.",
            )
        for name in moved.values():
            raise CannotContinue(
                f"the source of {name!r} changed since this run was made, but its version did not.",
                "Start a new run, or continue with --accept-changes: finished calls are kept as they are, and checks "
                "that gave no score are made again.",
            )
    ledger.add_ops(now.values())
    ledger.set_about(
        config_digest=digest, resolved=json.dumps(plan.resolved()), recipe=recipe.name, seed=str(plan.run.seed),
        config=json.dumps(plan.raw),
    )  # fmt: skip
    return frozenset(moved)


def _differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for k in {*a, *b}:
            if path or k not in MAY_CHANGE:
                yield from _differences(a.get(k), b.get(k), f"{path}.{k}" if path else k)
    elif json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
        yield f"{path} was {a!r:.60}, is {b!r:.60}"


@contextlib.contextmanager
def _ctrl_c(
    loop: asyncio.AbstractEventLoop, generate_context: GenerateContext, stop: threading.Event, screen: Screen
) -> Iterator[None]:
    """The first Ctrl-C asks everything to stop; the second leaves at once (the ledger is safe either way).

    Signals reach the main thread alone: in another one, ``stop`` is looked at instead."""
    work = asyncio.current_task()
    main = threading.current_thread() is threading.main_thread()

    def interrupt() -> None:
        if stop.is_set() and main:
            os._exit(130)
        screen.line("stopping: what is in flight is given up, what is finished is kept (Ctrl-C again: now)")
        generate_context.stopped.set()
        stop.set()
        if work:
            work.cancel()

    async def look() -> None:
        while not stop.is_set():  # noqa: ASYNC110 - it is set from another thread
            await asyncio.sleep(0.1)
        interrupt()

    looking = None if main else loop.create_task(look())
    before = {s: signal.getsignal(s) for s in ((signal.SIGINT, signal.SIGTERM) if main else ())}
    for s in before:
        loop.add_signal_handler(s, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if stop.is_set():
            raise Cancelled("stopped.") from None
        raise
    finally:
        if looking:
            looking.cancel()
        for s, handler in before.items():
            loop.remove_signal_handler(s)
            signal.signal(s, handler)


@contextlib.contextmanager
def _clear_disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except WRITING as e:
        if is_full(e):
            raise full([folder, home()]) from e
        raise
