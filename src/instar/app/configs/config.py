"""A run's whole configuration: what a TOML file or a recipe's name says, with ``--set`` on top, checked before use."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from instar.acquire.feedback.execution import Execution
from instar.acquire.feedback.verify import Verify
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.acquire.tasks.table import Table, check_file, nearest
from instar.app.configs.build import build, defaults_of
from instar.app.configs.registry import (
    OUR_ENGINES,
    REAL_ENGINES,
    check_options,
    engines,
    ops,
    recipe_of,
    recipes,
    unknown,
)
from instar.app.configs.relative_paths import from_beside, from_here
from instar.app.configs.shots import Shot
from instar.app.configs.user_files import is_local, recipe_in
from instar.engines.remote.address import address_of, is_remote
from instar.engines.remote.key import VARIABLE, check_variable
from instar.errors import ConfigError, DataError, ModelError
from instar.evaluate.audit import PlantedDefects
from instar.evaluate.eval import Eval
from instar.evaluate.perplexity import PerplexityBudget
from instar.legible import why_not
from instar.protocols import Audit, Gate, Judge, Op, Source, Update, identity
from instar.recipes.recipe import Recipe, Settings
from instar.records import hash_of, suite_kind
from instar.records.exchange import SELF
from instar.run.braking import Action
from instar.run.budget import Budget
from instar.track.settings import Tracking, known, names
from instar.update.weights.adapter_sft import AdapterSFT
from instar.update.weights.roles_sft import RolesSFT

PRESETS = ("demo", "code")

MAY_CHANGE = ("budget", "verifier_stress", "track", "tracking", "openai", "keep_going", "brake")
"""What may be another value when a run is resumed: none of it changes what is already there. The same holds for
``engine_options``, but for its precisions: they change what is measured."""

READ_BY = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
"""The source of a suite that is given as a path, by the end of the file's name."""

BUNDLED = "bundled"
"""What a suite says that takes the items of its name that come with instar."""
TEXT = "guard:text"
"""The guard whose items are texts, and whose measure is their perplexity."""
BUNDLES: Mapping[str, tuple[int, float]] = {
    "facts": (170, 0.1), "instructions": (200, 0.1), "simple": (230, 0.1), "arithmetic": (350, 0.1), "all": (950, 0.03),
}  # fmt: skip
"""The guards that come with instar: how many items of each, and the budget that so many can hold."""
DEEPEST = 50
"""Levels of nesting that a config may have."""
LONGEST_INTEGER = 13_000
"""Bits: Python refuses to read or write a number of more than 4,300 digits."""
LONGEST_FILE = 16_000_000
"""Bytes of a config file; more is another file."""

DEFAULT_TASKS = ReasoningGym(
    families={
        "chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
        "basic_arithmetic": {
            "min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1, "operators": ["+", "-"],
            "allow_parentheses": False,
        },
        "products": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    }
)  # fmt: skip


class Sizes(BaseModel):
    """How many tasks each set holds. ``train`` and ``gate`` are per round; ``dev`` 0 leaves dev out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int = Field(default=360, ge=1)
    dev: int = Field(default=0, ge=0)
    gate: int = Field(default=150, ge=1)
    sealed: int = Field(default=330, ge=1)


class SuiteConfig(BaseModel):
    """A suite ``guard:NAME`` or ``attack:NAME``: tasks beside the four sets, examined at the end and used for nothing
    else, unless it has a budget. A path alone (.jsonl, .csv, .parquet) is short for all rows of that file; "bundled" is
    short for the items of that name that come with instar (``guard_items``), with a budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: Source
    size: int | None = Field(default=None, ge=1)
    """Tasks drawn, with a seed of the suite's own, that stand in no other set. None: all rows of the one file of
    ``tasks``, and one that stands in another set is refused."""
    judge: Judge | None = None
    """Who judges the answers; none: the judge of the recipe's ``exam``. A suite is solved as that exam is."""
    margin: float = Field(default=0.05, ge=0, lt=1, allow_inf_nan=False)
    """How much worse the result may be and still count as no worse: a share of the tasks."""
    budget: Gate | None = None
    """What a candidate may lose of it, from the base on (``forgetting_budget``): one that loses more is not promoted. A
    third of the tasks is then left for the end, untouched. None: nothing is decided by this suite."""

    @model_validator(mode="after")
    def _sized(self) -> SuiteConfig:
        if self.size is None and not (isinstance(self.tasks, Table) and getattr(self.tasks, self.tasks.whole)):
            raise ValueError(f"size is not given, and {self.tasks.name} is no single file that could be taken whole")
        return self


