"""Which policy a user means: of a run, an artefact, a model's name or folder. And which run it is of, if any.

demo-1                  what the run demo-1 ended with (or has promoted so far)
demo-1:base             where it began; also :final and the name of a control (:unverified)
demo-1:3fa1             the policy of that run whose id begins so; 3fa1 alone looks through all runs
~/.cache/.../artefacts  an artefact's folder or digest, or any folder with a model in it
smollm2-135m            a model's name, as in ``model =``; openai:MODEL@URL is one on a server
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from instar.app.storage.paths import artefacts, home, runs_folder
from instar.app.weights import hub
from instar.app.weights.models import Say, models, obtain
from instar.engines.remote.address import is_remote
from instar.errors import ConfigError, StoreError
from instar.records import Policy, Weights
from instar.store.artefacts import Artefacts
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers.policies import origins
from instar.store.roles import roles_of
from instar.store.sound import sound

SHORTEST = 4
"""Characters of an id that are enough to look through all runs for it."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Found:
    """A policy, and what is known of where it came from."""

    policy: Policy
    run: Path | None = None
    role: str = ""
    """In words: ``base``, ``final``, ``control:NAME``, ``judge``, ``candidate``; empty for one that is of no run."""

    @property
    def title(self) -> str:
        """How it is named to the reader."""
        id = self.policy.id.split(":")[-1][:8]
        if self.run is None:
            return f"{self.policy.weights.name or self.policy.weights.place} ({id})"
        return f"{self.run.name}:{id}" + (f" ({self.role})" if self.role else "")


def find(said: str, *, system: str | None, say: Say) -> Found:
    """The policy that ``said`` names (the module's first lines list the forms).

    ``system`` is the system prompt of a policy that is of no run. Raises ConfigError naming what there is, ModelError
    for a model that cannot be had, StoreError for a damaged ledger or artefact.
    """
    if is_remote(said):
        return Found(obtain(said, home=home(), artefacts=artefacts(), system=system, say=say))
    head, colon, tail = said.rpartition(":")
    if colon and (run := _run(head)) is not None:
        return _of_run(run, tail)
    if (run := _run(said)) is not None:
        return _of_run(run, "")
    store = artefacts()
    digest = _digest(said, store)
    if digest is not None:
        store.open(digest)
        weights = Weights(place="artefact", digest=digest, name=digest[:12])
        return Found(Policy(weights=weights, system=system, made_by="artefact").identified())
    if said in models() or Path(said).expanduser().is_dir() or hub.is_hub_id(said):
        return Found(obtain(said, home=home(), artefacts=store, system=system, say=say))
    if re.fullmatch(rf"(i1:)?[0-9a-f]{{{SHORTEST},32}}", said):
        return _in_any_run(said)
    runs = ", ".join(names()) or "none yet"
    raise ConfigError(
        f"there is no run, policy, model or folder {said!r}.",
        f"Runs: {runs}. Of a run: RUN:base, RUN:final, RUN:ID. Models: {', '.join(models())}.",
    )


def names() -> list[str]:
    """The runs there are, by name."""
    return sorted(p.parent.name for p in runs_folder().glob("*/ledger.db"))


def roles(about: dict[str, str]) -> dict[str, str]:
    """Role to policy id, of a finished run: base, final, control:NAME. Empty for one that is not."""
    result: dict[str, Any] = json.loads(about.get("result", "{}"))
    found = {role: result[role] for role in ("base", "final") if role in result}
    return found | {f"control:{name}": id for name, id in result.get("controls", {}).items()}


@contextmanager
def reading(run: Path) -> Iterator[Ledger]:
    """A run's ledger, open for reading."""
    ledger = open_ledger(run / "ledger.db")
    try:
        with sound(run):
            yield ledger
    finally:
        ledger.close()


def _run(name: str) -> Path | None:
    """A run's folder by its name or path; None if there is none."""
    if not name:
        return None
    for folder in (runs_folder() / name, Path(name).expanduser()):
        if (folder / "ledger.db").is_file():
            return folder
    return None


def _of_run(run: Path, which: str) -> Found:
    with reading(run) as ledger:
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        known, what = roles(ledger.about()), roles_of(ledger)
    if what.base is None:
        raise ConfigError(
            f"the run {run.name} has no policy yet: it was stopped before it began.",
            "Start it again, under the same name.",
        )
    known.setdefault("base", what.base)
    wanted = which or "final"
    if wanted == "final" and "final" not in known:  # not finished: the best it has so far
        id = what.result or what.base
    else:
        id = known.get(wanted) or known.get(f"control:{wanted}") or _begins(wanted, list(policies), run, known)
    role = next((r for r in ("final", "base") if known.get(r) == id), None)
    role = role or next((r for r, i in known.items() if i == id), None) or next(iter(what.of(id)), None)
    role = role or ("promoted" if what.promoted.get(id) else "candidate")
    if role == "final" and known.get("base") == id:
        role = "final: the base, nothing was promoted"
    return Found(policies[id], run, role)


def _begins(prefix: str, ids: list[str], run: Path, known: dict[str, str]) -> str:
    found = [i for i in ids if i.startswith(prefix) or i.split(":")[-1].startswith(prefix)]
    if len(found) == 1:
        return found[0]
    have = ", ".join([*(r.removeprefix("control:") for r in known), *(i.split(":")[-1][:8] for i in ids)])
    if found:
        raise ConfigError(f"{prefix!r} begins {len(found)} policies of {run.name}.", "Give more characters.")
    raise ConfigError(f"the run {run.name} has no policy {prefix!r}.", f"It has: {have}.")


def _in_any_run(prefix: str) -> Found:
    like = prefix.removeprefix("i1:")
    found: dict[str, Found] = {}
    for name in names():
        run = runs_folder() / name
        try:
            with reading(run) as ledger:
                lasting = {p.id for p in origins(ledger)}
                ids = [i for i, kind in ledger.find(like) if kind == "policy" and i in lasting]
        except StoreError:
            continue  # a damaged run is no reason not to look into the others
        for id in ids:
            found.setdefault(id, _of_run(run, id))
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ConfigError(
            f"no run in {runs_folder()} has a policy whose id begins with {prefix!r}.",
            f"Runs: {', '.join(names()) or 'none yet'}.",
        )
    raise ConfigError(f"{prefix!r} begins the ids of {len(found)} policies.", "Give more characters.")


def _digest(said: str, store: Artefacts) -> str | None:
    """The artefact that a digest, or the path of a folder of the store, stands for."""
    if _DIGEST.fullmatch(said):
        return said
    folder = Path(said).expanduser()
    name = folder.name
    if _DIGEST.fullmatch(name) and folder.is_dir() and folder.resolve() == store.place(name).resolve():
        return name
    return None
