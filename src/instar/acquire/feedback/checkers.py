"""What says whether an answer is right. Runs in a process that may be killed, on text that nobody vouches for.

A check function returns a bool or a number from 0 to 1. One that returns rewards on another scale declares it, as
``is_right.range = (-1, 1)``, the lowest and the highest: the score is then how far between them a reward is, and the
highest is right. Anything else it does, raising included, is a failure of the checker and not of the answer: the score
is then None and the reason says what happened.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import math
import numbers
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from instar import lazily
from instar.acquire.feedback.function_calls import wanted_calls, why_wrong
from instar.extract import extract, is_number, same, says
from instar.extract.numbers import number as number
from instar.extract.quantities import is_amount, quantity
from instar.extract.reading import answer_line
from instar.extract.writing import algebra, boxes, visible, without_reasoning
from instar.similarity import normalised

Check = Callable[[str, Mapping[str, Any]], Any]

OUT_OF_RANGE = ", not a number from 0 to 1"
"""How the reason ends where a checker returned a number that is no score."""
_PRINTED = 1_000  # characters kept of what a checker prints


class Scored(NamedTuple):
    """One answer's score, or None and the reason why the checker gave none."""

    score: float | None
    reason: str = ""
    printed: str = ""


class Unchecked(Exception):
    """The checker cannot judge this task at all; the message says why."""


def check_all(checker: str, texts: Sequence[str], private: Mapping[str, Any], tolerance: float) -> list[Scored]:
    """Check each text (an extracted answer, or the whole reply for a user's function), each on its own."""
    return [_scored(checker, text, private, tolerance) for text in texts]


def exact(answer: str, private: Mapping[str, Any]) -> bool:
    """Equal to the gold answer but for case, Unicode form and runs of white space, and for how numbers with units,
    option letters and lists are written. A gold answer in LaTeX is compared as mathematics."""
    gold = _gold(private)
    return same(answer, gold) or (_FORMULA.search(gold) is not None and mathematics(answer, private))


def numeric(answer: str, private: Mapping[str, Any], tolerance: float = 0.0) -> bool:
    """Equal in value, compared as exact fractions; ``tolerance`` is the largest absolute difference that passes."""
    gold = _gold(private)
    wanted = number(gold)
    if wanted is None:
        raise Unchecked(f"the gold answer {_cut(gold)} is not a number")
    given = number(answer)
    if given is None and answer.endswith("%") and (given := number(answer[:-1])) is not None:
        given = given if abs(given - wanted) <= Fraction(tolerance) else given / 100
    if given is None and _FORMULA.search(answer):
        return mathematics(answer, private)
    return given is not None and abs(given - wanted) <= Fraction(tolerance)


def choice(answer: str, private: Mapping[str, Any]) -> bool:
    """The same option letter."""
    return answer.strip(" ().").upper() == _gold(private).strip(" ().").upper()


def reasoning_gym(answer: str, private: Mapping[str, Any]) -> Any:
    """The family's own verifier, on the item generated again from its family, settings, seed and index."""
    for field in ("family", "settings", "seed", "index"):
        if field not in private:
            raise Unchecked(f"this is not a reasoning-gym task: its private data has no {field!r}")
    settings = json.dumps(dict(private["settings"]), sort_keys=True)
    data, item, digest = _item(private["family"], settings, int(private["seed"]), int(private["index"]))
    if item["answer"] != private.get("answer") or private.get("question_digest", digest) != digest:
        now, drawn = _cut(item["answer"]), _cut(private.get("answer"))
        raise Unchecked(
            f"reasoning-gym now generates another item (answer {now}, not {drawn}): "
            "was it upgraded since the tasks were drawn?"
        )
    return data.score_answer(answer, item)


def mathematics(answer: str, private: Mapping[str, Any]) -> bool:
    """Equal as mathematics, as math-verify sees it: LaTeX, fractions, sets, intervals, percentages, numbers with units.

    A boxed formula counts, else what follows "Answer:", else the last one in $...$ or \\(...\\), else the last number
    of a sentence; a text that is no sentence is a formula itself. For whole replies set ``extract = "text"``. A gold
    answer in words ("\\text{yes}") is compared as words: as letters, "Paris" would equal "pairs". An amount ("$5",
    "25 m^2") and algebra without LaTeX ("x = 2 or x = 3") are right too where ``exact`` takes them, and an amount in
    another unit is wrong.

    math-verify's own time limits are signals and raise outside the main thread: they are off, ours kills the process.
    Its reader for plain expressions ends in Python's ``eval``, so it is left out: everything is read as LaTeX.
    """
    from math_verify import verify

    gold = _gold(private)
    if is_amount(gold):
        said = extract(answer, "auto", gold)
        if said is not None and (quantity(said) is not None or number(said) is not None):
            return same(said, gold)
    elif "\\" not in gold and not is_number(gold) and algebra(gold) is not None and says(answer, gold):
        return True
    if normalised(gold) in (normalised(answer), normalised(answer_line(answer) or "")):
        return True  # what math-verify cannot read is still what was wanted
    formula = _formula(gold) if _words(gold) is None else []
    if not formula:
        return normalised(_words(answer) or answer) == normalised(_words(gold) or gold)
    return bool(verify(formula, _formula(answer), timeout_seconds=None))


