"""Option letters and yes or no, as models say them. What names several, or none clearly, is not read."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re
from typing import NamedTuple

_DECORATION = r"[\s(\[{*\"'<“‘「《_`$]{0,6}"
_JOINED = r"\s*[)\]]?\s*(?:,|/|&|;|、|\bor\b|\band\b|和|或者?|与)\s*(?:or\s|and\s)?[(\[]?"
_ANOTHER = re.compile(_JOINED + r"(?:[B-HJ-Z]|[AI](?!\s+[a-z]))(?![A-Za-z0-9'’])")
_CLOSED = re.compile(r"\s*(?:[)\].:,;!*\"'>}”’」》_`$。,\u2600-\u27bf\u2b50\U0001f300-\U0001faff]|-\s|$|\n)")
_SAYS_ON = re.compile(
    r"\s+(?:(?:is|was|because|since|as|for|would|seems|must|should|with|by|but)(?![A-Za-z])"
    r"|\((?!\s*(?:or|and|maybe|perhaps|possibly|(?-i:[A-Z]))\b)|选项|是|[-–](?![A-Za-z]))",
    re.IGNORECASE,
)
_SORRY = re.compile(r"\b(?:or rather|rather|wait|actually|i mean|no,)\s", re.IGNORECASE)
_NOT = re.compile(
    r"(?:\b(?:not|never|neither|except|cannot|(?<!no )(?<!without )(?<!without a )doubt|doubtful|unlikely"
    r"|rul(?:e[sd]?|ing)\s+out|(?:eliminat|exclud)(?:e[sd]?|ing))\b"
    r"|n['’]t\b|不是|并非|而非|不选)"
    r"(?:\s+(?:think|believe|say|guess|feel|suppose|choose|pick|select|take|out|be|to|that|if|it|its|it['’]s|is|the"
    r"|answer|option|choice|letter|statement|correct|right|best|would|could|should|can|must))*"
    r"\s*(?:option|choice|answer|选项)?\s*[(\[*\"']{0,3}\Z|(?:不认为|不觉得)[^。\n,，]{0,10}\Z",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"[)\].*\"']{0,3}\s*(?:is|was|are)\s+(?:wrong|incorrect|false|not)\b|\s*(?:不对|错误?|不正确)|\s*[❌❎✗✘✖✕🚫👎]",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\b(?:either|both|neither)\b[^.\n]{0,40}\Z", re.IGNORECASE)

YES_NO = (
    ("yes", "no"),
    ("true", "false"),
    ("是", "否"),
    ("是", "不是"),
    ("对", "错"),
    ("对", "不对"),
    ("正确", "错误"),
    ("有", "没有"),
)
_CHINESE_WORDS = (
    ("不是", 1), ("不对", 1), ("不正确", 1), ("没有", 1), ("错误", 1), ("正确", 0), ("否", 1), ("错", 1), ("对", 0),
    ("是", 0), ("有", 0),
)  # fmt: skip
_NO_ANSWER = re.compile(
    r"\s+(?:idea|clue|answer|opinion|comment|doubt|problem|question|way|information|data|one|need)\b", re.IGNORECASE
)
"""What makes of a "No" no answer, or a yes: "No idea", "No doubt"."""
_ENGLISH = re.compile(r"[\s*\"'“(\[$]{0,6}(yes|no|true|false)(?![A-Za-z0-9'’])", re.IGNORECASE)


class _Forms(NamedTuple):
    """How an option's letter is written, with the letters that there are."""

    first: re.Pattern[str]
    alone: re.Pattern[str]
    prefix: re.Pattern[str]
    marked: re.Pattern[str]
    said: tuple[re.Pattern[str], ...]
    bracketed: re.Pattern[str]
    line: re.Pattern[str]


def _forms(last: str) -> _Forms:
    of, any_case = f"[A-{last}]", f"[A-{last}a-{last.lower()}]"
    return _Forms(
        first=re.compile(rf"{_DECORATION}({any_case})(?![A-Za-z0-9'’\u00c0-\u024f])"),
        alone=re.compile(rf"{_DECORATION}({any_case})[\s)\].:,!*\"'>}}”’」》_`$。]{{0,6}}"),
        prefix=re.compile(
            rf"^\W{{0,3}}(?:the )?(?:correct )?(?:option|choice|选项)\s*(?=\W{{0,4}}{any_case}\W{{0,4}}\Z)", re.I
        ),
        marked=re.compile(rf"(?<![A-Za-z0-9])(?:\(({of})\)|({of})[).:](?!\w)|\*\*({of})\*\*)"),
        said=(
            re.compile(
                r"(?i:\b(?:choice|option|letter|statement)(?:\s+is)?|\banswer(?:\s+is|:)"
                r"|\b(?:(?-i:is)|(?:would|must|should|will)\s+be|choose|chose|pick|select|take|selected)(?:\s+option)?"
                rf"|\b(?:it|that)['’]s)\s*:?\s*{_DECORATION}({of})(?![A-Za-z0-9'’])"
            ),
            re.compile(
                rf"(?:选择?|选项|答案(?:是|为|应该?是)?|应?为|是|故选)\s*:?\s*{_DECORATION}({of})(?![A-Za-z0-9])"
            ),
        ),
        bracketed=re.compile(rf"\(({of})\)"),
        line=re.compile(rf"^[\s(\[*]{{0,6}}({of})[)\].:*](?!\w)", re.MULTILINE),
    )  # fmt: skip


_FEW, _MANY = _forms("J"), _forms("Z")


