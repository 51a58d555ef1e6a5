"""Ways to write the same thing made one: LaTeX, full-width letters, superscripts, the many minus signs."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re

INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF))
"""Characters that show nothing: what is copied from a web page brings them along. Joiners stay, emoji need them."""
_FULL_WIDTH = {c: chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F) if c != 0xFF0C} | {
    0x3000: " ", 0xFFE1: "£", 0xFFE5: "¥",
}  # fmt: skip
_SUPER = dict(zip(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"), "0123456789-+", strict=True))
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_MINUS = str.maketrans(dict.fromkeys("−﹣‒‐‑⁻₋˗➖﹘⁃", "-"))
_TEXT = re.compile(r" ?\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)\s?\{([^{}]{0,200})\}")
_FRAC = re.compile(r"\\[dtc]?frac\s?(?:\{([^{}]{1,80})\}|(\d))\s?(?:\{([^{}]{1,80})\}|(\d))")
_SIMPLE = re.compile(r"\d+(?:\.\d+)?")
_MATHS = re.compile(r"\$([^$\n]{1,400})(?!(?<=\s)\$\d)\$")
"""Not "$5 each, so $20", where the second sign begins an amount and ends nothing."""
_MATHS_ALSO = re.compile(rf"{_MATHS.pattern}|\\\(([^\n]{{1,400}}?)\\\)|\\\[(.{{1,400}}?)\\\]", re.DOTALL)
_FACTORIAL = re.compile(r"(?<=[\d)}])\s?!(?!=)")
_SYMBOLS = (
    (re.compile(r"\\(?:left|right|[bB]ig+[lr]?)(?![A-Za-z])|\\displaystyle(?![A-Za-z])"), ""),
    (re.compile(r"\\[\[\]()]"), " "),
    (re.compile(r"(?<=\d),?(?:\\[,!;: ]|~)\s?(?=\d{3}(?!\d))|(?<=\d)\{,\}(?=\d)"), ","),
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
_HALF_OF_A_DAY = re.compile(r"(?<=\d)[ \t\xa0\u202f]?([ap])(?:m|\.[ \t]?m\.?)(?![^\W_])", re.IGNORECASE)
_DASH = re.compile(r"(?:(?<=^)|(?<=[\s:=(]))[–—](?:\s|[^\S\n]{2,4})?(?=[\d(\[{])")
_SUPERSCRIPT = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_PLAIN_ALREADY = re.compile(r"[^\\{~^<$\x80-\U0010ffff]*")
"""Texts in which only units can be written in another way, as most replies are."""
_ALGEBRA = tuple(
    (re.compile(said), sign)
    for said, sign in (
        (r"\\in(?![A-Za-z])", "∈"), (r"\\leq?(?![A-Za-z])|<=", "≤"), (r"\\geq?(?![A-Za-z])|>=", "≥"),
        (r"\\pm(?![A-Za-z])", "±"), (r"\\infty(?![A-Za-z])", "∞"), (r"\\pi(?![A-Za-z])", "π"),
        (r"\\cup(?![A-Za-z])", "∪"), (r"(?<=\d)\s?–\s?(?=\d)", "-"),
    )
)  # fmt: skip
_OF_ALGEBRA = re.compile(r"[\w\s()\[\]{}.,|!'°√∞∪∈±≤≥≠<>=:^*/+-]+")
_OPERATOR = re.compile(r"[∈±≤≥≠<>=:^*/+-]")
_DATE = re.compile(r"\d{1,4}(?:\s?[-/.]\s?\d{1,4}){2}")
_FUNCTIONS = {"sin", "cos", "tan", "log", "sqrt", "exp", "and"}
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")


def plainly(text: str) -> str:
    """The text with its numbers and signs written in one way. Words stay as they are."""
    text = _HALF_OF_A_DAY.sub(lambda m: f" {m[1].lower()}m", text)
    if _PLAIN_ALREADY.fullmatch(text):
        return _POWER_OF_UNIT.sub(_power_of_unit, text)
    text = visible(text)
    text = _SUPERSCRIPT.sub(lambda m: f"^({m.group().translate(_SUPER)})", text)
    text = re.sub(r"([\uff10-\uff19])\uff0c(?=[\uff10-\uff19]{3})", r"\1,", text).replace("\uff0c", ", ")
    text = text.translate(_FULL_WIDTH).translate(_MINUS)
    for sign, fraction in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(?<=\d)\s?{sign}", f" {fraction}", text).replace(sign, fraction)
    if "!" in text:  # a factorial in a formula; elsewhere an exclamation
        text = _MATHS_ALSO.sub(lambda m: _FACTORIAL.sub("^!", m.group()), text)
    text = re.sub(r"<([-+]?\d[^<>\n]{0,30})>", r"\1", _unlatex(text))
    text = _MATHS.sub(r"\1", text)
    return _DASH.sub("-", _POWER_OF_UNIT.sub(_power_of_unit, text))


def visible(text: str) -> str:
    """The text without the characters that show nothing."""
    return text if text.isascii() else text.translate(INVISIBLE)


def algebra(text: str) -> str | None:
    """A formula without its spaces, in which its letters stand for numbers; None for words, a date, a number alone."""
    text = plainly(text[:400]).strip().rstrip(".") if len(text) <= 400 else ""
    for said, sign in _ALGEBRA:
        text = said.sub(sign, text)
    if not _OF_ALGEBRA.fullmatch(text) or not _OPERATOR.search(text) or _DATE.fullmatch(text):
        return None
    if any(word.casefold() not in _FUNCTIONS for word in re.findall(r"[^\W\d_]{3,}", text)):
        return None
    return without_spaces(text)


def without_spaces(text: str) -> str:
    """Without the spaces that part neither two words nor two numbers."""
    text = re.sub(r"\s+", " ", text.casefold().strip())
    return re.sub(r"(?<![^\W\d_]) | (?![^\W\d_])", "", re.sub(r"(?<=\d) (?=\d)", "\0", text)).replace("\0", " ")


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
            found.append((at, _FACTORIAL.sub("^!", inner.strip())))
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
