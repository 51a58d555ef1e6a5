"""Small programming tasks, made here: one-line functions with a parameter or two, which a very small model sometimes
gets right. Tests are computed from a reference beside each question; no download."""

from __future__ import annotations

import difflib
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

from pydantic import Field, field_validator

from instar.acquire.tasks.sets import check_wanted
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

_WORDS = ("end", "cat", "red", "up", "sun", "ok", "go", "box", "sea", "top", "pin", "map", "tea", "key", "jam", "owl")
_LETTERS = "abcdeghilmnoprstu"


@dataclass(frozen=True)
class Kind:
    """A kind of task: what the function should return, in words and as code, and what it is tried on."""

    takes: str
    asks: str
    code: str
    does: Callable[..., Any]
    parameters: Sequence[Sequence[Any]]
    tries: Callable[[random.Random], tuple[Any, ...]]


def _number(luck: random.Random) -> tuple[Any, ...]:
    return (luck.randint(-50, 150),)


def _text(luck: random.Random) -> tuple[Any, ...]:
    words = [luck.choice(_WORDS) for _ in range(luck.randint(1, 4))]
    return ("".join(words) if luck.random() < 0.5 else " ".join(words),)


def _numbers(luck: random.Random) -> tuple[Any, ...]:
    return ([luck.randint(-20, 120) for _ in range(luck.randint(7, 11))],)


_K = [range(2, 90)]
KINDS: dict[str, Kind] = {
    "add": Kind("x", "x plus {0}", "x + {0}", lambda x, k: x + k, _K, _number),
    "subtract": Kind("x", "x minus {0}", "x - {0}", lambda x, k: x - k, _K, _number),
    "multiply": Kind("x", "x times {0}", "x * {0}", lambda x, k: x * k, _K, _number),
    "linear": Kind("x", "{0} times x plus {1}", "{0} * x + {1}", lambda x, a, b: a * x + b,
                   [range(2, 13), range(1, 30)], _number),
    "remainder": Kind("x", "the remainder of x divided by {0}", "x % {0}", lambda x, k: x % k, [range(3, 60)],
                      lambda luck: (luck.randint(0, 500),)),
    "larger": Kind("x", "the larger of x and {0}", "max(x, {0})", max, [range(100)], _number),
    "smaller": Kind("x", "the smaller of x and {0}", "min(x, {0})", min, [range(100)], _number),
    "above": Kind("x", "True if x is greater than {0}, and False otherwise", "x > {0}", lambda x, k: x > k,
                  [range(100)], _number),
    "divisible": Kind("x", "True if x is divisible by {0}, and False otherwise", "x % {0} == 0",
                      lambda x, k: x % k == 0, [range(2, 60)],
                      lambda luck: (luck.randint(0, 120) * luck.choice((1, 6, 12, 60)),)),
    "repeat": Kind("text", "text repeated {0} times", "text * {0}", lambda t, k: t * k, [range(2, 60)], _text),
    "suffix": Kind("text", 'text followed by "{0}"', 'text + "{0}"', lambda t, w: t + w, [_WORDS], _text),
    "prefix": Kind("text", '"{0}" followed by text', '"{0}" + text', lambda t, w: w + t, [_WORDS], _text),
    "count": Kind("text", 'how many times "{0}" occurs in text', 'text.count("{0}")', lambda t, c: t.count(c),
                  [_LETTERS], _text),
    "replace": Kind("text", 'text with every "{0}" replaced by "{1}"', 'text.replace("{0}", "{1}")',
                    lambda t, a, b: t.replace(a, b), [_LETTERS, "xyzq"], _text),
    "starts": Kind("text", 'True if text starts with "{0}", and False otherwise', 'text.startswith("{0}")',
                   lambda t, c: t.startswith(c), [_LETTERS],
                   lambda luck: (luck.choice(_LETTERS) + luck.choice(_WORDS),)),
    "item": Kind("items", "the item at index {0} of the list items", "items[{0}]", lambda x, k: x[k], [range(7)],
                 _numbers),
    "first": Kind("items", "a list of the first {0} items of the list items", "items[:{0}]", lambda x, k: x[:k],
                  [range(1, 7)], _numbers),
    "scale": Kind("items", "a list with every number in the list items multiplied by {0}",
                  "[x * {0} for x in items]", lambda x, k: [v * k for v in x], _K, _numbers),
    "shift": Kind("items", "a list with {0} added to every number in the list items", "[x + {0} for x in items]",
                  lambda x, k: [v + k for v in x], _K, _numbers),
    "keep": Kind("items", "a list of the numbers in the list items that are greater than {0}",
                 "[x for x in items if x > {0}]", lambda x, k: [v for v in x if v > k], [range(90)], _numbers),
}  # fmt: skip
VISIBLE, HIDDEN = 2, 6