def letter(text: str, marked: str | None, *, beyond_j: bool = False) -> str | None:
    """The one option that a text chooses. ``marked``: what follows its "Answer:", if it has one. ``beyond_j``: there
    are more than ten options; where there are not, the M of "the mass is M" is none."""
    forms = _MANY if beyond_j else _FEW
    text, marked = forms.prefix.sub("", text), None if marked is None else forms.prefix.sub("", marked)
    if marked is not None:
        return _in_marked(marked, forms)
    if alone := forms.alone.fullmatch(text):
        return alone.group(1).upper()
    said = [m for p in forms.said for m in p.finditer(text) if _chosen(text, m)]
    if said:
        chosen = str(max(said, key=lambda m: m.start(1)).group(1))
        listed = {m.group(1) for m in forms.line.finditer(text)}
        return chosen if len(listed) != 1 or chosen in listed else None  # "A) blue ... but C": one of two
    last = _SORRY.split(text)[-1]
    for pattern, where in ((forms.bracketed, last), (forms.line, text)):
        found = {m.group(1) for m in pattern.finditer(where) if _chosen(where, m)}
        if found:
            return found.pop() if len(found) == 1 else None
    return _first(text, forms) if len(text.split()) <= 12 else None


def letters(text: str) -> str | None:
    """Several option letters in order: "A and C" is "A, C", and so is "AC". None for anything else, one letter too.

    A gold "AB" may be a blood type: but who answers "A and B" to that is rarer than a question with two right options.
    """
    text = text.strip().strip(".。()[]{}*$ ")
    if re.fullmatch(r"[A-J]{2,}", text) and list(text) == sorted(set(text)):
        return ", ".join(text)
    if not re.fullmatch(r"[A-J](?:\s*(?:,|;|/|&|、|\band\b|和|与|\s)\s*(?:and\s)?[A-J])+", text):
        return None
    return ", ".join(sorted(set(re.findall(r"[A-J]", text))))


_AROUND = re.compile(
    r"^\W{0,4}(?:故|应该?|本?题)?(?:选择?|选项|答案)?(?:是|为)?[\s:]*(?:(?:both|options?|choices?|statements?)\s+)*"
    r"|\s*(?:are|were)\s+(?:both\s+|all\s+)?(?:correct|right|true)\b.*$|(?:都|均|全)?(?:正确|对)\W*$",
    re.IGNORECASE | re.DOTALL,
)


def several(text: str) -> str | None:
    """The option letters that a whole reply names, and nothing else; None for one, or where anything else is said."""
    return letters(_AROUND.sub("", text.strip()))


def together(text: str) -> str | None:
    """The letters that a whole reply says in one piece ("选AC", "AC."), as it says them; None for anything else."""
    said = _AROUND.sub("", text.strip()).strip().strip(".。()[]{}*$ ")
    return said if re.fullmatch(r"[A-J]{2,}", said) else None


def yes_or_no(text: str, pair: tuple[str, str]) -> str | None:
    """Which of the two a text begins with, in the words of ``pair``; None where it says neither, or both."""
    if pair[0].isascii():
        match = _ENGLISH.match(text)
        if match is None or match.group(1).lower() not in pair:
            return None
        if match.group(1).casefold() == "no" and _NO_ANSWER.match(text, match.end()):
            return None
        rest = re.split(r"[.;!\n]|, (?:because|since|as)\b", text[match.end() :])[0]
        other = pair[1 - pair.index(match.group(1).lower())]
        return None if re.search(rf"\b(?:and|or)\s+{other}\b|/\s?{other}", rest, re.I) else match.group(1)
    text = text.lstrip(" \"'“‘「【(*")
    for word, says in _CHINESE_WORDS:
        if text.startswith(word):
            after = text[len(word) :]
            return pair[says] if re.match(r"的?\s*(?:[,.;:!\"'”’」】)。、,*]|$|\n)", after) else None
    return None


def family(gold: str) -> tuple[str, str] | None:
    """The pair of words that a gold answer is one of."""
    said = gold.strip().strip(".。").casefold()
    return next((pair for pair in YES_NO if said in pair), None)


def _in_marked(line: str, forms: _Forms) -> str | None:
    first = _first(line, forms)
    if first is not None:
        return first
    if forms.first.match(line):  # a letter begins it, which is an article, or one of several
        return None
    said = [m for p in (forms.marked, *forms.said) for m in p.finditer(line) if _chosen(line, m)]
    found = {next(g for g in m.groups() if g) for m in said}
    return found.pop() if len(found) == 1 else None


def _first(text: str, forms: _Forms) -> str | None:
    """The letter that a text begins with, where it stands for an option and is the only one."""
    match = forms.first.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    if _ANOTHER.match(rest) or _WRONG.match(rest):
        return None
    if _CLOSED.match(rest):
        return None if match.group(1).islower() and re.match(r"\s*[,;-]\s*\w", rest) else match.group(1).upper()
    if match.group(1).islower() or match.group(1) == "I":
        return None
    return match.group(1) if _SAYS_ON.match(rest) or re.match(r"[\u4e00-\u9fff]", rest.lstrip()) else None


def _chosen(text: str, match: re.Match[str]) -> bool:
    """Whether a letter is chosen there, and not one of several, denied, or an article ("is A dog")."""
    group = next(i for i, g in enumerate(match.groups(), 1) if g)
    before, after = text[: match.start(group)][-60:], text[match.end(group) :]
    if _NOT.search(before) or _WRONG.match(after) or _EITHER.search(before) or _ANOTHER.match(after):
        return False
    if re.search(r"(?<![A-Za-z])[A-HJ-Z]\s*[)\]]?\s*(?:,|/|\bor\b|\band\b|或|和)\s*[(\[]?\Z", before):
        return False
    return not (match.group(group) in "AI" and re.match(r"\s+[a-z]", after) and not _SAYS_ON.match(after))
