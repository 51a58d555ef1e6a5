"""The one list of everything that can be named in a config: operators, engines, recipes; ours and other packages'.

Another package adds its own through the entry point groups ``instar.ops`` (a class), ``instar.engines`` (a function
that takes an ``EngineContext`` and returns an Engine) and ``instar.recipes`` (a ``Recipe``).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from instar.acquire.environments.clinic import Clinic
from instar.acquire.environments.guess_number import GuessNumber
from instar.acquire.environments.gymnasium import Gymnasium
from instar.acquire.environments.multi_hop import MultiHop
from instar.acquire.environments.textarena import TextArena
from instar.acquire.environments.textworld import TextWorld
from instar.acquire.environments.verifiers import Verifiers
from instar.acquire.environments.village import Village
from instar.acquire.feedback.cited import Cited
from instar.acquire.feedback.diagnosis import Diagnosis
from instar.acquire.feedback.execution import Execution
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.feedback.pairwise import Pairwise
from instar.acquire.feedback.rubric import Rubric
from instar.acquire.feedback.self_verify import SelfVerify
from instar.acquire.feedback.step_credit import StepCredit
from instar.acquire.feedback.verify import Verify
from instar.acquire.feedback.vote import Vote
from instar.acquire.replay import Mixed
from instar.acquire.solutions.act import Act, UseTools
from instar.acquire.solutions.adaptive import Adaptive
from instar.acquire.solutions.advised import Advised
from instar.acquire.solutions.best_of import BestOf
from instar.acquire.solutions.call_tools import CallTools
from instar.acquire.solutions.choose_tools import ChooseTools
from instar.acquire.solutions.citing import Citing, WithoutTexts
from instar.acquire.solutions.consult import Consult, StaticConsultation
from instar.acquire.solutions.corrected import Corrected
from instar.acquire.solutions.gold import Gold
from instar.acquire.solutions.group import Group
from instar.acquire.solutions.listen import Listen
from instar.acquire.solutions.play import Play
from instar.acquire.solutions.reading import Reading
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.recite import Recite
from instar.acquire.solutions.reflexion import Reflected, Reflexion
from instar.acquire.solutions.sample import Sample
from instar.acquire.solutions.two_prompts import TwoPrompts
from instar.acquire.tasks.bfcl import Bfcl
from instar.acquire.tasks.bootstrapped import Bootstrapped
from instar.acquire.tasks.by_age import ByAge, ByLot
from instar.acquire.tasks.by_difficulty import ByDifficulty
from instar.acquire.tasks.by_diversity import ByDiversity
from instar.acquire.tasks.by_learnability import ByLearnability
from instar.acquire.tasks.cleaned import Cleaned
from instar.acquire.tasks.code_basics import CodeBasics
from instar.acquire.tasks.code_folder import CodeFolder
from instar.acquire.tasks.code_jsonl import CodeJsonl
from instar.acquire.tasks.csv_file import Csv
from instar.acquire.tasks.diaries import Diaries
from instar.acquire.tasks.documents import Documents
from instar.acquire.tasks.evolve import EvolInstruct
from instar.acquire.tasks.guard_items import GuardItems
from instar.acquire.tasks.hub import HfDataset
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.made_up_articles import MadeUpArticles
from instar.acquire.tasks.parquet import Parquet
from instar.acquire.tasks.passage_questions import PassageQuestions
from instar.acquire.tasks.pose_questions import PoseQuestions
from instar.acquire.tasks.prompted import Prompted
from instar.acquire.tasks.proposer import Proposer
from instar.acquire.tasks.random_expressions import RandomExpressions
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.acquire.tasks.rows import AnyRows
from instar.acquire.tasks.self_instruct import SelfInstruct
from instar.acquire.tasks.split import Split
from instar.acquire.tools.calculator import Calculator
from instar.acquire.tools.mcp import Mcp
from instar.acquire.tools.python import Python
from instar.errors import ConfigError
from instar.evaluate.audit import PlantedDefects
from instar.evaluate.budget import ForgettingBudget
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.evaluate.perplexity import PerplexityBudget
from instar.evaluate.prediction import VerificationGap
from instar.evaluate.sequential import SequentialGate
from instar.objective.asked import Asked
from instar.objective.everything import Everything
from instar.objective.ladder import Ladder
from instar.objective.room import RoomToLearn
from instar.objective.steady import Steady
from instar.protocols import ArtefactStore, Engine, Op
from instar.recipes import RECIPES
from instar.recipes.recipe import Recipe
from instar.refine.corrections.constitutional import Constitutional
from instar.refine.corrections.critic import Critic
from instar.refine.corrections.edited import Edited
from instar.refine.corrections.hint import Hint
from instar.refine.corrections.reconsult import Reconsult
from instar.refine.corrections.self_debug import SelfDebug
from instar.refine.corrections.self_refine import SelfRefine
from instar.refine.corrections.some_turns import SomeTurns
from instar.refine.filters.answer_entropy import AnswerEntropyAtMost
from instar.refine.filters.answerable import Answerable
from instar.refine.filters.answered import Answered
from instar.refine.filters.calculation_right import CalculationRight
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.distinct_equations import DistinctEquations
from instar.refine.filters.dual_agreement import DualAgreement
from instar.refine.filters.inverted import Inverted
from instar.refine.filters.language import Language
from instar.refine.filters.learnable import Learnable
from instar.refine.filters.length import Finished
from instar.refine.filters.margin_at_least import MarginAtLeast
from instar.refine.filters.near_duplicates import NearDuplicates, SemanticDuplicates
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.random_sample import RandomSample
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.refine.filters.task_weight import TaskWeight
from instar.refine.filters.true_reflection import TrueReflection
from instar.refine.filters.unflagged import Unflagged
from instar.refine.pairs import Pairs
from instar.update.memory.consolidate import Consolidate
from instar.update.memory.demonstrate import Demonstrate
from instar.update.memory.evolve_prompt import EvolvePrompt
from instar.update.memory.forget import Forget
from instar.update.memory.insert import Insert
from instar.update.memory.insights import Insights
from instar.update.memory.reflect import Reflect
from instar.update.memory.remember import Remember
from instar.update.memory.retire import Retire
from instar.update.memory.scramble import Scramble
from instar.update.memory.strengthen import Strengthen
from instar.update.memory.supersede import Supersede
from instar.update.weights.adapter_sft import AdapterSFT
from instar.update.weights.dpo import Dpo
from instar.update.weights.grpo import Grpo
from instar.update.weights.merge import Merge
from instar.update.weights.regularised_sft import RegularisedSFT
from instar.update.weights.roles_sft import RolesSFT
from instar.update.weights.sft import SFT

BUILT_IN: tuple[type[Op], ...] = (
    ReasoningGym, Jsonl, Csv, Parquet, HfDataset, Sample, Verify, ScoreAtLeast, Distinct, PerTaskCap, Finished,
    RandomSample, Inverted, SFT, AdapterSFT, PairedGate, SequentialGate,
    Vote, Adaptive, Hint, Unflagged, MarginAtLeast, CalculationRight, DistinctEquations,
    RoomToLearn, Split, VerificationGap, VitalSigns,
    Rubric, Pairwise, SelfVerify, AnswerEntropyAtMost, DualAgreement, PlantedDefects,
    Cleaned, NearDuplicates, SemanticDuplicates, Language,
    Corrected, SelfRefine, Critic, Constitutional, SelfDebug,
    Grpo,
    Execution, CodeBasics, CodeFolder, CodeJsonl, Act, UseTools,
    CallTools, Calculator, Python, Mcp, Play, Outcome, StepCredit, GuessNumber, MultiHop,
    Gymnasium, Verifiers, TextWorld, TextArena,
    Prompted, AnyRows,
    Pairs, Dpo, Gold, BestOf, TwoPrompts, Edited,
    Merge, Mixed, RegularisedSFT, ForgettingBudget, GuardItems,
    Demonstrate, Consolidate, Retire, Insert, Supersede, Strengthen, Forget, Scramble, Recalling, Listen, Diaries,
    Clinic, Consult, StaticConsultation, Diagnosis, Reconsult, SomeTurns,
    Reflect, Insights, Remember, Advised, Reflexion, Reflected, EvolvePrompt,
    Proposer, RandomExpressions, Steady, Learnable,
    Documents, MadeUpArticles, PassageQuestions, Reading, Recite, Cited, Answerable, Everything,
    Ladder, ByLearnability, ByDiversity, ByDifficulty, ByAge, ByLot,
    Village, Group, ChooseTools, PoseQuestions, Asked, TrueReflection, RolesSFT,
    PerplexityBudget, TaskWeight,
    SelfInstruct, EvolInstruct, Bootstrapped, Answered,
    Citing, WithoutTexts, Bfcl,
)  # fmt: skip


T = TypeVar("T")


@dataclass(frozen=True)
class EngineContext:
    """What an engine is made from."""

    artefacts: ArtefactStore
    scratch: Path
    options: dict[str, Any]


EngineFactory = Callable[[EngineContext], Engine]


def _scripted(context: EngineContext) -> Engine:
    return _made("scripted", context)


def _openvino(context: EngineContext) -> Engine:
    return _made("openvino", context, artefacts=context.artefacts, scratch=context.scratch)


def _native(context: EngineContext) -> Engine:
    return _made("native", context, artefacts=context.artefacts, scratch=context.scratch)


def _transformers(context: EngineContext) -> Engine:
    return _made("transformers", context, artefacts=context.artefacts, scratch=context.scratch)


def _openai(context: EngineContext) -> Engine:
    return _made("openai", context)


def _made(name: str, context: EngineContext, **given: Any) -> Engine:
    check_options([name], context.options)
    engine: Engine = _engine_class(name)(**given, **context.options)
    return engine


def _engine_class(name: str) -> Callable[..., Any]:
    """A built-in engine's class, imported when it is asked for."""
    if name == "scripted":
        from instar.engines.scripted.engine import ScriptedEngine

        return ScriptedEngine
    if name == "native":
        from instar.engines.native.engine import NativeEngine

        return NativeEngine
    if name == "openvino":
        from instar.engines.openvino.engine import OpenVinoEngine

        return OpenVinoEngine
    if name == "openai":
        from instar.engines.remote.engine import OpenAIEngine

        return OpenAIEngine
    from instar.engines.hf.engine import TransformersEngine

    return TransformersEngine


