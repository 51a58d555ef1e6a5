"""The engine of our side: what ``auto`` takes for SmolLM2 on this machine, or one that is named."""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import mkdtemp

from instar.engines.hf.engine import TransformersEngine
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.openvino.engine import OpenVinoEngine
from instar.engines.scheduler.local import LocalEngine
from instar.protocols import ArtefactStore


@functools.cache
def chosen() -> str:
    """Our own kernels where they run, else openvino."""
    return "openvino" if build.why_not("bf16") else "native"


def ours(store: ArtefactStore, name: str | None = None, scratch: Path | None = None) -> LocalEngine | OpenVinoEngine:
    """The engine over the artefacts of ``store``."""
    if (name or chosen()) == "native":
        return NativeEngine(store)
    if name == "transformers":
        return TransformersEngine(store)
    return OpenVinoEngine(store, scratch or Path(mkdtemp(prefix="instar-bench-")))