class Server(BaseModel):
    """How a server is asked for the replies of a model ``openai:MODEL@URL``. None of it changes what is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = VARIABLE
    """The environment variable that holds the key, never the key itself; "" sends none."""
    concurrency: int = Field(default=8, ge=1, le=1024)
    connect_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    seconds: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """For one whole answer."""
    tries: int = Field(default=6, ge=1, le=20)
    """At what asking again may mend: 429, 5xx, no connection, no answer in time."""
    plain_http: bool = False
    """Whether the key may go to another machine over http, unencrypted."""


class RunConfig(BaseModel):
    """What every run has, whatever its recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    model: str = "smollm2-135m"
    system: str | None = "Solve the problem. Write the result after 'Answer:'."
    shots: tuple[Shot, ...] = ()
    """Examples before every question, as turns of the conversation: ``{question = ..., answer = ...}``, or ``messages``
    with calls of tools. They are part of the policy: every solver, exam and training has the same ones."""
    memory: str | None = None
    """What the policy remembers from the start: a memory by its name (``instar memory import``), or a run's (RUN,
    RUN:ID). Solved with ``recalling``, or nothing looks into it."""
    engine: str = "auto"
    engine_options: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=1, ge=0)
    sealed_seed: int = Field(default=20260101, ge=0)
    tolerance: float = Field(default=0.05, ge=0, le=1)
    tasks: Source = DEFAULT_TASKS
    sizes: Sizes = Sizes()
    budget: Budget = Budget()
    audit_with: Audit | None = PlantedDefects()
    """How judges and filters are measured on answers of known worth; "none": not at all."""
    judge_model: str | None = None
    """The model that judges where a judge asks one (a name as in ``model``, so it may be on a server:
    ``openai:MODEL@https://HOST/v1``); none: the policy at hand judges itself."""
    openai: Server = Server()
    """How servers are asked, and which environment variable holds their key."""
    verifier_stress: Literal["stop", "warn", "off"] = "stop"
    """What a new run does when its verifier refuses a gold answer or takes an empty one (acquire.feedback.stress)."""
    track: Annotated[tuple[str, ...], BeforeValidator(names)] = ()
    """Where else to send the run's figures: tensorboard, wandb, mlflow, trackio; each is an extra of its name."""
    tracking: Tracking = Tracking()
    """Folder, project and network of the trackers."""
    keep_going: bool = False
    """Go on with a round of which no answer is right, or all are."""
    brake: Action = "stop"
    """What two rounds of raised alarms in a row come to: ``stop`` holds the run (exit code 13), ``earlier`` goes on
    from the policy before them and without their answers, ``fresh`` without their answers alone, ``replay`` so and with
    some of what was learned before them, ``off`` as if nothing were."""
    suites: dict[str, SuiteConfig] = Field(default_factory=dict)
    """``guard:NAME`` (not to get worse) and ``attack:NAME`` (attacks, of which fewer are to succeed)."""
    text_budget: PerplexityBudget | None = None
    """How much the perplexity of the texts that come with instar may rise: what ``guard:text = "bundled"`` is short
    for. A third of the texts is left for the end, untouched."""


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


