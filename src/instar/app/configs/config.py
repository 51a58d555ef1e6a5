"""A run's whole configuration, checked before use: the run's part, the recipe's part, and what fits with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from instar.acquire.feedback.execution import Execution
from instar.acquire.feedback.verify import Verify
from instar.app.configs.build import build
from instar.app.configs.config_file import refuse_unstorable
from instar.app.configs.registry import OUR_ENGINES, REAL_ENGINES, check_options, engines, recipe_of, unknown
from instar.app.configs.run_config import RunConfig
from instar.app.configs.suites import TEXT, of_text, spelled_out
from instar.engines.remote.address import address_of, is_remote
from instar.engines.remote.key import check_variable
from instar.errors import ConfigError, ModelError
from instar.evaluate.eval import Eval
from instar.protocols import Op, Update, identity
from instar.recipes.recipe import Recipe, Settings
from instar.records import hash_of
from instar.records.exchange import SELF
from instar.track.settings import known
from instar.update.weights.adapter_sft import AdapterSFT
from instar.update.weights.roles_sft import RolesSFT

MAY_CHANGE = ("budget", "verifier_stress", "track", "tracking", "openai", "keep_going", "brake")
"""What may be another value when a run is resumed: none of it changes what is already there. The same holds for
``engine_options``, but for its precisions: they change what is measured."""


class Plan(BaseModel):
    """A checked configuration: the run's part, the recipe's part, and what it was made from."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    run: RunConfig
    recipe: Recipe
    settings: Settings
    raw: dict[str, Any]

    def resolved(self) -> dict[str, Any]:
        """Every value that will be used, defaults filled in, as plain data."""
        found = {**identity(self.run), **identity(self.settings)}
        for suite in found["suites"].values():
            if suite["budget"] is None:  # as in the configs of before suites could have one
                del suite["budget"]
        if not self.run.suites:  # as in the configs of before there were suites
            del found["suites"]
        if self.run.text_budget is None:  # nor a guard of texts
            del found["text_budget"]
        if not self.run.shots:  # nor shots
            del found["shots"]
        if self.run.memory is None:  # nor a memory to begin with
            del found["memory"]
        if not self.run.keep_going:  # nor of this
            del found["keep_going"]
        if self.run.brake == "stop":  # nor of a brake
            del found["brake"]
        return found

    def digest(self) -> str:
        """What must not change between the sessions of one run: all but what is listed in ``MAY_CHANGE``."""
        return digest_of(self.resolved())

    def ops(self) -> list[Op]:
        """Every operator of the plan, nested ones included."""
        found: dict[str, Op] = {}

        def walk(value: Any) -> None:
            if isinstance(value, Op):
                found[value.op_id] = value
            if isinstance(value, BaseModel):
                for k in type(value).model_fields:
                    walk(getattr(value, k))
            elif isinstance(value, Mapping):
                for v in value.values():
                    walk(v)
            elif isinstance(value, (list, tuple)):
                for v in value:
                    walk(v)

        walk(self.run)
        walk(self.settings)
        return [found[k] for k in sorted(found)]


def digest_of(resolved: Mapping[str, Any]) -> str:
    """``Plan.digest`` from the values as a ledger has them."""
    kept = {k: v for k, v in resolved.items() if k not in MAY_CHANGE}
    precisions = {k: v for k, v in kept.pop("engine_options").items() if k.endswith("_precision")}
    return hash_of("config", kept | ({"engine_options": precisions} if precisions else {}))


