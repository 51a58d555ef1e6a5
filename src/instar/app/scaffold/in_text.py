"""Options that stand in the text of a question, of which the answer gives a number: as letters, or refused."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from instar.acquire.tasks import nested
from instar.acquire.tasks.layouts import Form
from instar.errors import DataError

_OPTION = re.compile(r"(?:^|(?<=[\s(]))\(?([A-J])[.):、\uff0e\uff1a\uff09]\s*(?=\S)")


def lettered_answers(rows: Sequence[Mapping[str, Any]], form: Form, path: Path) -> Form:
    """This form, with the letters that the answers' numbers stand for where most questions have options A, B, ... in
    their text. Raises DataError where nobody can say whether the numbers count from 0 or from 1."""
    if form.layout != "columns" or form.labels:
        return form
    said: list[tuple[int, int]] = []
    itself = 0
    for row in rows:
        number = str(nested.part(row, form.answer)).strip().removesuffix(".0")
        options = _options(str(nested.part(row, form.question)))
        if not re.fullmatch(r"[0-9]{1,2}", number):
            return form
        itself += number in options
        if options:
            said.append((int(number), len(options)))
    if 10 * len(said) < 9 * len(rows) or 2 * itself > len(rows) or any(n > most for n, most in said):
        return form  # what an option says is the number of none
    from_0, from_1 = any(n == 0 for n, _ in said), any(n == most for n, most in said)
    if from_0 and from_1:
        return form
    if not from_0 and not from_1:
        raise DataError(
            f"the questions of {path} have options A, B, ... in their text, and the answers are numbers: whether 1 "
            "means A or B, no row tells.",
            "Write the letter of the right option as the answer.",
        )
    most = max(most for _, most in said)
    return replace(form, labels=tuple(string.ascii_uppercase[:most]), first=int(from_1))


def _options(question: str) -> list[str]:
    """The texts of the options A, B, ... in a question, which follow each other; none where it has none."""
    run: list[re.Match[str]] = []
    for match in _OPTION.finditer(question):
        if match[1] == string.ascii_uppercase[len(run)]:
            run.append(match)
    if len(run) < 2:
        return []
    ends = [m.start() for m in run[1:]] + [len(question)]
    return [question[m.end() : end].strip().rstrip(".;,") for m, end in zip(run, ends, strict=True)]
