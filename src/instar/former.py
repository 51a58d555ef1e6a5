"""Modules by the names that they had before the rooms inside the rooms (docs/design/0019).

Others' scripts and packages import them by these names, and those that judge our answers do: they go on. Nothing of
instar's own may. A name that is looked up here is looked up in the module that has it now.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_MOVED = dict(
    line.split()
    for line in """
app.acting app.review.acting
app.at_hand app.weights.at_hand
app.beginning app.scaffold.beginning
app.begun_with app.sessions.begun_with
app.build app.configs.build
app.by_name app.configs.by_name
app.choosing app.host.engine_choice
app.comparing app.review.comparing
app.config app.configs.config
app.convert app.weights.convert
app.ending app.sessions.ending
app.estimate app.preflight.estimate
app.examine app.review.examine
app.export app.weights.export
app.foresight app.preflight.foreseen
app.headline app.sessions.headline
app.home app.storage.paths
app.hub app.weights.hub
app.in_python app.configs.in_python
app.limits app.host.limits
app.local app.configs.user_files
app.machine app.host.machine
app.models app.weights.models
app.needs app.preflight.needs
app.own_checks app.scaffold.checks
app.own_files app.scaffold.files
app.own_kinds app.scaffold.kinds
app.own_prompts app.scaffold.prompts
app.own_tasks app.scaffold.tasks
app.own_tool app.configs.user_tool
app.paths app.configs.relative_paths
app.policies app.weights.policies
app.probing app.scaffold.probing
app.procedures app.sessions.procedures
app.rederive app.review.rederive
app.registry app.configs.registry
app.retention app.storage.retention
app.rows_shown app.review.rows_shown
app.session app.sessions.session
app.shots app.configs.shots
app.speeds app.host.speeds
app.stock app.storage.inventory
app.suites app.sessions.suites
app.talk app.review.chat
app.tracking app.sessions.tracking
app.trainable app.preflight.trainable
app.uses app.configs.uses
app.verifiers app.preflight.verifiers
app.versions app.host.versions
engines.asked engines.native.sequence_state
engines.asks engines.scheduler.validation
engines.batching engines.hf.batch
engines.causal engines.hf.model
engines.compiled engines.native.build
engines.export engines.openvino.export
engines.export_gguf export.gguf
engines.gguf_tokenizer export.gguf_tokenizer
engines.graph engines.openvino.graph
engines.limits engines.scheduler.limits
engines.llama engines.native.llama
engines.loaded engines.scheduler.backend
engines.local engines.scheduler.local
engines.openai engines.remote.engine
engines.padded engines.hf.backend
engines.paged engines.native.paged
engines.paged_scoring engines.native.paged_scoring
engines.pages engines.native.pages
engines.picking engines.scheduler.sampler
engines.pipeline engines.openvino.pipeline
engines.prefixes engines.openvino.admission
engines.reference engines.hf.reference
engines.request engines.openvino.request
engines.residents engines.scheduler.model_pool
engines.scoring engines.scheduler.scoring
engines.scripted_critic engines.scripted.critic
engines.server_address engines.remote.address
engines.server_calls engines.remote.calls
engines.server_key engines.remote.key
engines.telling engines.scheduler.detokenizer
engines.transformers engines.hf.engine
engines.worker engines.scheduler.worker
evaluate.examination evaluate.eval
run.asking run.generate
run.shop run.update_context
update.weights.answer_tokens update.weights.trainer.answer_tokens
update.weights.batches update.weights.layout.batches
update.weights.bf16 update.weights.trainer.bf16
update.weights.checkpoint update.weights.trainer.checkpoint
update.weights.hardware update.weights.trainer.hardware
update.weights.keeper update.weights.trainer.keeper
update.weights.lean update.weights.trainer.lean
update.weights.lessons update.weights.trainer.group_batches
update.weights.loop update.weights.trainer.loop
update.weights.minibatch update.weights.layout.minibatch
update.weights.model update.weights.trainer.model
update.weights.rows update.weights.layout.rows
update.weights.scripted update.weights.trainer.scripted
update.weights.session update.weights.trainer.session
update.weights.shared_prefix update.weights.layout.shared_prefix
update.weights.trainee update.weights.trainer.grpo_trainer
update.weights.tree_attention update.weights.layout.tree_attention
""".strip().splitlines()
)
"""Old module to new, each below ``instar``."""

_OF_PACKAGES = {
    "engines.native": "engines.native.engine",
    "engines.openvino": "engines.openvino.engine",
    "engines.scripted": "engines.scripted.engine",
    "update.weights.trainer": "update.weights.trainer.trainer",
}
"""Modules that are packages now, and where what was in them is."""

_NAMES = {
    "open_learner": "open_trainable", "Learner": "TrainableModel", "Trainee": "GrpoTrainer",
    "Aims": "GrpoSettings", "Took": "GrpoStepStats", "Examination": "Eval", "Asking": "GenerateContext",
    "Workshop": "UpdateContext", "Purse": "BudgetTracker",
}  # fmt: skip
"""Names that changed with them."""

_ELSEWHERE = {("update.weights.trainer.model", "save"): "export.folder"}
"""What went into another module: (module now, name) to where."""


def look(module: str, name: str) -> Any:
    """What had this name in the module that is called ``module`` now (below ``instar``). Raises AttributeError for what
    is not there."""
    for there in (_ELSEWHERE.get((module, name), module), module):
        found = importlib.import_module(f"instar.{there}")
        for called in (name, _NAMES.get(name, name)):
            if called in vars(found):
                return vars(found)[called]
    raise AttributeError(f"module 'instar.{module}' has no attribute {name!r}")


def of_package(package: str, name: str) -> Any:
    """What had this name where there is a package now: for its ``__getattr__``. Raises AttributeError as ``look``."""
    if name.startswith("__") or find_spec(f"{package}.{name}") is not None:  # a module of it that is not loaded yet
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return look(_OF_PACKAGES[package.removeprefix("instar.")], name)


class Former(MetaPathFinder, Loader):
    """Finds a module under the name that it had."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec of a module that looks all up in the one that it became; None for any other."""
        if not fullname.startswith("instar.") or fullname[7:] not in _MOVED:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one: what is asked of it is looked up."""
        now = _MOVED[spec.name[7:]]
        made = ModuleType(spec.name, f"Is instar.{now} now.")
        vars(made)["__getattr__"] = lambda name: _there(now, name)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs."""


def _there(now: str, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'instar.{now}' has no attribute {name!r}")
    return look(now, name)