def check_options(names: Iterable[str], options: Mapping[str, Any]) -> None:
    """Refuse engine options that no one of these built-in engines has together, or a value of the wrong type.

    Raises:
        ConfigError: with the option and those that exist. Other packages' engines check their options themselves.
    """
    known: dict[str, list[inspect.Parameter]] = {}
    tried = list(names)
    for name in tried:
        if name not in OUR_ENGINES:
            return
        for option, parameter in _options(name).items():
            known.setdefault(option, []).append(parameter)
    for option, value in options.items():
        if option not in known:
            raise unknown("key", f"engine_options.{option}", [f"engine_options.{k}" for k in known])
        said = [_refusal(parameter, value) for parameter in known[option]]
        if all(said):
            raise ConfigError(f"engine_options.{option}: {said[0]} (it is {value!r:.100}).")
    if len(tried) > 1 and not any(has_options(name, options) for name in tried):
        of = "; ".join(
            f"{name}: {', '.join(k for k in options if has_options(name, {k: options[k]}))}" for name in tried
        )
        raise ConfigError(
            f"no engine has all of these engine_options with these values: {', '.join(options)}.",
            f"They are of different engines ({of}). Leave out those of the engines you do not mean.",
        )


def has_options(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a built-in engine has these options, and the precisions among them."""
    known, engine = _options(name), _engine_class(name)
    precisions = {"auto", *getattr(engine, "precisions", ())}
    return all(k in known and (not k.endswith("_precision") or v in precisions) for k, v in options.items())


def _options(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(_engine_class(name), eval_str=True).parameters.values()
    return {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _refusal(parameter: inspect.Parameter, value: Any) -> str | None:
    """What is wrong with a value, if anything is."""
    try:
        TypeAdapter(parameter.annotation).validate_python(value, strict=True)
    except ValidationError as e:
        return str(e.errors()[0]["msg"])
    return None


def _foreign(group: str, kind: type[Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in entry_points(group=group):
        try:
            value = point.load()
        except (Exception, SystemExit) as e:
            raise ConfigError(
                f"the package {point.dist.name if point.dist else '?'} offers {point.name!r} to {group}, "
                f"but it cannot be loaded: {type(e).__name__}: {e}.",
                "Mend or uninstall that package.",
            ) from e
        if kind is not None and not (isinstance(value, kind) or (isinstance(value, type) and issubclass(value, kind))):
            raise ConfigError(f"the entry point {point.name!r} of {group} is not a {kind.__name__}: {value!r}.")
        found[point.name] = value
    return found


OUR_ENGINES: dict[str, EngineFactory] = {
    "scripted": _scripted,
    "native": _native,
    "openvino": _openvino,
    "transformers": _transformers,
    "openai": _openai,
}
REAL_ENGINES = ("native", "openvino", "transformers")
"""Those that ``auto`` chooses from for real weights, the preferred first."""


@cache
def ops() -> dict[str, type[Op]]:
    """Every operator by its short name."""
    foreign: dict[str, type[Op]] = _foreign("instar.ops", Op)
    return _joined("operator", {o.name: o for o in BUILT_IN}, {o.name: o for o in foreign.values()})


@cache
def engines() -> dict[str, EngineFactory]:
    """Every engine's factory by name."""
    return _joined("engine", OUR_ENGINES, _foreign("instar.engines", None))


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by name."""
    foreign: dict[str, Recipe] = _foreign("instar.recipes", Recipe)
    return _joined("recipe", RECIPES, {r.name: r for r in foreign.values()})


def recipe_of(name: str) -> Recipe:
    """The recipe of a name, or of a file: ``my_recipe.py:RECIPE``. Raises ConfigError for what is neither."""
    from instar.app.configs.user_files import is_local, load

    if not is_local(name):
        if name not in recipes():
            raise unknown("recipe", name, recipes())
        return recipes()[name]
    found = load(name)
    if not isinstance(found, Recipe):
        raise ConfigError(
            f"{name} is {type(found).__name__}, not a recipe.", "Make it an instar.recipes.recipe.Recipe."
        )
    return found


def _joined(what: str, ours: dict[str, T], theirs: dict[str, T]) -> dict[str, T]:
    """Both, and no name twice: a package that silently replaced a built-in would change what a config means."""
    for name in theirs:
        if name in ours:
            raise ConfigError(
                f"another package offers the {what} {name!r}, which is a built-in.", "Rename or remove it."
            )
    return {**ours, **theirs}


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that does not exist: with what was probably meant, and all that exist."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return ConfigError(f"there is no {what} {name!r}.{meant}", f"There are: {', '.join(names)}.")
