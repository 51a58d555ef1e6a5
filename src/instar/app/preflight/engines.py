"""The engine of a run, tried without loading a weight: is it here, does it run these weights, at these precisions?"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

from instar.app.configs.registry import OUR_ENGINES, REAL_ENGINES, EngineContext, engines
from instar.app.host.engine_choice import PACKAGES
from instar.app.preflight.seen import Seen
from instar.app.storage.paths import artefacts
from instar.errors import ConfigError, InstarError, ModelError
from instar.model_folder.folder import plain_llama
from instar.protocols import Engine, Update
from instar.update.weights.trainer.hardware import device_of

TRAINING = ("torch", "transformers", "safetensors")


def engine(seen: Seen) -> Iterator[InstarError]:
    """An engine that was named and cannot answer for the model here. ``auto`` takes one that can, if there is one."""
    run, model = seen.plan.run, seen.model
    if model is None or (not model.scripted and model.folder is None) or run.engine not in ("auto", *OUR_ENGINES):
        return
    if model.scripted or run.engine == "scripted":
        if run.engine != "auto" and model.scripted != (run.engine == "scripted"):
            fit = "scripted" if model.scripted else f"one of {', '.join(REAL_ENGINES)}"
            yield ConfigError(
                f"the engine {run.engine} does not answer for the model {run.model!r}.",
                f"Set engine to {fit}, or auto.",
            )
        return
    assert model.folder is not None
    tried = REAL_ENGINES if run.engine == "auto" else (run.engine,)
    said: list[InstarError] = []
    for name in tried:
        refused = why_not(name, model.folder, dict(run.engine_options))
        if refused is None:
            return
        said.append(refused)
    if len({str(e) for e in said}) == 1:
        yield said[0]
        return
    yield ModelError(
        f"no engine here can answer for the model {run.model!r}: "
        + " ".join(f"{n}: {e.message}" for n, e in zip(tried, said, strict=True)),
        "Install what one of them needs (instar doctor says how), or take another model.",
    )


def why_not(name: str, folder: Path, options: dict[str, object]) -> InstarError | None:
    """Why one of our engines cannot run the weights of a folder with these options; None where nothing speaks against
    it. It is made and closed again: no weight is loaded."""
    if (package := PACKAGES.get(name)) and importlib.util.find_spec(package) is None:
        extra = "openvino" if name == "openvino" else "train"
        return ModelError(
            f"the engine {name} needs the package {package}, which is not installed.",
            f"Install it: pip install 'instar[{extra}]'.",
        )
    made: Engine | None = None
    try:
        if name == "native":
            from instar.engines.native.llama import Shape

            Shape.of(folder)
        elif name == "openvino":
            plain_llama(folder)
        with tempfile.TemporaryDirectory(prefix="instar-") as scratch:
            made = engines()[name](EngineContext(artefacts(), Path(scratch), dict(options)))
            for purpose in ("sample", "exam"):
                made.precision_for(purpose)
            made.close()
    except InstarError as e:
        return e
    return None


def training(seen: Seen) -> Iterator[InstarError]:
    """Packages and the GPU that training needs, before there are answers to train on."""
    train = getattr(seen.plan.settings, "train", None)
    if seen.model is None or seen.model.scripted or not isinstance(train, Update):
        return
    if not getattr(seen.plan.settings, "learn", True):
        return
    wanted = (*TRAINING, *(("peft",) if getattr(train, "lora", None) is not None else ()))
    lacking = [p for p in wanted if importlib.util.find_spec(p) is None]
    if not lacking and getattr(train, "device", "auto") == "cuda":
        try:
            device_of("cuda")
        except ModelError as e:
            yield e
    if lacking:
        yield ModelError(
            f"Training needs the package{'s' * (len(lacking) > 1)} {', '.join(lacking)}.",
            "Install it: pip install 'instar[train]'.",
        )
