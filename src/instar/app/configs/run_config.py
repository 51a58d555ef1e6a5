"""What every run has, whatever its recipe: the models of a config that are no operator's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.acquire.tasks.table import Table
from instar.app.configs.shots import Shot
from instar.engines.remote.key import VARIABLE
from instar.evaluate.audit import PlantedDefects
from instar.evaluate.perplexity import PerplexityBudget
from instar.protocols import Audit, Gate, Judge, Source
from instar.run.braking import Action
from instar.run.budget import Budget
from instar.track.settings import Tracking, names

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
