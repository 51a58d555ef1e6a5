"""What a recipe that is started by its name alone brings with it: tasks it can work on, and the sets it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from instar.acquire.documents.showing import numbered
from instar.acquire.feedback.fence import fenced, mark_for
from instar.acquire.solutions.recalling import HEAD
from instar.app.configs.config_file import read
from instar.app.configs.registry import recipes
from instar.app.configs.villagers import villagers


def _noted(note: str, asked: str, answer: str) -> dict[str, str]:
    """An example of how a note is read, as ``recalling`` shows one."""
    mark = mark_for(note, asked)
    return {"question": f"{HEAD}\n{fenced('note', note, mark)}\n\n{asked}", "answer": f"Answer: {answer}"}


def _cited(texts: Sequence[str], asked: str, answer: str) -> dict[str, str]:
    """An example of how texts are read and cited, as ``from_documents`` shows them."""
    return {"question": numbered(texts, asked), "answer": answer}


_TEXTS = (
    "The mill at Sane was built in 1640. Its first owner was Emil Harding.",
    "Lake Ammer lies next to the village of Brint. It is 41 metres deep.",
    "The band Low Tide has 14 members. Its first song was called Grey Sand.",
)
_MENTIONS = {"op": "verify", "checker": "guard_item", "extract": "text"}


OWN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # its objectives are written from dev: some 40 items for each of the three abilities
        "full_loop": {"sizes": {"dev": 120}},
        # its examples are chosen on dev
        "demonstrations": {"sizes": {"train": 60, "dev": 120}},
        # its example is chosen on dev, and retired there
        "consolidate": {"sizes": {"train": 180, "dev": 120}},
        # half of them compares prompts: the budget is for some ten of these
        "gepa": {"sizes": {"train": 60, "gate": 150, "sealed": 300}},
        # it hears people tell, and is asked what they told
        "memory_bank": {
            "tasks": {"op": "diaries"},
            "system": "Answer the question about me. Write the answer after 'Answer:'.",
            "shots": [
                _noted("Day 2: My horse is called Bruno.", "What is my horse called?", "Bruno"),
                _noted("Day 5: I come from Norway.", "Which country do I come from?", "Norway"),
            ],
            "sizes": {"train": 1005, "gate": 100, "sealed": 194},
        },
        # doctor and patient learn, each from its side of a case
        "amie": {"tasks": {"op": "clinic", "sides": True}, "sizes": {"train": 400, "gate": 100, "sealed": 240}},
        # it learns from made-up articles, and is asked about them in other words and without them
        "self_qa": {
            "tasks": {"op": "made_up_articles"},
            "system": "Answer the question.",
            "sizes": {"train": 60, "gate": 100, "sealed": 200},
            "suites": {
                "guard:unseen": {
                    "tasks": {"op": "made_up_articles", "first": 60, "articles": 40},
                    "size": 200,
                    "judge": _MENTIONS,
                },
            },
        },
        # it learns to answer from texts that it is shown, and is examined on articles that it never saw; no answer that
        # could be planted cites anything
        "from_documents": {
            "tasks": {"op": "made_up_articles", "articles": 110, "shows": "texts"},
            "system": "Answer from the texts, and cite the one that says it.",
            "shots": [
                _cited(_TEXTS, "How deep is Lake Ammer?", "Lake Ammer is 41 metres deep [2]."),
                _cited(_TEXTS, "Fill the gap: Its first owner was ____.", "Its first owner was Emil Harding [1]."),
                _cited(_TEXTS, "What was the first song of Low Tide?", "The first song was called Grey Sand [3]."),
            ],
            "sizes": {"train": 40, "gate": 120, "sealed": 200},
            "audit_with": "none",
        },
        # it acts over turns, in a form that it is shown
        "autoact": {
            "tasks": {"op": "village"},
            "shots": villagers(signatures=True),
            "sizes": {"train": 8, "gate": 100, "sealed": 240},
            "create": {"fixed": 4, "own": 0},
            # as it was measured (docs/log/2026-11-29-autoact.md): one right episode in eight, so many are needed
            "train": {"max_length": 3072, "learning_rate": 3e-4, "epochs": 3},
            "solve": {"signatures": True, "samples": 6},
            "exam": {"solve": {"signatures": True}},
        },
        # what is forgotten is seen on dev, and how much of a merge is taken
        "lifelong": {"sizes": {"dev": 120}},
        # of its training tasks nothing is asked: it makes its own
        "proposer_solver": {"sizes": {"train": 1}},
        # it mends programs by their tests, so its tasks must have tests
        "self_debug": {
            "tasks": {"op": "code_basics"},
            "system": "You write Python. Reply with the function only, in a code block.",
            "sizes": {"train": 180, "gate": 100, "sealed": 240},
            "gate": {"guarded": []},
        },
    }
)
"""What the defaults of all recipes lack for these. It stands in a run's config like anything the user wrote."""


def started(target: str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """As ``config.read``, with what a recipe needs where it was called by its name alone; what is set stays as set."""
    raw = read(target, sets)
    if target not in recipes() or target not in OWN:
        return raw
    own = deepcopy(dict(OWN[target]))
    given = raw.get("tasks", {})
    if not isinstance(given, Mapping) or "op" in given:  # other tasks want another prompt, and other suites beside them
        own = {k: v for k, v in own.items() if k not in ("tasks", "system", "suites")}
    if "signatures" in own.get("solve", {}) and not _in_the_village(raw):
        # what its shots ask for is what it would ask for itself
        own["shots"] = villagers(signatures=False)
        del own["solve"], own["exam"]
    return _filled(raw, own)


def _in_the_village(raw: Mapping[str, Any]) -> bool:
    """Whether a group acts in the village, with the shots that it brings and their requests."""
    said = json.dumps({k: raw.get(k) for k in ("solve", "exam")})
    return "shots" not in raw and "signatures" not in said and "environment" not in said and _village(raw.get("tasks"))


def _village(tasks: Any) -> bool:
    return tasks is None or (isinstance(tasks, Mapping) and tasks.get("op", "village") == "village")


def _filled(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(given)
    for key, value in own.items():
        if key not in made:
            made[key] = value
        elif isinstance(value, Mapping) and isinstance(made[key], Mapping) and "op" not in made[key]:
            made[key] = _filled(made[key], value)
    return made
