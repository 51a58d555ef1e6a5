"""Models by their id on a Hugging Face hub: ``owner/name`` or ``owner/name@revision``, fetched once.

The revision is resolved to a commit *before* anything is fetched, and the commit is kept: a resumed run gets the
weights it began with, network or not, even if the branch has moved. Only safetensors and text files are fetched; a
pickle (``pytorch_model.bin``) could run code and is refused. What the hub answers is untrusted: files whose names hold
a folder are ignored.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.errors import ModelError
from instar.model_folder.files import ADAPTERS

PATTERN = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w][\w./-]*)?")
ENDPOINT = "https://huggingface.co"
KEPT = ("*.json", "*.safetensors", "*.jinja")
_LARGEST_TEXT = 200_000_000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A model on the hub: its id, the commit that its revision is now, the files to fetch."""

    repo: str
    commit: str
    files: tuple[str, ...]
    bytes: int

    @property
    def name(self) -> str:
        """What a policy is called that has these weights."""
        return f"{self.repo}@{self.commit}"


def is_hub_id(name: str) -> bool:
    """Whether ``name`` has the form of a hub id. A folder that exists goes first: the caller looks."""
    return PATTERN.fullmatch(name) is not None and ".." not in name


def endpoint() -> str:
    """HF_ENDPOINT as it is now (huggingface_hub itself reads it once, when imported), or the public hub."""
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def pointer_name(name: str) -> str:
    """A file name for what was found under this id at this endpoint."""
    return "hub-" + hashlib.sha256(f"{endpoint()}|{name}".encode()).hexdigest()[:24]


def look_up(name: str) -> Found:
    """Ask the hub what ``name`` is now. Raises ModelError: not reached, not found, no access, or nothing usable."""
    api = _library().HfApi(endpoint=endpoint())
    repo, _, revision = name.partition("@")
    try:
        info = api.model_info(repo, revision=revision or None, files_metadata=True, timeout=20)
        commit, siblings = info.sha, [(str(s.rfilename), s.size) for s in info.siblings or ()]
    except Exception as e:  # the hub's own errors, the network's, and whatever an answer that is no JSON leads to
        raise _error(name, e) from e
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ModelError(
            f"{endpoint()} answered for {name} without a valid commit (it says {commit!r:.60}).", _hint_local()
        )
    return _usable(repo, commit, siblings)


def fetch(found: Found, into: Path, say: Say) -> None:
    """The model's files into ``into``. What a killed process fetched is used again. Raises ModelError."""
    library = _library()
    say(f"Fetching {found.name} from {endpoint()} ({found.bytes / 1e6:.0f} MB, once).")
    try:
        library.snapshot_download(
            found.repo,
            revision=found.commit,
            allow_patterns=list(found.files),
            local_dir=into,
            endpoint=endpoint(),
            max_workers=4,
        )
    except Exception as e:
        raise _error(found.name, e) from e
    shutil.rmtree(into / ".cache", ignore_errors=True)
    lacking = [f for f in found.files if not (into / f).is_file()]
    if lacking:
        raise ModelError(f"{endpoint()} gave {found.name} without {', '.join(lacking)}.", "Try again.")


def _usable(repo: str, commit: str, siblings: list[tuple[str, int | None]]) -> Found:
    """Which files are fetched. Raises ModelError if they would not make a model."""
    sizes = {f: s or 0 for f, s in siblings if "/" not in f and "\\" not in f and not f.startswith(".")}
    weights = [f for f in sizes if fnmatch.fnmatch(f, "model.safetensors") or fnmatch.fnmatch(f, "model-*.safetensors")]
    if not weights:
        pickles = sorted(f for f in sizes if f.endswith((".bin", ".pt", ".pth", ".ckpt")))
        if pickles:
            raise ModelError(
                f"{repo} holds its weights as {pickles[0]} only: a pickle, which can run code when it is opened.",
                "Convert it where you trust it (load it, save_pretrained writes safetensors) and pass the folder.",
            )
        raise ModelError(f"{repo} ({commit[:12]}) holds no model*.safetensors.", _hint_local())
    if any(f in sizes for f in ADAPTERS):
        raise ModelError(
            f"{repo} ({commit[:12]}) holds an adapter beside its weights: transformers puts it on when it loads them, "
            "other engines do not.",
            "Merge it where you trust it (peft: merge_and_unload, then save_pretrained) and pass the folder.",
        )
    if "config.json" not in sizes:
        raise ModelError(f"{repo} ({commit[:12]}) holds no config.json.", _hint_local())
    if "tokenizer.json" not in sizes:
        raise ModelError(
            f"{repo} ({commit[:12]}) holds no tokenizer.json, only an older kind of tokenizer.",
            "Load it with transformers' AutoTokenizer, save_pretrained writes tokenizer.json; then pass the folder.",
        )
    texts = [
        f
        for f in sizes
        if any(fnmatch.fnmatch(f, p) for p in KEPT) and not f.endswith(".safetensors") and sizes[f] < _LARGEST_TEXT
    ]
    files = tuple(sorted({*weights, *texts}))
    return Found(repo, commit, files, sum(sizes[f] for f in files))


def _error(name: str, e: Exception) -> ModelError:
    """What went wrong, in the user's words."""
    where, repo = endpoint(), name.partition("@")[0]
    status = getattr(getattr(e, "response", None), "status_code", None)
    kinds = {k.__name__ for k in type(e).__mro__}
    if status in (401, 403) or "GatedRepoError" in kinds:
        return ModelError(
            f"{where} gives no access to {repo} (HTTP {status}): it does not exist, is private, or wants its terms "
            "accepted.",
            f"Check the spelling; for a private or gated model set HF_TOKEN. Or {_hint_local(lower=True)}",
        )
    if status == 404:
        return ModelError(
            f"{where} has no model or revision {name!r} (HTTP 404), and there is no such folder here.",
            f"Check the spelling; for a private model set HF_TOKEN. Or {_hint_local(lower=True)}",
        )
    if status is not None and status >= 400:
        return ModelError(f"{where} failed for {name} (HTTP {status}).", f"Try again later, or {_hint_local(True)}")
    if "OfflineModeIsEnabled" in kinds:
        return ModelError(f"{name} is not here yet, and HF_HUB_OFFLINE forbids to fetch it.", _hint_local())
    if kinds & {"TransportError", "ConnectError", "TimeoutException", "ConnectionError"}:
        return ModelError(
            f"{where} cannot be reached for {name}: {type(e).__name__}: {_short(e)}.",
            f"Check the network, HF_ENDPOINT and the proxy settings, or {_hint_local(lower=True)}",
        )
    if isinstance(e, OSError) and e.errno is not None:
        return ModelError(f"{name} could not be stored: {e}.", "Free some disk space.")
    return ModelError(
        f"{where} answered for {name} with something that is not a model: {type(e).__name__}: {_short(e)}.",
        f"Check HF_ENDPOINT (a login page or proxy may answer in its place), or {_hint_local(lower=True)}",
    )


def _short(e: Exception) -> str:
    return " ".join(str(e).split())[:200].rstrip(".")


def _hint_local(lower: bool = False) -> str:
    text = "Pass a local folder with config.json, *.safetensors and tokenizer.json."
    return text[0].lower() + text[1:] if lower else text


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as e:
        raise ModelError(
            f"The package {e.name} is needed to fetch a model.",
            "Install it: pip install 'instar[train]'.",
        ) from e
    return huggingface_hub