def plan(raw: Mapping[str, Any]) -> Plan:
    """Check a config and build all its parts. Raises ConfigError; no token is spent."""
    refuse_unstorable(raw)
    name = raw.get("recipe")
    if not isinstance(name, str):
        raise ConfigError("the config names no recipe.", 'Add recipe = "rest_em".')
    recipe = recipe_of(name)
    _check_servers(raw)
    mine = {k: v for k, v in raw.items() if k in RunConfig.model_fields}
    theirs = {k: v for k, v in raw.items() if k not in RunConfig.model_fields}
    for key in theirs:
        if key not in recipe.config.model_fields:
            raise unknown("key", key, [*RunConfig.model_fields, *recipe.config.model_fields])
    if "suites" in mine:
        mine |= of_text(mine["suites"])
        mine["suites"] = spelled_out(mine["suites"])
    run = build(RunConfig, mine)
    if run.engine != "auto" and run.engine not in engines():
        raise unknown("engine", run.engine, ["auto", *engines()])
    known(run.track)
    check_options([run.engine] if run.engine != "auto" else _engines_for(run.model), run.engine_options)
    settings = _judged_alike(build(recipe.config, theirs), theirs)
    _refuse_untrained(run, settings)
    _refuse_unscored(run, settings)
    if run.suites and not isinstance(getattr(settings, "exam", None), Eval):
        raise ConfigError(
            f"the recipe {recipe.name} has no exam, and suites are examined as its exam is.", "Leave out suites."
        )
    made = Plan(run=run, recipe=recipe, settings=settings, raw=dict(raw))
    refuse_unstorable(made.resolved())
    return made


def _refuse_unscored(run: RunConfig, settings: BaseModel) -> None:
    """Raises ConfigError where texts are to be weighed by an engine that gives no log-probabilities, or as a role that
    nothing trains."""
    if run.text_budget is None:
        return
    train = getattr(settings, "train", None)
    if isinstance(train, RolesSFT) or (isinstance(train, AdapterSFT) and train.role != SELF):
        raise ConfigError(
            f"{TEXT} is read by the policy as {SELF!r}, and {train.name} trains adapters of other roles: nothing could "
            "be lost on it.",
            f'Leave out suites."{TEXT}"; a suite of tasks is examined with the roles.',
        )
    if not (is_remote(run.model) or run.model.partition(":")[0] == "scripted"):
        return
    what = "is on a server, which gives text" if is_remote(run.model) else "is a table, which has no tokens"
    raise ConfigError(
        f"{TEXT} is measured by log-probabilities, and the model {run.model!r} {what}.",
        f'Leave out suites."{TEXT}", or take a model that is here, such as smollm2-135m.',
    )


def _engines_for(model: str) -> list[str]:
    """The engines that ``auto`` may choose for a model."""
    if is_remote(model):
        return ["openai"]
    return ["scripted"] if model.partition(":")[0] == "scripted" else list(REAL_ENGINES)


def _check_servers(raw: Mapping[str, Any]) -> None:
    """Raises ConfigError for what looks like a secret in a config, before anything of it is stored or shown."""
    given = raw.get("openai")
    variable = given.get("key") if isinstance(given, Mapping) else None
    try:
        if isinstance(variable, str):
            check_variable(variable)
        for name in (raw.get("model"), raw.get("judge_model")):
            if isinstance(name, str) and is_remote(name):
                address_of(name)
    except ModelError as e:
        raise ConfigError(e.message, e.hint) from None


def _refuse_untrained(run: RunConfig, settings: Settings) -> None:
    """Raises ConfigError where a model on a server would be trained, or an engine does not fit where the model is."""
    remote = is_remote(run.model)
    if run.engine in OUR_ENGINES and run.engine != "auto" and remote != (run.engine == "openai"):
        fit = "openai" if remote else "another one"
        raise ConfigError(
            f"the engine {run.engine} does not answer for the model {run.model!r}.", f"Set engine to {fit}, or auto."
        )
    if remote and isinstance(getattr(settings, "train", None), Update) and getattr(settings, "learn", True):
        raise ConfigError(
            f"the model {run.model!r} is on a server, which gives text and not weights: the recipe {run.recipe} "
            "cannot train it.",
            "Let it judge (judge_model), and take a model that is here; or a recipe that corrects, with learn=false.",
        )


def _judged_alike(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """With the user's own verifier as ``judge``, each exam asks it too, unless the user gave that exam a judge.

    A vote is no verifier: it says what most answers are, not what is right. Then the exams keep theirs.
    """
    judge = getattr(settings, "judge", None)
    if "judge" not in given or not isinstance(judge, (Verify, Execution)):
        return settings
    changed: dict[str, Any] = {}
    for name in type(settings).model_fields:
        exam, said = getattr(settings, name), given.get(name, {})
        if isinstance(exam, Eval) and isinstance(exam.judge, Verify) and "judge" not in said:
            changed[name] = exam.model_copy(update={"judge": judge})
    return settings.model_copy(update=changed)
