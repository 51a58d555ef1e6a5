"""The options of a multiple choice as people write them down, and which of them an answer means."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from instar.acquire.tasks.cells import NotSo as NotSo
from instar.acquire.tasks.cells import parsed as parsed
from instar.acquire.tasks.cells import plainly as plainly
from instar.acquire.tasks.nested import part
from instar.acquire.tasks.spelled import scored, spelled, written_out

CHOICES = ("choices", "options", "choice", "endings", "candidates", "multiplechoicetargets", "answeroptions",
           "answerchoices",
           "选项", "opciones", "optionen", "варианты")  # fmt: skip
INDEXES = ("answer", "answerkey", "label", "gold", "target", "correct", "answeridx", "answerindex", "correctanswer",
           "correctoption", "cop", "ans", "correctanswerid", "correctanswernum", "correctanswerindex", "correctindex",
           "correctchoice", "goldindex", "multiplechoicescores",
           "答案", "respuesta", "antwort", "reponse", "resposta", "ответ")  # fmt: skip
STEMS = ("sol", "solution", "ending", "alternative", "alt", "hyp", "hypothesis", "candidate", "completion",
         "continuation", "mcanswer", "opcion", "reponse", "antwort")  # fmt: skip
"""What columns with one option each are called before their number: PIQA's sol1, SWAG's ending0. Not sentence1, text1:
those are what is asked about."""


BESIDE = "+"
"""What a name begins with that leads to the wrong options alone, the right one being the answer: "+distractor*"."""
WRONG = ("incorrectanswer", "wronganswer", "incorrectoption", "wrongoption", "incorrectchoice", "wrongchoice",
         "falseanswer", "badanswer", "distractor", "distractors",
         "incorrectanswers", "wronganswers", "incorrectoptions", "wrongoptions", "incorrectchoices", "wrongchoices",
         "falseanswers", "badanswers")  # fmt: skip
"""What columns with wrong options are called, with a number or not: SciQ's distractor1, a quiz's incorrect_answers."""


_AFTER = r"\s?[).:、\uff0e\uff1a\uff09]"
"""What follows the letter of an option: "A.", "a )", "A\uff1a"."""
_LETTERED = (r"([A-H])[).:、]", rf"([A-H]){_AFTER}", rf"([a-h]){_AFTER}")
"""How options are lettered that stand in one text, the surest first."""


def options_of(value: Any) -> list[tuple[str, str]] | None:
    """(letter or name, text) of each option of a multiple choice: a list, a mapping by letters, ARC's two lists, or one
    text with a sign between them."""
    value = parsed(value)
    if isinstance(value, str):
        return _listed(value) or _parted(value)
    if isinstance(value, Mapping) and not scored(value):
        names, texts = value.get("label"), value.get("text")
        if isinstance(names, (list, tuple)) and isinstance(texts, (list, tuple)) and len(names) == len(texts) > 1:
            return [(str(n), str(t)) for n, t in zip(names, texts, strict=True)]
        if len(value) > 1 and all(isinstance(v, (str, int, float)) for v in value.values()):
            return [(str(k), str(v)) for k, v in value.items()]
    elif isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        if not 2 <= len(value) <= 26:
            return None
        texts = [str(v) for v in value]
        if all(re.match(rf"\s*\(?{string.ascii_uppercase[i]}{_AFTER}\s*\S", t, re.I) for i, t in enumerate(texts)):
            texts = [re.sub(rf"^\s*\(?[A-Za-z]{_AFTER}\s*", "", t) for t in texts]  # the letter is there already
        return [(string.ascii_uppercase[i], t) for i, t in enumerate(texts)]
    each = written_out(value)
    return each if each is not None and 2 <= len(each) <= 26 else None


def _parted(text: str) -> list[tuple[str, str]] | None:
    """The options of one text that has a sign between them: "red|green", "red; green", one on each line."""
    if re.fullmatch(r"\s*(?:\[.*\]|\{.*\})\s*", text, re.DOTALL):
        return None  # a list of some program's, which nobody could read
    sign = next((s for s in ("||", "|", "\n", "\t", ";", "\uff1b", "、", ",") if s in text.strip()), None)
    texts = [part.strip() for part in text.strip().split(sign)] if sign else []
    if not 2 <= len(texts) <= 10 or not all(texts) or len(set(texts)) < len(texts):
        return None
    return options_of(texts)


def _listed(text: str) -> list[tuple[str, str]] | None:
    """The options of one text that has each after its letter: "A. red B. green", "a ) 1,200 , b ) 2,400", on lines or
    not."""
    for letter in _LETTERED:
        parts = re.split(rf"(?:^|[\s;,|])\(?{letter}\s*", text)
        letters, texts = "".join(parts[1::2]).upper(), [p.strip(" ;,|\n\u3000\uff1b") for p in parts[2::2]]
        in_order = len(letters) > 1 and letters == string.ascii_uppercase[: len(letters)]
        if in_order and not parts[0].strip() and all(texts):
            return list(zip(letters, texts, strict=True))
    return None


def lettered(row: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """The options of a row that has a column for each: A, B, C ... or option_a, choice1 ..."""
    by_letter: dict[int, str] = {}
    by_number: dict[int, str] = {}
    for k, v in row.items():
        m = re.fullmatch(r"(?:option|choice|opt|op|ans|answer|选项)?([a-h]|[0-8])", plainly(k))
        if m and v not in (None, "") and isinstance(v, (str, int, float)):
            if m[1].isdigit() and plainly(k) == m[1]:
                continue
            if m[1].isalpha():
                by_letter[ord(m[1]) - ord("a")] = str(v)
            else:
                by_number[int(m[1])] = str(v)
    for found, most in ((by_letter, 0), (by_number, 1)):  # option_b is the second also where option_a is empty
        places = sorted(found)
        if len(places) > 1 and places == list(range(places[0], places[0] + len(places))) and places[0] <= most:
            return [(string.ascii_uppercase[i], found[p]) for i, p in enumerate(places)]
    return None


def options_in(row: Mapping[str, Any], choices: str, answer: str = "") -> list[tuple[str, str]] | None:
    """The options of a row: in a column or a part of one, in columns of their own ("") or numbered ones ("sol*"); or
    the ``answer`` and, in columns of their own, what is wrong ("+distractor*")."""
    if not choices:
        return lettered(row)
    if choices.startswith(BESIDE) and choices not in row:
        name, right = choices.removeprefix(BESIDE), part(row, answer)
        if not isinstance(right, (str, int, float)) or not str(right).strip():
            raise NotSo(f"the {answer} is {right!r:.60}, not a text")
        texts: dict[str, str] = {}
        for text in (str(right), *wrong_in(row, name)):
            texts.setdefault(" ".join(text.casefold().split()), text)
        if len(texts) < 2:
            raise NotSo(f"it has no wrong option in {name!r} beside the {answer}")
        return [(string.ascii_uppercase[i], t) for i, t in enumerate(list(texts.values())[:26])]
    if choices.endswith("*") and choices not in row:
        return numbered(row, choices)
    return options_of(part(row, choices))


def numbered(row: Mapping[str, Any], pattern: str) -> list[tuple[str, str]] | None:
    """The options of a row whose columns are called alike but for a number, from 0 or 1 on."""
    found: dict[int, str] = {}
    for k, v in row.items():
        m = re.fullmatch(rf"{re.escape(pattern[:-1])}(\d{{1,2}})", str(k))
        if m and isinstance(v, (str, int, float)) and str(v).strip():
            found[int(m[1])] = str(v)
    places = sorted(found)
    if not 2 <= len(places) <= 26 or places != list(range(places[0], places[0] + len(places))) or places[0] > 1:
        return None
    return [(string.ascii_uppercase[i], found[p]) for i, p in enumerate(places)]


def wrong_columns(row: Mapping[str, Any]) -> str:
    """The name, with a star where there are several, of the columns that hold the wrong options alone; "" if none."""
    stem = next((stem for k in row if plainly(stem := str(k).rstrip(string.digits)) in WRONG), "")
    several = any(str(k) != stem and str(k).rstrip(string.digits) == stem for k in row)
    return stem + "*" * (bool(stem) and several)


def wrong_in(row: Mapping[str, Any], name: str) -> list[str]:
    """The wrong options in a column or, with a star, in all that are called alike but for a number, which the first may
    do without."""
    if name.endswith("*") and name not in row:
        held = [v for k, v in row.items() if re.fullmatch(rf"{re.escape(name[:-1])}\d{{0,2}}", str(k))]
    else:
        value = parsed(row.get(name))
        held = list(value) if isinstance(value, (list, tuple)) else [value]
    plain = all(v is None or (isinstance(v, (str, int, float)) and not isinstance(v, bool)) for v in held)
    return [str(v) for v in held if v is not None and str(v).strip()] if plain else []


def counted_from(rows: Sequence[Mapping[str, Any]], answer: str, choices: str) -> int:
    """Whether the answers that are numbers count the options from 0 or from 1."""
    said: list[tuple[int, int]] = []
    for row in rows:
        options = options_in(row, choices)
        number = _bare(str(part(row, answer)).strip()).removesuffix(".0")
        if options is not None and number.isdigit():
            said.append((int(number), len(options)))
    return int(bool(said) and all(n >= 1 for n, _ in said) and any(n == most for n, most in said))


def _bare(said: str) -> str:
    """The letter or number of an answer that is called as a column: "Option 2", "choice_b"."""
    named = re.fullmatch(r"(?:option|choice|opt|ans|answer|选项)[\s_-]*([a-h]|\d)", said, re.IGNORECASE)
    return named[1] if named else said


def place_of(said: Any, options: Sequence[tuple[str, str]], first: int) -> int:
    """Which option an answer means: its number, its letter or name, or its text."""
    names = [plainly(n) for n, _ in options]
    texts = [" ".join(t.casefold().split()) for _, t in options]
    if isinstance(said, Mapping) and (one := spelled(said, "")) is not None:
        said = one[0] if plainly(one[0]) in names else one[1]
    if isinstance(said, (list, tuple)) and len(said) == 1:
        said = said[0]
    elif isinstance(said, (list, tuple)) and [v for v in said if v != 0] == [1] and len(said) == len(options):
        return said.index(1)  # a 1 for the right one, a 0 for each of the others
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    if isinstance(said, int) and not isinstance(said, bool):
        if str(said) in names:
            return names.index(str(said))
        if not all(n.isdigit() for n in names) and 0 <= said - first < len(options):
            return said - first
        raise NotSo(f"its answer is option {said} of {len(options)}, counted from {first}")
    if isinstance(said, str):
        text = " ".join(said.casefold().split())
        if plainly(said).strip("()") in names:
            return names.index(plainly(said).strip("()"))
        if texts.count(text) == 1:
            return texts.index(text)
        text = _bare(text)
        letter = re.fullmatch(r"\(?([a-z])(?P<mark>\s[-–]|[).:、]{0,2})(?:\s(?P<rest>.*))?", text)  # noqa: RUF001 - people write the dash
        place = ord(letter[1]) - ord("a") if letter else len(options)
        if letter and place < len(options) and (letter["mark"] or letter["rest"] in (None, texts[place])):
            return place  # "a dog" is no option A
        if text.isdigit() and not all(n.isdigit() for n in names) and 0 <= int(text) - first < len(options):
            return int(text) - first
    raise NotSo(f"its answer {said!r:.60} is none of its {len(options)} options")