def read(target: str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """The plain data of a config: a TOML file, a preset (``demo``) or a recipe's name, with ``--set`` applied.

    A file's relative paths lead from its own folder, those in ``--set`` from the current one
    (``app.configs.relative_paths``).
    """
    if target.endswith(".toml"):
        raw = from_beside(_read_toml(Path(target)), Path(target).parent)
    elif target in PRESETS:
        raw = tomllib.loads(files("instar.app.configs").joinpath(f"{target}.toml").read_text())
    elif target in recipes():
        raw = {"recipe": target}
    elif target.endswith(".py") or is_local(target):
        raw = {"recipe": recipe_in(target)}
    else:
        raise unknown("recipe, preset or .toml file", target, [*recipes(), *PRESETS])
    for one in sets:
        apply_set(raw, one)
    return raw


def plan(raw: Mapping[str, Any]) -> Plan:
    """Check a config and build all its parts. Raises ConfigError; no token is spent."""
    _refuse_unstorable(raw)
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
        mine |= _of_text(mine["suites"])
        mine["suites"] = _spelled_out(mine["suites"])
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
    _refuse_unstorable(made.resolved())
    return made


def _spelled_out(given: Any) -> dict[str, Any]:
    """The suites of a config, each as a table. Raises ConfigError for a name that is none, and for a path of a file
    that no source reads."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"suites: tables by name are wanted, not {given!r:.80}.", 'Write [suites."guard:NAME"].')
    found: dict[str, Any] = {}
    for name, value in given.items():
        if suite_kind(name) is None:
            raise ConfigError(
                f"{name!r:.80} is no name of a suite.",
                "Write guard:NAME or attack:NAME; NAME has letters, digits, - and _, at most 60.",
            )
        if isinstance(value, str):
            source = READ_BY.get(Path(value).suffix.lower())
            if value == BUNDLED:
                found[name] = _bundled(name)
                continue
            if source is None:
                raise ConfigError(
                    f"suites.{name}: {value!r:.200} is no file that is read by its name alone.",
                    f"Give the path of a {', '.join(READ_BY)} file, or a table with tasks = {{ op = ... }}.",
                )
            value = {"tasks": {"op": source, "path": value}}
        found[name] = value
    return found


def _of_text(suites: Any) -> dict[str, Any]:
    """The suites and the budget of texts of a config whose ``guard:text`` are the texts that come with instar, given as
    "bundled" or as a table of the budget's settings alone; nothing for any other."""
    given = suites.get(TEXT) if isinstance(suites, Mapping) else None
    if given != BUNDLED and not (isinstance(given, Mapping) and set(given) <= set(PerplexityBudget.model_fields)):
        return {}
    settings = {} if given == BUNDLED else dict(given)
    others = {name: value for name, value in suites.items() if name != TEXT}
    return {"suites": others, "text_budget": {"op": PerplexityBudget.name, **settings}}


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


def _bundled(name: str) -> dict[str, Any]:
    """The suite of items that comes with instar, with a budget."""
    kind = name.partition(":")[2]
    if kind not in BUNDLES or suite_kind(name) != "guard":
        raise unknown("bundled suite", name, [f"guard:{k}" for k in BUNDLES])
    size, margin = BUNDLES[kind]
    return {
        "tasks": {"op": "guard_items", "of": kind}, "size": size, "margin": margin,
        "judge": {"op": "verify", "checker": "guard_item", "extract": "text"},
        "budget": {"op": "forgetting_budget", "margin": margin},
    }  # fmt: skip


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


def _refuse_unstorable(value: Any, where: str = "", depth: int = 0) -> None:
    """Raises ConfigError for what is in TOML but not in JSON, the form that a run's config is stored in."""
    if depth > DEEPEST:
        raise ConfigError(f"{where:.80}: it is nested deeper than {DEEPEST}, and no setting is.", "Mend the config.")
    if isinstance(value, Mapping):
        for k, v in value.items():
            _refuse_unstorable(str(k), f"a key in {where or 'the config'}")
            _refuse_unstorable(v, f"{where}.{k}" if where else str(k), depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            _refuse_unstorable(v, f"{where}[{i}]", depth + 1)
    elif isinstance(value, str):
        if why := why_not(value):
            raise ConfigError(f"{where}: the text {why}.", "Mend the config.")
    elif isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ConfigError(f"{where}: a whole number of {value.bit_length():,} bits is no setting.", "Mend the config.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: a finite number is wanted, not {value}.")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where}: {value} is a {type(value).__name__}, which no setting takes.", "Write it as text.")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        check_file(path)
        if path.stat().st_size > LONGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size / 1e6:,.0f} MB: it is no config.")
        raw = tomllib.loads(path.read_text())
        _refuse_unstorable(raw)
        return raw
    except DataError as e:
        raise ConfigError(e.message, e.hint) from None
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path} (looked in {Path.cwd()}).{nearest(path)}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deep to be read.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ConfigError(f"{path} is not valid TOML: {e}.") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise ConfigError(f"{path}, {_endless_number(path.read_text())}") from None
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None


