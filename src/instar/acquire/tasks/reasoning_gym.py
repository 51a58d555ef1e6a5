"""Tasks from reasoning-gym: 100 procedural families, each with a verifier and difficulty settings, no download.

An item of reasoning-gym is seeded with seed + index, so neighbouring seeds give mostly the same tasks. Here seeds are
far apart, and what makes two tasks different is their canonical content, never their seed.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, ClassVar

from pydantic import field_validator

from instar import lazily
from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.sets import check_wanted
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

BLOCK = 500
"""Items taken from one seed before the next; also the ``size`` a family is built with, since some depend on it."""
STRIDE = 1_000_003
"""Between the seeds of two blocks of one set: far more than a block holds."""
PATIENCE = 1_000
"""Consecutive items already seen before a family counts as used up."""
_CHANGES = "it does not give the same item again in another process, so its answers could not be checked"
UNFIT = {
    "codeio": _CHANGES,
    "isomorphic_strings": _CHANGES,
    "polynomial_multiplication": _CHANGES,
    "knight_swap": _CHANGES,
    "list_functions": _CHANGES,
    "ransom_note": _CHANGES,
    "word_ladder": _CHANGES,
    "game_of_life_halting": "its own verifier (0.1.25) takes every answer for right",
    "composite": "it mixes other families: list those instead",
}
"""Families refused, each with the reason, as measured on reasoning-gym 0.1.25 (tests repeat the measurement)."""


class ReasoningGym(Source):
    """Draws the sealed set first, then gate, dev and train, each without any content drawn before.

    ``families`` maps a family's name to its settings, for example ``{"chain_sum": {"max_terms": 2}}``. One family may
    be there in several settings, each under a name of its own, the easiest first: ``{"chain_sum/two": {"max_terms": 2},
    "chain_sum/four": {"min_terms": 4, "max_terms": 4}}``. Every set has equal shares of each key (the remainder goes to
    the first ones), interleaved. The same ``seeds`` give the same tasks; two sets may have the same seed and still
    share nothing. A task's ability is its key; ``difficulty`` is the place of the setting among those of its family.

    Raises:
        ConfigError: an unknown or unfit family, an unknown setting, or settings the family refuses.
        DataError: a family holds too few distinct tasks; says how many were found.
    """

    name: ClassVar[str] = "reasoning_gym"

    families: dict[str, dict[str, Any]]

    @field_validator("families")
    @classmethod
    def _some_family(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not value:
            raise ConfigError("reasoning_gym has no families.", "Name at least one, such as families = { gcd = {} }.")
        for key in value:
            if "/" in key and (key.count("/") > 1 or not all(part.strip() for part in key.split("/"))):
                raise ConfigError(f"{key!r} is not a family or family/setting.", 'Write it as "chain_sum/two_terms".')
        return value

    def validate_config(self) -> None:
        """Check names and settings without drawing. Imports reasoning-gym (about a second), so not done on creation."""
        for key, settings in self.families.items():
            _checked(family_of(key), settings)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        missing = [name for name in order if name not in seeds]
        if missing:
            raise ConfigError(
                f"No seed for the {missing[0]} set.", f"Seeds are given for: {', '.join(seeds) or 'none'}."
            )
        self.validate_config()
        seen: set[str] = set()
        found = dict.fromkeys(self.families, 0)
        drawn: dict[str, list[Task]] = {}
        for name in order:
            share, extra = divmod(wanted[name], len(self.families))
            columns: list[list[Task]] = []
            for place, family in enumerate(self.families):
                size = share + (place < extra)
                columns.append(self._draw(family, name, seeds[name], size, seen, found, wanted))
                found[family] += size
            drawn[name] = [c[row] for row in range(share + 1) for c in columns if row < len(c)]
        return {name: drawn[name] for name in wanted}

    def _draw(
        self,
        family: str,
        name: str,
        seed: int,
        size: int,
        seen: set[str],
        found: dict[str, int],
        all_: Mapping[str, int],
    ) -> list[Task]:
        tasks: list[Task] = []
        repeats = 0
        items = _items(family, self.families[family], name, seed)
        difficulty = self._difficulty(family)
        while len(tasks) < size:
            block_seed, index, item = next(items)
            content = canonical(item["question"], item["metadata"])
            if content not in seen:
                seen.add(content)
                tasks.append(_task(family, self.families[family], block_seed, index, item, content, difficulty))
                repeats = 0
                continue
            repeats += 1
            if repeats >= PATIENCE:
                total = sum(n // len(self.families) for n in all_.values())
                raise DataError(
                    f"{family} with these settings gave only {found[family] + len(tasks)} distinct tasks "
                    f"({len(tasks)} of the {size} wanted for the {name} set; about {total} wanted over all sets), "
                    f"then {PATIENCE} in a row that were already drawn.",
                    f"Widen the settings of {family} (larger numbers, more terms) or ask for fewer tasks.",
                )
        return tasks

    def _difficulty(self, key: str) -> float | None:
        """The place of a setting among its family's, in the order they were written; None for a family without."""
        if "/" not in key:
            return None
        return float([k for k in self.families if family_of(k) == family_of(key)].index(key))


