"""Everybody who reads a model folder, each as a function of a folder that raises what a user would see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from instar.app.weights.at_hand import at_hand
from instar.app.weights.models import obtain
from instar.engines.hf.engine import TransformersEngine
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.native.llama import Shape
from instar.engines.openvino.engine import OpenVinoEngine
from instar.export.gguf import export_gguf
from instar.records import Reply, Sampling
from instar.store.artefacts import Artefacts
from instar.update.weights.trainer.model import open_trainable
from tests.engines.tiny import FolderStore, policy_of, user

ENGINES = ("native", "openvino", "transformers")


def reply_of(name: str, folder: Path, text: str = "what is 3 ?") -> Reply:
    """What an engine says to a question, greedily, in float32."""
    store, engine = FolderStore(folder.parent), None
    with TemporaryDirectory() as scratch:
        made: dict[str, Callable[[], Any]] = {
            "native": lambda: NativeEngine(store, cache_gb=0.01),
            "openvino": lambda: OpenVinoEngine(store, Path(scratch), cache_gb=1),
            "transformers": lambda: TransformersEngine(store, device="cpu", cache_gb=0.01),
        }
        engine = made[name]()
        how = Sampling(temperature=0.0, max_tokens=8)
        try:
            asked = engine.ask(policy_of(folder.name), user(text), n=1, sampling=how, seed=1, precision="f32")
            (reply,) = asyncio.run(asked)
            assert isinstance(reply, Reply)
            return reply
        finally:
            engine.close()


def _native(folder: Path) -> None:
    if build.why_not("f32") is None:
        reply_of("native", folder)
    Shape.of(folder)  # what it does first, on any machine


def _gguf(folder: Path) -> None:
    with TemporaryDirectory() as out:
        export_gguf(folder, Path(out) / "model.gguf")


def _obtain(folder: Path) -> None:
    with TemporaryDirectory() as home:
        store = Artefacts(Path(home) / "artefacts")
        try:
            obtain(str(folder), home=Path(home), artefacts=store, system=None, say=lambda _: None)
        except BaseException:
            kept = [p for p in (Path(home) / "artefacts").rglob("*") if p.is_file()]
            assert not kept, "a folder that is refused was copied"
            raise


def _dry_run(folder: Path) -> None:
    with TemporaryDirectory() as home:
        at_hand(str(folder), home=Path(home), artefacts=Artefacts(Path(home) / "artefacts"))


READERS: dict[str, Callable[[Path], None]] = {
    "native": _native,
    "openvino": lambda folder: (reply_of("openvino", folder), None)[1],
    "transformers": lambda folder: (reply_of("transformers", folder), None)[1],
    "trainer": lambda folder: (open_trainable(folder, None, 0), None)[1],
    "gguf": _gguf,
    "obtain": _obtain,
    "dry run": _dry_run,
}
"""Who reads a folder. All refuse the same."""
