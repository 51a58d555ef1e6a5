"""The fingerprint of a folder that has none: plain transformers in float32, loaded for this and let go again."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from instar import fingerprint
from instar.chat import ChatTokenizer
from instar.engines.hf.model import HfModel
from instar.engines.scheduler.backend import Backend, Score
from instar.errors import InstarError
from instar.fingerprint import Fingerprint

BY = "transformers in float32"
SPARE = 1.3
"""Memory that must be free, in sizes of the weights in float32."""
_LOG = logging.getLogger("instar.engines")
_LOCK = Lock()
_SEEN: set[tuple[object, ...]] = set()


def make(folder: Path) -> tuple[Fingerprint | None, str]:
    """The fingerprint of a model folder, written into it; else None, and why, as a sentence."""
    lacking = _too_large(folder)
    if lacking is not None:
        return None, lacking
    try:
        chat = ChatTokenizer.load(folder)
        model = HfModel(folder, "f32", "cpu", False)
        context = min(chat.context, model.context or chat.context)
        rows = min(model.vocab_size, chat.vocab_size)
        asked = fingerprint.sequences(rows, context, chat.reply_ids(fingerprint.TEXT))
        made = fingerprint.of(BY, asked, _of_plain(model, asked))
        del model
        gc.collect()
    except InstarError as e:
        return None, str(e)
    except Exception as e:  # whatever the architecture's own code raises: this is a check beside the work
        return None, f"{type(e).__name__}: {str(e)[:200]}"
    if made is None:
        return None, "the weights give no numbers"
    with contextlib.suppress(OSError):  # a home that is read alone: it holds for this process
        fingerprint.write(folder, made)
    return made, ""


class Check:
    """That loaded weights are the model whose fingerprint lies in ``folder``. Made before they are loaded: where there
    is no fingerprint yet, another load goes first, and two are never in memory."""

    def __init__(self, folder: Path, engine: str, precision: str) -> None:
        self._folder, self._engine, self._precision = folder, engine, precision
        self._key = (engine, precision, str(folder.resolve()), *_stamps(folder))
        self._kept: Fingerprint | None = None
        if self._key in _SEEN:
            return
        with _LOCK:
            self._kept = fingerprint.read(folder)
            if self._kept is None and ("none", *self._key[2:]) not in _SEEN:
                self._kept, why = make(folder)
                self._key = (*self._key[:3], *_stamps(folder))
                if self._kept is None:
                    _SEEN.add(("none", *self._key[2:]))
                    _LOG.warning(
                        "%s has no fingerprint, so what %s makes of it was not checked: %s", folder, engine, why
                    )

    def run(self, score: Callable[[Sequence[Sequence[int]]], list[list[float]]], most: int) -> None:
        """Compare, once a process while nothing changes; sequences are cut to ``most`` tokens. Raises ModelError."""
        if self._kept is None:
            return
        asked = [s[:most] for s in self._kept.sequences]
        found = score([s for s in asked if len(s) > 1])
        left = iter(found)
        fingerprint.compare(
            self._kept, [next(left) if len(s) > 1 else [] for s in asked],
            folder=self._folder, engine=self._engine, precision=self._precision,
        )  # fmt: skip
        _SEEN.add(self._key)


def of_backend(backend: Backend) -> Callable[[Sequence[Sequence[int]]], list[list[float]]]:
    """The log-probabilities that loaded weights give, for a check."""

    def score(asked: Sequence[Sequence[int]]) -> list[list[float]]:
        left = [Score([s[0]], list(s[1:])) for s in asked]
        wanted = list(left)
        with backend.serving():
            while left:
                now = max(1, backend.scorable(left))
                backend.score(left[:now])
                del left[:now]
        return [w.future.result() for w in wanted]

    return score


def _of_plain(model: HfModel, asked: Sequence[Sequence[int]]) -> list[list[float]]:
    import torch

    out = []
    with torch.inference_mode():
        for s in asked:
            ids = torch.tensor([list(s)])
            logits = model.forward(ids, torch.ones_like(ids), None, len(s))[0, :-1].double().log_softmax(-1)
            out.append([float(x) for x in logits.gather(-1, ids[0, 1:, None]).squeeze(-1)])
    return out


def _stamps(folder: Path) -> tuple[object, ...]:
    files = (*sorted(folder.glob("*.safetensors")), folder / "config.json", folder / fingerprint.FILE)
    return tuple((p.name, (s := p.stat()).st_size, s.st_mtime_ns, s.st_ino) for p in files if p.is_file())


def _too_large(folder: Path) -> str | None:
    """Why the weights in float32 would not fit into this machine's memory beside what runs."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(s.split()[1]) * 1024 for s in lines if s.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    half = str(config.get("dtype", config.get("torch_dtype"))) in ("bfloat16", "float16")
    needed = SPARE * sum(p.stat().st_size for p in folder.glob("*.safetensors")) * (2 if half else 1)
    if needed <= free:
        return None
    return f"its reference in float32 needs about {needed / 1e9:.0f} GB of memory, and {free / 1e9:.0f} GB are free"
