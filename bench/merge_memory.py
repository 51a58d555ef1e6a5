"""How much memory merging two models of 135M parameters takes above the interpreter, by method.

    python -m bench.merge_memory [--model smollm2-135m] [--methods wise_ft slerp ties]

Each method merges in a process of its own: the model with itself, which costs what any two cost. The peak is what the
kernel counts (``ru_maxrss``, mapped pages of files among it), less what it was when everything was imported.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from instar.app.storage.paths import artefacts, home
from instar.app.weights.at_hand import at_hand
from instar.protocols import UpdateContext
from instar.records import Policy, Weights
from instar.update.weights.merge import Merge

METHODS = ("wise_ft", "slerp", "linear", "task_arithmetic", "ties", "dare_ties", "model_stock")


class Shelf:
    """A store that holds one model, and keeps nothing of what is made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.size = folder, 0

    def open(self, digest: str) -> Path:
        """The one model."""
        return self.folder

    def has(self, digest: str) -> bool:
        """Nothing is kept."""
        return False

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        """Say how large it is."""
        self.size = sum(f.stat().st_size for f in folder.iterdir())
        return "made"


@contextmanager
def _timed(phase: str) -> Iterator[None]:
    yield


async def _remember(key: str, value: Any) -> None:
    return None


def measure(model: str, method: str) -> None:
    """Merge in this process and print peak, seconds and size."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = at_hand(model, home=home(), artefacts=artefacts())
    assert found.folder is not None
    policy = Policy(weights=Weights(place="artefact", digest="0" * 64)).identified()
    references = {"base": policy} | ({"b": policy} if method not in ("wise_ft", "slerp") else {})
    with tempfile.TemporaryDirectory() as place:
        shelf = Shelf(found.folder)
        context = SimpleNamespace(
            artefacts=shelf, seed=1, scratch=Path(place), references=references, learned=lambda _: None,
            recall=lambda _: None, remember=_remember, progress=lambda *_, **__: None, timed=_timed,
        )  # fmt: skip
        began = time.monotonic()
        asyncio.run(Merge.model_validate({"method": method})(policy, [], cast(UpdateContext, context)))
        seconds = time.monotonic() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{method}: {peak:.0f} MB above the {before / 1024:.0f} MB before, {seconds:.1f} s, {shelf.size / 1e6:.0f} MB"
    )


def main() -> None:
    """One process a method."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--model", default="smollm2-135m")
    asked.add_argument("--methods", nargs="+", default=METHODS)
    asked.add_argument("--alone", action="store_true")
    args = asked.parse_args()
    if args.alone:
        measure(args.model, args.methods[0])
        return
    for method in args.methods:
        code = [sys.executable, "-m", "bench.merge_memory", "--alone", "--model", args.model, "--methods", method]
        subprocess.run(code, check=True)


if __name__ == "__main__":
    main()
