"""What INSTAR_HOME holds: converted models, and the artefacts that runs made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import models
from instar.store.artefacts import MANIFEST, Artefacts


def stock() -> dict[str, Any]:
    """Names that can be given as ``model``, converted models, and how much runs have added."""
    store = artefacts()
    pointed = pointers()
    converted = [
        {"model": name, "digest": digest, "there": store.has(digest), "bytes": size_of(store.place(digest)),
         "architecture": _architecture(store, digest)}
        for name, digest in pointed
    ]  # fmt: skip
    others = set(digests(store)) - {digest for _, digest in pointed}
    return {
        "names": models(),
        "home": str(home()),
        "converted": converted,
        "policies": len(others),
        "policies_bytes": sum(size_of(store.place(d)) for d in others),
    }


def pointers() -> list[tuple[str, str]]:
    """(model name, artefact digest) of each converted model; damaged pointers are left out."""
    found = []
    for path in sorted((home() / "models").glob("*.json")):
        try:
            said = json.loads(path.read_text())
            found.append((str(said["model"]), str(said["digest"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def digests(store: Artefacts) -> list[str]:
    """Every artefact in the store."""
    return sorted(p.parent.name for p in store.root.glob(f"??/*/{MANIFEST}"))


def size_of(folder: Path) -> int:
    """Bytes that a folder, or a file, takes on the disk. A file that goes while it is counted counts nothing."""
    total = 0
    for path in (folder, *folder.rglob("*")):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() and not path.is_symlink() else 0
        except OSError:
            continue
    return total


def _architecture(store: Artefacts, digest: str) -> str | None:
    try:
        named = json.loads((store.place(digest) / "config.json").read_text("utf-8"))["architectures"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(named[0]) if isinstance(named, list) and named else None
