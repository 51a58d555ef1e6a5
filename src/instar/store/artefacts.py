"""Content-addressed folders (weights, tokenizers): written whole or not at all, verified when opened."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar import fingerprint
from instar.durable import to_disk
from instar.errors import StoreError
from instar.records import canonical_json
from instar.store.disk import full, is_full

MANIFEST = "manifest.json"


def file_hash(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Artefacts:
    """The store under ``INSTAR_HOME/artefacts``, shared by all runs.

    A folder is built elsewhere, gets its manifest last, and is renamed into place: what has a name here is whole.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            if e.errno not in (errno.EROFS, errno.EACCES):
                raise  # whoever only reads needs no folder; whoever puts something here is told then
        self._verified: dict[str, tuple[tuple[str, int, int, int], ...]] = {}
        self._lent: dict[str, Path] = {}

    def place(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def has(self, digest: str) -> bool:
        return (self.place(digest) / MANIFEST).exists()

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        """Move a finished folder into the store; returns its digest. The same content twice is stored once.

        A fingerprint in it is kept beside the manifest, and is no part of the digest either.
        """
        files = {
            str(p.relative_to(folder)): {"size": p.stat().st_size, "sha256": file_hash(p)}
            for p in sorted(folder.rglob("*"))
            if p.is_file() and p.name != MANIFEST and p != folder / fingerprint.FILE
        }
        if not files:
            raise StoreError(f"the folder {folder} holds no file to store.")
        digest = hashlib.sha256(canonical_json(files).encode()).hexdigest()
        final = self.place(digest)
        if self.has(digest):
            try:
                self.open(digest)
            except StoreError:  # what is there was damaged since: the fresh one takes its place
                shutil.rmtree(final)
            else:
                if (folder / fingerprint.FILE).is_file() and not (final / fingerprint.FILE).is_file():
                    os.replace(folder / fingerprint.FILE, final / fingerprint.FILE)
                shutil.rmtree(folder)
                return digest
        staged = self._staged(folder)
        for name in files:
            to_disk(staged / name)
        manifest = staged / MANIFEST
        manifest.write_text(json.dumps({"digest": digest, "files": files, "about": dict(about or {})}, indent=1))
        to_disk(manifest)
        to_disk(staged)
        final.parent.mkdir(exist_ok=True)
        try:
            staged.rename(final)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if not self.has(digest):  # a folder without its manifest was left by hand: the whole one replaces it
                shutil.rmtree(final)
                staged.rename(final)
            else:
                shutil.rmtree(staged)
        to_disk(final.parent)
        return digest

    def open(self, digest: str) -> Path:
        """The folder of an artefact. Every file's hash is verified (once a process while the file is unchanged)."""
        if digest in self._lent:
            return self._lent[digest]
        folder = self.place(digest)
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            files: dict[str, dict[str, Any]] = manifest["files"]
        except FileNotFoundError:
            raise StoreError(
                f"artefact {digest} is not in {self.root}.", "Was INSTAR_HOME changed, or the artefact removed?"
            ) from None
        except (ValueError, KeyError, TypeError) as e:
            raise StoreError(f"the manifest {folder / MANIFEST} is damaged ({e}).", _mend(folder)) from None
        if hashlib.sha256(canonical_json(files).encode()).hexdigest() != digest:
            raise StoreError(f"the manifest {folder / MANIFEST} does not belong to artefact {digest}.", _mend(folder))
        stamp = tuple(_stamp(folder / name, name) for name in sorted(files))
        if self._verified.get(digest) != stamp:
            for name, said in files.items():
                if not _is(folder / name, [said, *manifest.get("redacted", {}).get(name, ())]):
                    path = folder / name
                    raise StoreError(f"{path} is damaged: it does not match the hash in its manifest.", _mend(folder))
            self._verified[digest] = stamp
        return folder

    def files(self, digest: str) -> Mapping[str, Any]:
        """Name to size and hash of each file of an artefact, as its manifest has them."""
        found: dict[str, dict[str, Any]] = json.loads((self.place(digest) / MANIFEST).read_text())["files"]
        return found

    def redact(self, digest: str, name: str, text: str) -> None:
        """Put a text in the place of a file's, which had to go. The artefact keeps its digest: that still says what it
        was, and the manifest, beside what the digest covers, what the file is now. Killed in the middle, the artefact
        opens as it was before. Raises StoreError for an artefact that does not open."""
        folder = self.open(digest)
        manifest = json.loads((folder / MANIFEST).read_text())
        data = text.encode()
        now = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        before = manifest.setdefault("redacted", {}).get(name, [])
        for may_be, then in (([*before, now], (name, data)), ([now], None)):
            manifest["redacted"][name] = may_be
            _replace(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
            if then is not None:
                _replace(folder / then[0], then[1])
        self._verified.pop(digest, None)

    @contextmanager
    def lend(self, digest: str, folder: Path) -> Iterator[None]:
        """Inside, ``open(digest)`` gives this folder as it is; ``has`` stays False, for it is not kept."""
        self._lent[digest] = folder
        try:
            yield
        finally:
            del self._lent[digest]

    def _staged(self, folder: Path) -> Path:
        """The folder on the store's own file system, so that the last step is one rename."""
        staged = self.root / f".new-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            folder.rename(staged)
        except OSError as e:
            if e.errno != errno.EXDEV:
                raise
            try:
                shutil.copytree(folder, staged)
            except OSError as e:
                shutil.rmtree(staged, ignore_errors=True)
                if is_full(e):
                    raise full([self.root]) from e  # shutil tells it as a list of every file
                raise
            shutil.rmtree(folder)
        return staged


def _is(path: Path, any_of: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a file is there and is one of these, by size and hash."""
    size = path.stat().st_size if path.exists() else None
    likely = [said["sha256"] for said in any_of if said["size"] == size]
    return bool(likely) and file_hash(path) in likely


def _replace(path: Path, data: bytes) -> None:
    """The file with other bytes, on the disk, in one step."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    to_disk(new)
    os.replace(new, path)
    to_disk(path.parent)


def _mend(folder: Path) -> str:
    return f"Remove {folder} and resume: what is missing is fetched or computed again."


def _stamp(path: Path, name: str) -> tuple[str, int, int, int]:
    try:
        s = path.stat()
    except FileNotFoundError:
        return (name, -1, -1, -1)
    return (name, s.st_size, s.st_mtime_ns, s.st_ino)