def family_of(key: str) -> str:
    """The family of "family" or "family/setting"."""
    return key.partition("/")[0]


def dataset(family: str, settings: Mapping[str, Any], seed: int) -> Any:
    """A reasoning-gym data set whose items are a function of these three values and an index below ``BLOCK``."""
    return lazily.reasoning_gym().create_dataset(family, **settings, seed=seed, size=BLOCK)


def question_digest(question: str) -> str:
    """Tells a checker that the item it regenerated is the one the model was asked."""
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _items(family: str, settings: Mapping[str, Any], name: str, seed: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(seed, index, item) without end, block after block."""
    base = int.from_bytes(hashlib.sha256(f"{family}|{name}|{seed}".encode()).digest()[:4], "big") % 2**31
    family = family_of(family)
    for block in count():
        block_seed = (base + block * STRIDE) % (2**32 - BLOCK)  # numpy takes no seed of 2**32 or more
        data = dataset(family, settings, block_seed)
        for index in range(BLOCK):
            try:
                item = data[index]
            except Exception as error:  # a number of 100,000 digits, say: known only when one is drawn
                raise _refused(family, settings, error) from error
            yield block_seed, index, item


def _task(
    key: str,
    settings: Mapping[str, Any],
    seed: int,
    index: int,
    item: dict[str, Any],
    content: str,
    difficulty: float | None,
) -> Task:
    return Task(
        messages=(Message(role=Role.user, content=item["question"]),),
        ability=key,
        canonical=content,
        source=f"reasoning_gym/{family_of(key)}",
        difficulty=difficulty,
        private={
            "family": family_of(key),
            "settings": dict(settings),
            "seed": seed,
            "index": index,
            "answer": item["answer"],
            "question_digest": question_digest(item["question"]),
        },
    )


def _checked(family: str, settings: Mapping[str, Any]) -> None:
    lazily.reasoning_gym()  # registers the families
    from reasoning_gym.factory import DATASETS

    if family not in DATASETS:
        close = difflib.get_close_matches(family, DATASETS, n=3, cutoff=0.5)
        raise ConfigError(
            f"reasoning-gym has no family {family!r}.",
            f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(sorted(DATASETS))}.",
        )
    if family in UNFIT:
        raise ConfigError(f"The family {family} cannot be used: {UNFIT[family]}.", "Choose another family.")
    known = sorted({f.name for f in dataclasses.fields(DATASETS[family][1])} - {"seed", "size"})
    for key in settings:
        if key in ("seed", "size"):
            raise ConfigError(f"{key!r} is not a setting of {family}.", "Seeds and sizes are given per set of tasks.")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=2)
            raise ConfigError(
                f"The family {family} has no setting {key!r}.",
                (f"Did you mean {' or '.join(close)}? " if close else "") + f"Its settings are: {', '.join(known)}.",
            )
    try:
        dataset(family, settings, 0)
    except Exception as error:  # assertions, type and value errors: whatever the family raises is the user's to mend
        raise _refused(family, settings, error) from error


def _refused(family: str, settings: Mapping[str, Any], error: Exception) -> ConfigError:
    return ConfigError(
        f"reasoning-gym refuses these settings of {family}: {str(error) or type(error).__name__:.300}.",
        f"The settings were {dict(settings)!s:.300}.",
    )
