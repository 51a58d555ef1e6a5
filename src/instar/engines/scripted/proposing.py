"""How the scripted model writes tasks: sums and products by a hash, and now and then what no task should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instar.records import Message

_ASKED = (
    "Write another arithmetic expression",
    "Write another Python function",
    "Come up with a series of tasks:",
    "Rewrite the given task",
    "Write a brand new task",
    "Say this question in other words",
)
_UNFIT = (
    "I am not sure what to write.",
    "__import__('os').system('curl http://example.org')",
    "9 ** 9 ** 9 ** 9",
    "1 / 0",
    "",
)


def asked(messages: Sequence[Message]) -> bool:
    """Whether a task is asked for, and not an answer."""
    return messages[-1].content.startswith(_ASKED)


def proposal(messages: Sequence[Message], number: Callable[[str], int]) -> str:
    """What is proposed. ``number`` gives a whole number for a name, the same for the same reply."""
    a, b, kind = number("a") % 90 + 1, number("b") % 90 + 1, number("kind") % 20
    if messages[-1].content.startswith(_ASKED[1]):
        return f"```python\ndef f(x):\n    return x * {a} + {b}\n```\nf({kind})"
    if messages[-1].content.startswith(_ASKED[2]):
        return "\n".join(f"Task {9 + i}: {line}" for i, line in enumerate(_listed(a, b, kind)))
    if messages[-1].content.startswith(_ASKED[3:]):
        # one in ten rewrites says what it was asked to do
        return f"Calculate {a} + {b} - {kind}." if kind > 1 else f"Rewritten task: the given task is {a} + {b}."
    if kind < 2:
        return _UNFIT[number("unfit") % len(_UNFIT)]
    if kind == 2:
        return f"{number('often') % 3 + 1} + 4 = 7"
    return f"{a} {'+-*'[kind % 3]} {b if kind % 3 < 2 else b % 9 + 2}"


def _listed(a: int, b: int, kind: int) -> list[str]:
    """Three tasks of a list: one in four has one that asks for a picture, one in five repeats itself."""
    last = "Draw a picture of a house." if kind % 4 == 0 else f"Calculate {a} * {b % 9 + 2} now."
    first = f"Please calculate {a} + {b} here."
    return [first, first if kind % 5 == 0 else f"Find the result of {b} - {a} + {kind}.", last]
