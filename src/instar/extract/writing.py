"""Ways to write the same thing made one: LaTeX, full-width letters, superscripts, the many minus signs."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re

_FULL_WIDTH = {c: chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F) if c != 0xFF0C} | {0x3000: " "}
_SUPER = dict(zip(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"), "0123456789-+", strict=True))
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_MINUS = str.maketrans(dict.fromkeys("−﹣‒", "-"))
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)\s?\{([^{}]{0,200})\}")
_FRAC = re.compile(r"\\[dtc]?frac\s?(?:\{([^{}]{1,80})\}|(\d))\s?(?:\{([^{}]{1,80})\}|(\d))")
_SIMPLE = re.compile(r"\d+(?:\.\d+)?")
_MATHS = re.compile(r"\$([^$\n]{1,400})\$")
_SYMBOLS = (
    (re.compile(r"\\(?:left|right|[bB]ig+[lr]?)(?![A-Za-z])|\\displaystyle(?![A-Za-z])"), ""),
    (re.compile(r"\\[\[\]()]"), " "),
    (re.compile(r"(?<=\d)(?:\\[,!;: ]|~)\s?(?=\d{3}(?!\d))|(?<=\d)\{,\}(?=\d)"), ","),
    (re.compile(r"\{([,.])\}"), r"\1"),
    (re.compile(r"\\[,!;: ]|(?<=\S)~(?=\S)|\\q?quad(?![A-Za-z])"), " "),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])|[×∙⋅]|(?<=[\d )])·(?=[\d (])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])|÷"), "/"),
    (re.compile(r"\^\s?\{?\s?\\circ\s?\}?"), "°"),
    (re.compile(r"\\(?:neq|ne)(?![A-Za-z])"), "≠"),
    (re.compile(r"\\([%$&#_])"), r"\1"),
    (re.compile(r"\^\s?\{\s?([-+]?\d{1,6})\s?\}"), r"^(\1)"),
)
_LENGTHS = "km|hm|dm|cm|mm|m|ft|in|yd|mi|feet|inch(?:es)?|(?:kilo|centi|milli|deci)?met(?:er|re)s?"
_POWER_OF_UNIT = re.compile(
    rf"(?:(?<=\d)|(?<=[\d}}] )|(?<=/))(?P<unit>{_LENGTHS}|s|sec|h|hr)"
    r"(?:\s?\^\s?\(?(?P<power>[23])\)?|(?P<glued>[23]))(?![\d^])(?!\s?[-+*=])(?![A-Za-z])"
)
_DASH = re.compile(r"(?:(?<=^)|(?<=[\s:=(]))[–—]\s?(?=\d)")
_SUPERSCRIPT = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_PLAIN_ALREADY = re.compile(r"[^\\{~^<$\x80-\U0010ffff]*")
"""Texts in which only units can be written in another way, as most replies are."""
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")


def plainly(text: str) -> str:
    """The text with its numbers and signs written in one way. Words stay as they are."""
    if _PLAIN_ALREADY.fullmatch(text):
        return _POWER_OF_UNIT.sub(_power_of_unit, text)
    text = _SUPERSCRIPT.sub(lambda m: f"^({m.group().translate(_SUPER)})", text)
    text = re.sub(r"([\uff10-\uff19])\uff0c(?=[\uff10-\uff19]{3})", r"\1,", text).replace("\uff0c", ", ")
    text = text.translate(_FULL_WIDTH).translate(_MINUS)
    for sign, fraction in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(?<=\d)\s?{sign}", f" {fraction}", text).replace(sign, fraction)
    text = re.sub(r"<([-+]?\d[^<>\n]{0,30})>", r"\1", _unlatex(text))
    text = _MATHS.sub(r"\1", text)
    return _DASH.sub("-", _POWER_OF_UNIT.sub(_power_of_unit, text))


def without_reasoning(reply: str) -> str:
    """What follows the last block of reasoning; nothing where such a block is still open."""
    closed = [m.end() for m in re.finditer(r"</(?:think|thinking|thought|reasoning|reflection)>", reply)]
    rest = reply[closed[-1] :] if closed else reply
    opened = re.search(r"<(?:think|thinking|thought|reasoning|reflection)>", rest)
    return rest[: opened.start()] if opened else rest


def boxes(text: str) -> list[tuple[int, str]]:
    """(where it ends, what is in it) of every \\boxed{...} with something in it; of nested ones the innermost."""
    found = []
    for match in _BOX.finditer(text):
        depth, at = 1, match.end()
        while at < len(text) and depth and at - match.end() < 400:
            depth += (text[at] == "{") - (text[at] == "}")
            at += 1
        inner = text[match.end() : at - 1]
        if not depth and inner.strip(" $") and not _BOX.search(inner):
            found.append((at, re.sub(r"(?<=[\d)])!", "^!", inner.strip())))  # a factorial, in a formula
    return found


def _unlatex(text: str) -> str:
    for _ in range(2):
        text = _TEXT.sub(lambda m: f" {m.group(1).strip()} ", text)
    for pattern, by in _SYMBOLS:
        text = pattern.sub(by, text)
    for _ in range(2):
        text = _FRAC.sub(_fraction, text)
    return text


def _power_of_unit(match: re.Match[str]) -> str:
    """A unit's power as a sign, which no number is read from: "25 m^2" is 25 of "m²"."""
    return match["unit"] + ("²" if (match["power"] or match["glued"]) == "2" else "³")


def _fraction(match: re.Match[str]) -> str:
    above, below = (match.group(1) or match.group(2)).strip(), (match.group(3) or match.group(4)).strip()
    signs = [part.startswith("-") and _SIMPLE.fullmatch(part[1:]) is not None for part in (above, below)]
    minus = "-" if signs[0] != signs[1] else ""
    above, below = above[signs[0] :], below[signs[1] :]
    if not (_SIMPLE.fullmatch(above) and _SIMPLE.fullmatch(below)):
        return f"({minus}{above})/({below})"
    before = match.string[match.start() - 1 : match.start()] if match.start() else ""
    return f"{' ' * before.isdigit()}{minus}{above}/{below}"
