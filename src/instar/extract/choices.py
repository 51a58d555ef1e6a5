"""Option letters and yes or no, as models say them. What names several, or none clearly, is not read."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re

_DECORATION = r"[\s(\[{*\"'<“‘「《_`$]{0,6}"
_FIRST = re.compile(rf"{_DECORATION}([A-Ja-j])(?![A-Za-z0-9'’\u00c0-\u024f])")
_JOINED = r"\s*[)\]]?\s*(?:,|/|&|;|、|\bor\b|\band\b|和|或者?|与)\s*(?:or\s|and\s)?[(\[]?"
_ANOTHER = re.compile(_JOINED + r"[A-J](?![A-Za-z0-9'])")
_CLOSED = re.compile(r"\s*(?:[)\].:,;!*\"'>}”’」》_`$。,]|-\s|$|\n)")
_SAYS_ON = re.compile(
    r"\s+(?:is|was|because|since|as|for|would|seems|must|should|with|by|but|\(|选项|是|-|–)(?![A-Za-z])",
    re.I,
)
_MARKED = re.compile(r"(?<![A-Za-z0-9])(?:\(([A-J])\)|([A-J])[).:](?!\w)|\*\*([A-J])\*\*)")
_WORD_BEFORE = re.compile(
    r"(?:\b(?:choice|option|letter|statement)(?:\s+is)?|\banswer(?:\s+is|:)|\b(?:is|choose|chose|pick|select|take|selected)(?:\s+option)?|\b(?:it|that)['’]s)"
    rf"\s*:?\s*{_DECORATION}([A-J])(?![A-Za-z0-9'’])"
)
_CHINESE = re.compile(
    rf"(?:选择?|选项|答案(?:是|为|应该?是)?|应?为|是|故选)\s*:?\s*{_DECORATION}([A-J])(?![A-Za-z0-9])"
)
_LINE = re.compile(r"^[\s(\[*]{0,6}([A-J])[)\].:*](?!\w)", re.MULTILINE)
_SORRY = re.compile(r"\b(?:or rather|rather|wait|actually|i mean|no,)\s", re.IGNORECASE)
_NOT = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bexcept|不是|并非|而非|不选)\s*(?:option|choice|answer|选项)?\s*[(\[*\"']{0,3}$",
    re.I,
)
_WRONG = re.compile(
    r"[)\].*\"']{0,3}\s*(?:is|was|are)\s+(?:wrong|incorrect|false|not)\b|\s*(?:不对|错误?|不正确)", re.I
)
_EITHER = re.compile(r"\b(?:either|both|neither)\b[^.\n]{0,40}$", re.IGNORECASE)

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
_ENGLISH = re.compile(r"[\s*\"'“(\[$]{0,6}(yes|no|true|false)(?![A-Za-z0-9'’])", re.IGNORECASE)


_PREFIX = re.compile(r"^\W{0,3}(?:the )?(?:correct )?(?:option|choice|选项)\s*(?=\W{0,4}[A-Ja-j]\W{0,4}$)", re.I)


def letter(text: str, marked: str | None) -> str | None:
    """The one option that a text chooses. ``marked``: what follows its "Answer:", if it has one."""
    text, marked = _PREFIX.sub("", text), None if marked is None else _PREFIX.sub("", marked)
    if marked is not None:
        return _in_marked(marked)
    alone = re.fullmatch(rf"{_DECORATION}([A-Ja-j])[\s)\].:,!*\"'>}}”’」》_`$。]{{0,6}}", text)
    if alone:
        return alone.group(1).upper()
    said = [m for p in (_WORD_BEFORE, _CHINESE) for m in p.finditer(text) if _chosen(text, m)]
    said += [m for m in re.finditer(r"\b[Oo]ption ([A-J])(?![A-Za-z0-9'])", text) if _chosen(text, m)]
    if said:
        chosen = str(max(said, key=lambda m: m.start(1)).group(1))
        listed = {m.group(1) for m in _LINE.finditer(text)}
        return chosen if len(listed) != 1 or chosen in listed else None  # "A) blue ... but C": one of two
    last = _SORRY.split(text)[-1]
    for pattern in (re.compile(r"\(([A-J])\)"), _LINE):
        found = {m.group(1) for m in pattern.finditer(last if pattern is not _LINE else text) if _chosen(m.string, m)}
        if found:
            return found.pop() if len(found) == 1 else None
    return _first(text) if len(text.split()) <= 12 else None


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


def _in_marked(line: str) -> str | None:
    first = _first(line)
    if first is not None:
        return first
    if _FIRST.match(line):  # a letter begins it, which is an article, or one of several
        return None
    said = [m for m in _MARKED.finditer(line) if _chosen(line, m)]
    said += [m for p in (_WORD_BEFORE, _CHINESE) for m in p.finditer(line) if _chosen(line, m)]
    found = {next(g for g in m.groups() if g) for m in said}
    return found.pop() if len(found) == 1 else None


def _first(text: str) -> str | None:
    """The letter that a text begins with, where it stands for an option and is the only one."""
    match = _FIRST.match(text)
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
    if re.search(r"(?<![A-Za-z])[A-J]\s*[)\]]?\s*(?:,|/|\bor\b|\band\b|或|和)\s*[(\[]?$", before):
        return False
    return not (match.group(group) in "AI" and re.match(r"\s+[a-z]", after) and not _SAYS_ON.match(after))
