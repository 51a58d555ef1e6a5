"""Sets too small for the recipe, and a disk too small for what it keeps: with the numbers."""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from instar.app.preflight.seen import Seen, place_of
from instar.app.storage.paths import home, nearest_folder, runs_folder
from instar.errors import ConfigError, DataError, InstarError, StoreError
from instar.evaluate.intervals import paired_bootstrap
from instar.legible import normal
from instar.protocols import Choose, Update

CHECKPOINT = 6
"""Times the weights in 32 bits that training writes beside a run: two checkpoints of weights and two moments."""


_QUOTES = "\"'\u201c\u201d\u2018\u2019\xab\xbb"
_ENDS = f".?!,;:\u2026\u3002{_QUOTES}"
"""Marks at the end of a word; NFKC has made the wide ones of Chinese into these, but for its full stop."""
FEW = 1000
"""Tasks of a suite up to which it is worth a look whether they can rule out its margin."""


def dev(seen: Seen) -> Iterator[InstarError]:
    """A recipe that writes its objectives from dev, without dev."""
    if isinstance(getattr(seen.plan.settings, "choose", None), Choose) and not seen.plan.run.sizes.dev:
        yield ConfigError(
            f"{seen.plan.recipe.name} has no dev set: its objectives are written from dev.",
            "For example: --set sizes.dev=120",
        )


def pool(seen: Seen) -> Iterator[InstarError]:
    """A pool that is used up before the last round, or that holds nothing of what dev measures."""
    per_round, tasks = getattr(seen.plan.settings, "per_round", None), seen.sets.get("train", ())
    if not isinstance(per_round, int) or not tasks:
        return
    rounds = seen.plan.settings.rounds
    if len(tasks) <= per_round * (rounds - 1):
        yield DataError(
            f"the pool has {len(tasks):,} tasks (sizes.train {seen.plan.run.sizes.train:,} x {rounds} rounds), and "
            f"{rounds} rounds of per_round {per_round:,} take {per_round * rounds:,}: the last would find none.",
            f"Set sizes.train to {per_round} or more, better a few times that, or per_round or rounds lower.",
        )
    measured = Counter(t.ability for t in seen.sets.get("dev", ()))
    families = {t.ability.partition("/")[0] for t in tasks}
    lost = [a for a in measured if a.partition("/")[0] not in families]
    if measured and len(lost) == len(measured):
        yield DataError(
            f"the dev set measures {', '.join(list(measured)[:5])}, and the pool has tasks of "
            f"{', '.join(sorted(families)[:5])} alone: no objective that is written from dev could be trained on.",
            "Take both from the same source, or name their abilities alike.",
        )


def short(seen: Seen) -> list[str]:
    """Warnings: a pool that fills its last round only in part."""
    per_round, n = getattr(seen.plan.settings, "per_round", None), len(seen.sets.get("train", ()))
    rounds = seen.plan.settings.rounds
    if not isinstance(per_round, int) or not per_round * (rounds - 1) < n < per_round * rounds:
        return []
    return [
        f"the pool has {n:,} tasks and {rounds} rounds of per_round {per_round:,} take {per_round * rounds:,}: "
        "there is nothing to choose from in the last. Set sizes.train higher, or per_round lower."
    ]


def blind(seen: Seen) -> list[str]:
    """Warnings: a suite so small that its margin cannot be ruled out, even where not one answer changes."""
    if getattr(getattr(getattr(seen.plan.settings, "exam", None), "solve", None), "samples", 1) != 1:
        return []  # of the mean of several samples it is not known beforehand by how much it changes
    found = []
    for name, suite in seen.plan.run.suites.items():
        n = len(seen.sets.get(name, ()))
        if not 0 < n <= FEW or not suite.margin:
            continue
        low = paired_bootstrap([0.0] * n, [0.0] * n).low
        if low < -suite.margin:
            found.append(
                f"the suite {name} has {n} tasks: even where no answer changes, a change for the worse of up to "
                f"{-100 * low:.1f} points is not ruled out, and its margin is {100 * suite.margin:g}. Give it more "
                "tasks, or a wider margin."
            )
    return found


def repeated(seen: Seen) -> list[str]:
    """Warnings: held-out questions that differ from a training question in capitals, spaces, marks at the ends of words
    or invisible characters alone: they are other tasks to the letter, and as good as trained on."""
    asked = {t.question for t in seen.sets.get("train", ())}  # of the very same words: told apart by something else
    learned = {_to_the_eye(q) for q in asked}
    found = []
    for name, tasks in seen.sets.items():
        others = [t for t in tasks if t.question not in asked] if name != "train" else []
        same = [t for t in others if _to_the_eye(t.question) in learned]
        if same:
            are = "are" if len(same) > 1 else "is"
            found.append(
                f"{len(same):,} of the {len(tasks):,} {name} questions {are} in train too, but for "
                f"capitals, spaces, punctuation or invisible characters ({place_of(seen, name, same[0])}). "
                "Remove them from one of the two, or what is measured there was trained on."
            )
    return found


def _to_the_eye(text: str) -> str:
    """A question as a reader takes it. Signs of sums and of code stay, and so does what stands inside a word."""
    shown = "".join(c for c in normal("NFKC", text) if unicodedata.category(c) != "Cf")
    words = (w.lstrip(_QUOTES).rstrip(_ENDS) for w in shown.casefold().split())
    return " ".join(w for w in words if w)


def disk(seen: Seen) -> Iterator[InstarError]:
    """Disks that cannot take even the first policy, where it is kept and where its training writes checkpoints."""
    folder = seen.model.folder if seen.model is not None else None
    train = getattr(seen.plan.settings, "train", None)
    if folder is None or not isinstance(train, Update) or not getattr(seen.plan.settings, "learn", True):
        return
    whole = _bytes(folder)
    trained = 0 if getattr(train, "lora", None) is not None else whole  # adapters are small beside the weights
    store, runs = nearest_folder(home()), nearest_folder(runs_folder())
    needs = {store: whole, runs: CHECKPOINT * trained}
    if one_disk(store, runs):
        needs = {store: whole + CHECKPOINT * trained}
    keep = seen.plan.run.budget.keep_free_gb
    for place, need in needs.items():
        free = shutil.disk_usage(place).free
        if free / 1e9 - need / 1e9 < keep:
            what = "the policies" if place == store and len(needs) > 1 else "the checkpoints of training"
            yield StoreError(
                f"the disk of {place} has {free / 1e9:.1f} GB free; {what} of {seen.plan.run.model} need about "
                f"{need / 1e9:.1f} GB there, and budget.keep_free_gb = {keep:g} are to stay free.",
                "Free some space, or set INSTAR_HOME and INSTAR_RUNS to a larger disk.",
            )


def one_disk(a: Path, b: Path) -> bool:
    """Whether two folders share a disk."""
    return a.stat().st_dev == b.stat().st_dev


def _bytes(folder: Path) -> int:
    """Of the weights in 32 bits, from the headers of their files."""
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, "np") as f:
                for name in f.keys():  # noqa: SIM118 - not a dictionary
                    size = 4
                    for n in f.get_slice(name).get_shape():
                        size *= n
                    total += size
        except (SafetensorError, OSError):  # whoever opens the weights says what is wrong with them
            continue
    return total
