"""How the scripted model proposes tasks: sums and products by a hash, and now and then what no proposal should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instar.records import Message

_ASKED = ("Write another arithmetic expression", "Write another Python function")
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
    if kind < 2:
        return _UNFIT[number("unfit") % len(_UNFIT)]
    if kind == 2:
        return f"{number('often') % 3 + 1} + 4 = 7"
    return f"{a} {'+-*'[kind % 3]} {b if kind % 3 < 2 else b % 9 + 2}"
