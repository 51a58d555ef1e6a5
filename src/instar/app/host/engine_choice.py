"""Which engine answers for a policy: the one that is named, or what "auto" chooses, once in a run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from instar.app.configs.config import Plan
from instar.app.configs.registry import REAL_ENGINES, EngineContext, check_options, engines, has_options
from instar.app.configs.run_config import RunConfig
from instar.app.host import speeds
from instar.app.host.machine import cuda
from instar.app.preflight.estimate import estimate
from instar.app.storage.paths import home
from instar.engines.router import Router
from instar.errors import CannotContinue, ConfigError, ModelError
from instar.protocols import ArtefactStore, Engine
from instar.records import Policy
from instar.store.ledger import Ledger
from instar.store.readers import progress
from instar.store.roles import roles_of

PACKAGES = {"openvino": "openvino_genai", "transformers": "transformers"}
"""What a built-in engine imports when it is first asked."""
WORTH_MEASURING = 40_000
"""Tokens of a run, as estimated, from which on it pays to measure which engine samples fastest."""


def engine_of(
    plan: Plan, base: Policy, folder: Path, store: ArtefactStore, ledger: Ledger, say: Callable[[str], None] = print,
    *, judge: Policy | None = None,
) -> Engine:  # fmt: skip
    """A run's engine. ``auto`` chooses once in a run, and the choice stands in the ledger before the first ask: what
    was measured on two engines cannot be compared. A judge whose weights are at another place has one of its own
    beside it.

    Raises CannotContinue when the engine of the replies so far does not run here.
    """
    scratch = folder / "scratch" / "engine"
    scratch.mkdir(parents=True, exist_ok=True)
    own = _own_engine(plan, base, EngineContext(store, scratch, options_for(base, plan.run)), ledger, say)
    if judge is None or judge.weights.place == base.weights.place:
        return own
    name = ledger.about().get("judge_engine") or engine_for(judge, store)
    other = EngineContext(store, scratch, plan.run.openai.model_dump() if name == "openai" else {})
    try:
        made = engines()[name](other)
    except BaseException:
        own.close()
        raise
    ledger.set_about(judge_engine=name)
    return Router(own, {judge.weights.place: made})


def options_for(policy: Policy, config: RunConfig) -> dict[str, Any]:
    """The options of the engine that answers for what evolves: of one on a server, those of ``[openai]`` too."""
    of_server = config.openai.model_dump() if policy.weights.place == "remote" else {}
    return {**of_server, **config.engine_options}


def _own_engine(plan: Plan, base: Policy, context: EngineContext, ledger: Ledger, say: Callable[[str], None]) -> Engine:
    name, store = plan.run.engine, context.artefacts
    if name != "auto":
        return engines()[name](context)
    begun = chosen_before(ledger)
    choice = begun or choose(plan, base, store, say)
    try:
        engine = _opened(choice, context, begun is not None)
    except ModelError as e:
        if begun is None:
            raise
        raise CannotContinue(
            f"the replies of this run so far are of the engine {choice.named()}, which does not run here: {e.message}",
            "Resume it where that runs, or mix two engines knowingly: --set engine=NAME --accept-changes.",
        ) from e
    ledger.set_about(engines=choice.model_dump_json())
    return engine


class Choice(BaseModel):
    """What answers in a run. Exams by rule, samples by measure; with one engine for both, ``precision`` is its own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exam: str
    sample: str
    precision: str | None = None
    """Of samples; None: what the engine takes by itself."""
    why: str = ""
    device: str | None = None
    """Where transformers answers, if it does: the same weights say other things on a GPU. None: it was not noted."""
    measured: tuple[dict[str, Any], ...] = ()
    quiet: bool | None = None

    def named(self) -> str:
        """As a sentence names it."""
        place = f" on {self.device}" if self.device not in (None, "cpu") else ""
        return self.exam + place if self.exam == self.sample else f"{self.sample} (samples) and {self.exam} (exams)"


def _opened(choice: Choice, context: EngineContext, going_on: bool) -> Engine:
    for name in {choice.exam, choice.sample}:
        if going_on and name not in engines():
            raise ModelError(f"no package that is installed offers {name}.")
        if going_on and (package := PACKAGES.get(name)) and importlib.util.find_spec(package) is None:
            raise ModelError(f"the package {package} is not installed.")  # else its first ask would say so
    if choice.device is not None:
        context = replace(context, options={"device": choice.device, **context.options})
        if going_on and str(context.options["device"]).startswith("cuda") and not cuda():
            raise ModelError("torch sees no GPU.")
    sampled = {"sample_precision": choice.precision} if choice.precision else {}
    sampler = engines()[choice.sample](replace(context, options={**context.options, **sampled}))
    if choice.exam == choice.sample:
        return sampler
    from instar.engines.split import SplitEngine

    return SplitEngine(sampler, engines()[choice.exam](context))