def guard_item(answer: str, private: Mapping[str, Any]) -> bool:
    """An item of ``guard_items``, told right by what its ``told_by`` says. ``mentions``: the gold answer stands in the
    reply as whole words, and none of ``others`` does, for facts that a model tells in a sentence: whoever recites all
    candidates is not right. ``verbatim``: it is the reply to the letter, after "Answer:" if that is there. ``number``:
    as ``numeric``, the last number of the reply."""
    gold, how = _gold(private), private.get("told_by")
    if how == "verbatim":
        return answer.rpartition("Answer:")[2].strip() == gold
    if how == "number":
        return numeric(extract(answer, "auto", gold) or "", private)
    if how != "mentions":
        raise Unchecked("this is no item of guard_items: its private data has no 'told_by'")
    said = normalised(answer)

    def stands(words: str) -> bool:
        return re.search(rf"(?<!\w){re.escape(normalised(words))}(?!\w)", said) is not None

    return stands(gold) and not any(stands(str(other)) for other in private.get("others", ()))


def function_call(answer: str, private: Mapping[str, Any]) -> Scored:
    """The right calls of functions, in any order, as BFCL tells it (``instar.acquire.feedback.function_calls``), which
    reads ``functions`` and ``calls`` of the private data; with what is wrong. Nothing is called."""
    functions, calls = private.get("functions"), private.get("calls")
    if not wanted_calls(functions, calls):
        raise Unchecked('the private data has no "functions" and "calls" in the form of BFCL')
    why = why_wrong(answer, list(functions or ()), list(calls or ()))
    return Scored(0.0 if why else 1.0, why)


NAMED: dict[str, Check] = {
    "exact": exact, "numeric": numeric, "choice": choice, "math": mathematics, "reasoning_gym": reasoning_gym,
    "guard_item": guard_item, "function_call": function_call,
}  # fmt: skip


def load(checker: str) -> Check:
    """The function of ``path.py:func``. Runs the file. Raises Unchecked when it cannot be imported."""
    path, _, function = checker.rpartition(":")
    return _load(str(Path(path).expanduser().resolve()), function)


def _scored(checker: str, text: str, private: Mapping[str, Any], tolerance: float) -> Scored:
    printed, worker = _Capped(), os.getpid()
    note, span = "", (0.0, 1.0)
    try:
        if checker == "reasoning_gym" and _merely_named(private):
            checker = "numeric" if is_number(_gold(private)) else "exact"
            note = f"{checker}: reasoning_gym did not make this task, its columns merely have those names"
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            if checker == "numeric":
                result: Any = numeric(text, private, tolerance)
            else:
                check = NAMED[checker] if checker in NAMED else load(checker)
                span = _declared(check)
                result = check(text, dict(private))
            found = result if checker in NAMED and isinstance(result, Scored) else _normal(result, span)
    except Unchecked as error:
        found = Scored(None, str(error))
    except BaseException as error:  # SystemExit too: whatever a checker does, the worker goes on
        why = f"the checker raised {type(error).__name__}: {_cut(error, plain=True)}"
        found = Scored(None, why + _instead(error, checker, private))
    if os.getpid() != worker:  # a copy of this process, which the checker made and let return: it checks nothing more
        os._exit(0)
    return found._replace(printed=printed.getvalue(), reason=found.reason or note)


def _instead(error: BaseException, checker: str, private: Mapping[str, Any]) -> str:
    """What a user's function could have taken, where it asked for what there is not."""
    if checker in NAMED:
        return ""
    if isinstance(error, KeyError) and error.args and error.args[0] not in private:
        return f"; the row's private data has {', '.join(map(repr, list(private)[:12]))}"
    function = checker.rpartition(":")[2]
    if isinstance(error, TypeError) and f"{function}()" in str(error) and "positional argument" in str(error):
        return f"; a checker is called as {function}(reply, private), with the reply's text and a dict of the row"
    return ""


def _declared(check: Check) -> tuple[float, float]:
    """The lowest and the highest reward of a check. Raises Unchecked for a range that is none."""
    said: Any = getattr(check, "range", (0.0, 1.0))
    try:
        low, high = (float(x) for x in said)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise Unchecked(f"the checker declares the range {_cut(said)}, which is not two numbers, the lower first")
    return low, high


def _normal(result: Any, span: tuple[float, float] = (0.0, 1.0)) -> Scored:
    if isinstance(result, bool) or type(result).__name__ in ("bool_", "bool"):  # numpy's bool is no number
        return Scored(float(bool(result)))
    if isinstance(result, numbers.Real):
        value, (low, high) = float(result), span
        if math.isnan(value) or not low <= value <= high:
            declared = f", not a number from {low:g} to {high:g}, which it declares"
            return Scored(None, f"the checker returned {_cut(result)}{OUT_OF_RANGE if span == (0, 1) else declared}")
        if span == (0, 1):
            return Scored(value)
        return Scored((value - low) / (high - low), f"a reward of {value:g} from {low:g} to {high:g}")
    return Scored(
        None, f"the checker returned {_cut(result)} ({type(result).__name__}), not a bool or a number from 0 to 1"
    )