class CodeBasics(Source):
    """ "Write a Python function f(x) that returns x plus 7.", in twenty kinds; 2 visible tests, 6 hidden ones.

    ``kinds``: which, all by default; every set has equal shares of each as far as each reaches. A kind and its
    parameters are a task's canonical content. Both results of a yes-or-no function occur among its hidden tests.

    Raises:
        ConfigError: an unknown kind.
        DataError: more tasks wanted than there are, with the number.
    """

    name: ClassVar[str] = "code_basics"

    kinds: tuple[str, ...] = Field(default=tuple(KINDS), min_length=1)

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in KINDS:
                close = difflib.get_close_matches(name, KINDS, n=1)
                raise ConfigError(
                    f"code_basics has no kind {name!r}.{f' Did you mean {close[0]!r}?' if close else ''}",
                    f"There are: {', '.join(KINDS)}.",
                )
        return tuple(dict.fromkeys(value))

    def own_source(self) -> str:
        """The whole file: the table decides."""
        return inspect.getsource(inspect.getmodule(type(self)) or type(self))

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        left = {kind: list(product(*KINDS[kind].parameters)) for kind in self.kinds}
        there = sum(map(len, left.values()))
        if there < sum(wanted.values()):
            raise DataError(
                f"code_basics has {there} distinct tasks of these kinds; {sum(wanted.values())} are wanted over all "
                "sets.",
                "Ask for fewer, or for more kinds.",
            )
        drawn: dict[str, list[Task]] = {}
        for name in order:
            for kind in left:
                random.Random(f"{name}|{kind}|{seeds.get(name, 0)}").shuffle(left[kind])
            drawn[name] = []
            while len(drawn[name]) < wanted[name]:
                for kind in [k for k in left if left[k]]:
                    if len(drawn[name]) < wanted[name]:
                        drawn[name].append(task_of(kind, left[kind].pop()))
        return {name: drawn[name] for name in wanted}


def task_of(kind: str, parameters: Sequence[Any]) -> Task:
    """The task of a kind with these parameters; always the same."""
    made = KINDS[kind]
    luck = random.Random(f"{kind}|{list(parameters)!r}")
    tests: dict[str, Any] = {}
    while len(tests) < VISIBLE + HIDDEN:
        given = made.tries(luck)
        result = made.does(*given, *parameters)
        others = [r for r in tests.values() if r == result]
        if isinstance(result, bool) and len(others) >= (VISIBLE + HIDDEN) // 2:
            continue
        tests[f"assert f({', '.join(map(repr, given))}) == {result!r}"] = result
    texts = list(tests)
    code = f"def f({made.takes}):\n    return {made.code.format(*parameters)}"
    return Task(
        messages=(
            Message(
                role=Role.user,
                content=f"Write a Python function f({made.takes}) that returns {made.asks.format(*parameters)}.",
            ),
        ),
        ability=kind,
        canonical=f"code_basics:{kind}:{list(parameters)!r}",
        source=f"code_basics/{kind}",
        private={
            "tests": {"visible": texts[:VISIBLE], "hidden": texts[VISIBLE:]},
            "names": ["f"],
            "answer": code,
        },
    )