def choose(plan: Plan, base: Policy, store: ArtefactStore, say: Callable[[str], None]) -> Choice:
    """``auto`` for a new run. Exams are answered by ``engine_for``'s engine, whatever is fast; samples by what was
    measured to be the fastest here, where the run is long enough for that to matter."""
    options = plan.run.engine_options
    exam = engine_for(base, store, options)
    if base.weights.place != "artefact":
        return Choice(exam=exam, sample=exam, why=f"the {base.weights.place} model")
    if _on_a_gpu(exam, options):
        device = options.get("device", "auto")
        why = "on a GPU it beats those that run on a CPU"
        return Choice(exam=exam, sample=exam, device="cuda" if device == "auto" else device, why=why)
    device = "cpu" if exam == "transformers" else None
    folder = store.open(base.weights.digest)
    candidates = samplers(folder, options, exam)
    if len(candidates) < 2:
        return Choice(exam=exam, sample=exam, device=device, why="the only one that can")
    if estimate(plan)["tokens"] < WORTH_MEASURING and not speeds.known(home(), folder, candidates):
        why = "too short a run to measure which one is the fastest"
        return Choice(exam=exam, sample=exam, device=device, why=why)
    found, quiet = speeds.measured(home(), folder, candidates, say)
    taken = speeds.best(found)
    said = tuple(asdict(s) for s in found)
    if taken is None:
        why = "none could be measured"
        return Choice(exam=exam, sample=exam, device=device, why=why, measured=said, quiet=quiet)
    rates = ", ".join(f"{s.engine} {s.precision} {s.tokens_per_s:,.0f}" for s in found if s.tokens_per_s)
    say(f"samples: {taken.engine} {taken.precision}; exams: {exam} (tokens/s measured here: {rates})")
    why = f"the most exact of those within {1 - speeds.NEAR:.0%} of the fastest"
    return Choice(
        exam=exam, sample=taken.engine, precision=taken.precision, device=device, why=why, measured=said, quiet=quiet
    )  # fmt: skip


def samplers(folder: Path, options: Mapping[str, Any], exam: str) -> list[tuple[str, str]]:
    """The (engine, precision) pairs that may sample for a run whose exams the engine ``exam`` answers.

    transformers only where nothing else can: it is several times slower everywhere it was measured. Another engine at
    the exam's own precision is left out, for a reply says by its precision which of the two it is of."""
    able = [name for name in REAL_ENGINES if _can_run(name, folder, options) and _takes(name, options)]
    quick = [name for name in able if name != "transformers"] or able
    wanted, at_exam = options.get("sample_precision", "auto"), options.get("exam_precision", "f32")
    pairs = [(name, p) for name in quick for p in _precisions(name) if wanted in ("auto", p)]
    return [(name, p) for name, p in pairs if name == exam or p != at_exam]


def _takes(name: str, options: Mapping[str, Any]) -> bool:
    """Whether an engine has these options, with values it takes."""
    try:
        check_options([name], options)
    except ConfigError:
        return False
    return has_options(name, options)


def _precisions(name: str) -> list[str]:
    """Those that an engine samples at on this machine."""
    from instar.engines.native import build

    if name == "native":
        return [p for p in build.NEEDED if build.why_not(p) is None]
    return ["f32", "bf16", "int8"] if name == "openvino" else ["f32", "bf16"]


def chosen_before(ledger: Ledger) -> Choice | None:
    """What this run chose when it began; of a run from before choices were stored, the engine of its latest reply."""
    stored = ledger.about().get("engines")
    if stored is not None:
        return Choice.model_validate_json(stored)
    last = last_engine(ledger)
    return None if last is None else Choice(exam=last, sample=last)


def exam_engine(ledger: Ledger) -> str | None:
    """The engine that answers this run's exams; None before its first reply."""
    before = chosen_before(ledger)
    return None if before is None else before.exam


def last_engine(ledger: Ledger) -> str | None:
    """The engine of a run's latest reply but a judge's, which may have one of its own; None before the first."""
    return progress.last_engine(ledger, but_of=roles_of(ledger).judges)


def engine_for(
    base: Policy, store: ArtefactStore, options: Mapping[str, Any] | None = None, *, before: str | None = None
) -> str:
    """``auto``: native for a Llama on a machine that runs our kernels, openvino for one elsewhere, transformers for
    every other architecture, and for all of them where it would run on a GPU; and of those only one that has the engine
    options that were given. Where ``before`` is one that can, it is that."""
    if base.weights.place != "artefact":
        return "openai" if base.weights.place == "remote" else "scripted"
    folder, given = store.open(base.weights.digest), options or {}
    able = [name for name in REAL_ENGINES if _can_run(name, folder, given)]
    able.sort(key=lambda name: (name != before, not _on_a_gpu(name, given)))
    # where none has them all, the preferred one says which it lacks
    return next((name for name in able if has_options(name, given)), able[0])


def _on_a_gpu(name: str, options: Mapping[str, Any]) -> bool:
    """Whether an engine would answer on a GPU here, with these options. Our other engines know none."""
    there = importlib.util.find_spec(PACKAGES["transformers"]) is not None
    return name == "transformers" and there and options.get("device", "auto") != "cpu" and cuda()


def _can_run(name: str, folder: Path, options: Mapping[str, Any]) -> bool:
    from instar.engines.native import build
    from instar.engines.native.llama import Shape
    from instar.model_folder.folder import plain_llama

    try:
        if name == "native":
            Shape.of(folder)
            wanted = {"f32", options.get("exam_precision"), options.get("sample_precision")} & set(build.NEEDED)
            return all(build.why_not(precision) is None for precision in wanted)
        if name == "openvino":
            plain_llama(folder)
    except ModelError:
        return False
    return True