def _merely_named(private: Mapping[str, Any]) -> bool:
    """Whether the four that reasoning-gym makes an item from are columns of a user's that merely have their names."""
    if "question_digest" in private or not all(k in private for k in ("family", "settings", "seed", "index")):
        return False
    family, settings = private["family"], private["settings"]
    whole = all(isinstance(private[k], int) and not isinstance(private[k], bool) for k in ("seed", "index"))
    if not whole or not isinstance(family, str) or not isinstance(settings, Mapping):
        return True
    lazily.reasoning_gym()  # registers the families
    from reasoning_gym.factory import DATASETS

    return family not in DATASETS


@lru_cache(maxsize=256)
def _item(family: str, settings: str, seed: int, index: int) -> tuple[Any, dict[str, Any], str]:
    from instar.acquire.tasks.reasoning_gym import dataset, question_digest

    data = dataset(family, json.loads(settings), seed)
    item = data[index]
    return data, item, question_digest(item["question"])


@lru_cache(maxsize=8)
def _load(path: str, function: str) -> Check:
    name = f"_instar_check_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Unchecked(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that the file can import its neighbours
    try:
        spec.loader.exec_module(module)
        found = getattr(module, function)
    except BaseException as error:
        raise Unchecked(f"{path} could not be loaded: {type(error).__name__}: {_cut(error, plain=True)}") from error
    if not callable(found):
        raise Unchecked(f"{function} in {path} is not a function")
    return found  # type: ignore[no-any-return]  # the name was looked up in a user's file


_FORMULA = re.compile(r"\\(?:frac|sqrt|pi|log|ln|sin|cos|tan|binom|infty|cdot|times|\{)|√|\^")
_SET_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{([^{}]*)\}")
_SENTENCE = re.compile(r"[A-Za-z]{3}")
_IN_SIGNS = re.compile(r"\$|\\boxed|\\\(|\\\[")
"""Signs that tell a formula from the words around it."""
_LATEX_FOR = (
    (re.compile(r"\s?°"), r"^\\circ"), (re.compile("∞"), r"\\infty "), (re.compile(r"π|(?<![A-Za-z\\])pi\b"), r"\\pi "),
    (re.compile(r"√\s?(\d+|[A-Za-z]|\([^()]*\))|(?<!\\)\bsqrt\s?(\([^()]*\))"), r"\\sqrt{\1\2}"),
    (re.compile("²"), "^2"), (re.compile("³"), "^3"),
)  # fmt: skip
"""What is written for a command of LaTeX where there is a keyboard and no LaTeX."""


def _formula(text: str) -> list[Any]:
    """What math-verify makes of the formula that a text comes to: nothing, or an expression."""
    from math_verify import LatexExtractionConfig, parse

    text = visible(without_reasoning(text))
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its limits are off, once a process
    line = None if boxes(text) else answer_line(text)
    if line is not None and line.strip(" \\[]()$"):  # not where the formula begins on the next line
        told = line if _IN_SIGNS.search(line) or not _is_sentence(line) else extract(line, "last_number")
        text = told or text
    if not _IN_SIGNS.search(text):
        if _is_sentence(text):  # letters would be read as a product of variables
            text = extract(text, "last_number") or ""
        for sign, latex in _LATEX_FOR:
            text = sign.sub(latex, text)
        text = f"${text.strip()}$" if text.strip() else ""
    settings = [LatexExtractionConfig(boxed_match_priority=0)]
    return list(parse(text, settings, fallback_mode="no_fallback", parsing_timeout=None)) if text else []


def _is_sentence(text: str) -> bool:
    """Whether a text has words in it, besides those that name a sign or stand inside a formula."""
    return _SENTENCE.search(re.sub(r"\\[A-Za-z]+|\b(?:sqrt|pi)\b", " ", _SET_TEXT.sub(" ", text))) is not None


def _words(text: str) -> str | None:
    """What a text says where it says it in words: "$\\boxed{\\text{yes}}$" is "yes". None where it is mathematics."""
    boxed = boxes(text)
    inner = boxed[-1][1] if boxed else extract(text, "answer_line") or text
    inner = _SET_TEXT.sub(r"\1", inner).strip(" $.\n")
    return inner if re.fullmatch(r"[^\W\d_][^\W\d_ '-]{2,}(?:[ '-]+[^\W\d_]+)*", inner) else None


def _gold(private: Mapping[str, Any]) -> str:
    gold = private.get("answer")
    if gold is None:
        raise Unchecked("the task has no gold answer")
    return str(gold)


def _cut(value: Any, *, plain: bool = False) -> str:
    """A value in at most 100 characters; a value whose own repr fails is named by its type."""
    try:
        text = str(value) if plain else repr(value)
    except BaseException:
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 100 else text[:99] + "…"


class _Capped(io.StringIO):
    """Keeps the first characters that are written, so that a talkative checker cannot fill the memory."""

    def write(self, text: str) -> int:
        room = _PRINTED - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)