def _endless_number(toml: str) -> str:
    """Where a text has the whole number that is too long for Python to read, in our words."""
    for number, line in enumerate(toml.splitlines(), 1):
        if found := re.search(r"\d[\d_]{4300,}", line):
            what = f"a whole number of {len(found[0]):,} digits is no setting."
            return f"line {number} ({line[: found.start()][:60].strip()} ...): {what}"
    return "it holds a number that cannot be read."


def apply_set(raw: dict[str, Any], assignment: str) -> None:
    """``a.b=value``: the value is TOML where it reads as TOML, else text.

    A path into a mapping that has a default (``tasks.families.chain_sum.max_terms``) changes that one value of the
    default. Assigning the whole mapping replaces it.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {assignment!r} is not of the form key=value.", "For example: --set rounds=1")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    except RecursionError:
        raise ConfigError(f"--set {assignment[:80]!r}: its value is nested too deep to be read.") from None
    except ValueError:
        raise ConfigError(f"--set {assignment[:80]!r}: {_endless_number(assignment)}") from None
    *parents, last = path.strip().split(".")
    if len(parents) > DEEPEST:
        raise ConfigError(f"--set {assignment[:80]!r}: no setting lies {len(parents)} tables deep.")
    at, known = raw, _defaults(raw)
    for p in parents:
        default = known.get(p)
        nxt = at.setdefault(p, _thawed(default) if isinstance(default, Mapping) else {})
        if isinstance(nxt, str):  # an operator given by its name alone becomes a table, so that a field can be set
            nxt = at[p] = {"op": nxt}
        if not isinstance(nxt, dict):
            raise ConfigError(f"--set {assignment!r}: {p!r} is {nxt!r:.80}, not a table.")
        at, known = nxt, _below(default, nxt.get("op"))
    at[last] = from_here(value)


def _defaults(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What each key of a config is if it is not given."""
    name = str(raw.get("recipe"))
    recipe = recipe_of(name) if is_local(name) else recipes().get(name)
    return {**defaults_of(RunConfig), **(defaults_of(recipe.config) if recipe else {})}


def _below(default: Any, op: Any) -> dict[str, Any]:
    """What each key below a default is if it is not given; an operator given by name brings its own defaults."""
    if isinstance(op, str):
        return defaults_of(ops()[op]) if op in ops() else {}
    if isinstance(default, BaseModel):
        return {k: getattr(default, k) for k in type(default).model_fields}
    return dict(default) if isinstance(default, Mapping) else {}


def _thawed(value: Any) -> Any:
    """A copy of plain data that can be changed."""
    if isinstance(value, Mapping):
        return {str(k): _thawed(v) for k, v in value.items()}
    return [_thawed(v) for v in value] if isinstance(value, (list, tuple)) else value
