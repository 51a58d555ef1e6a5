"""A number with what it counts: "300 cm", "75%", "$5". Units are compared by their names, never converted."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from instar.extract.numbers import LONGEST, numbers, value
from instar.extract.writing import plainly

_NAMES = (
    "% percent", "$ dollar usd us$ 美元", "€ euro eur 欧元", "£ gbp", "yuan rmb cny 元 人民币 块",
    "yen jpy 円 日元", "₹ rupee inr rs",
    "km kilometre kilometer 公里 千米", "m metre meter 米",
    "cm centimetre centimeter 厘米", "mm millimetre millimeter 毫米",
    "mi mile", "ft foot feet", "in inch inches", "kg kilogram kilo 千克 公斤", "g gram 克", "mg milligram 毫克",
    "pound", "lb", "l litre liter 升", "ml millilitre milliliter 毫升", "h hr hour 小时",
    "min minute 分钟", "s sec second 秒",
    "km/h kmh kph km/hr kmph", "mph mi/h", "m/s", "°c c celsius 摄氏度", "°f fahrenheit 华氏度", "° degree deg 度",
)  # fmt: skip
_UNITS = {name: names.split()[0] for names in reversed(_NAMES) for name in names.split()}
_POWERS = (
    (re.compile(r"(?:\bsquare|\bsq\.?)\s+([^\W\d_]+)|平方([\u4e00-\u9fff]+)"), "²"),
    (re.compile(r"(?:\bcubic|\bcu\.?)\s+([^\W\d_]+)|立方([\u4e00-\u9fff]+)"), "³"),
)
_MONEY = {"$", "€", "£", "¥", "yuan", "yen", "₹"}
_EITHER = {("¥", "yuan"), ("¥", "yen"), ("pound", "£"), ("pound", "lb")}
"""¥ is written for two currencies, and a pound is money or a weight."""
_NEVER_LEFT_OUT = {"am", "pm", "a.m", "p.m", "bc", "ad", "bce", "ce"}

_IN_BRACKETS = re.compile(r"\((?!(?i:[ivx]+)\))([^\W\d_]{2}[^()]*|[mglhsC])\)")
"""A unit as ASDiv writes it, "7 (apples)"; the (a) or (iv) of "3 (a)" is a part of a question, and no unit."""


class Quantity(NamedTuple):
    """A value and the words of its unit, each under its shortest name."""

    value: Fraction
    unit: tuple[str, ...]

    def says(self, gold: Quantity) -> bool:
        """Whether this answer says what gold says. An answer may leave a unit out, and go on after it."""
        if self.unit[:1] == ("%",) or gold.unit == ("%",):
            same = {self.unit[:1], gold.unit} - {("%",)} <= {()}
            own = self.value / 100 if self.unit[:1] == ("%",) else self.value
            wanted = gold.value / 100 if gold.unit == ("%",) else gold.value
            return same and (own == wanted or self.value == gold.value)
        if self.value != gold.value:
            return False
        if not self.unit:
            return not {*gold.unit} & _NEVER_LEFT_OUT
        return len(self.unit) >= len(gold.unit) and all(map(_alike, self.unit, gold.unit))


def quantity(text: str) -> Quantity | None:
    """The one number that a text begins with, and its unit; None for anything else."""
    text = text.strip()
    if len(text) > LONGEST:
        return None
    text = plainly(text).strip().rstrip(".。")
    found = numbers(text)
    if len(found) != 1 or found[0].plain is None or found[0].start > 0:
        return None
    amount = value(found[0].plain)
    rest = text[found[0].end :].strip(" -*_`")
    if bracketed := _IN_BRACKETS.fullmatch(rest):
        rest = bracketed[1]
    if amount is None or len(rest.split()) > 4 or re.search(r"[=:;()\[\]{}]|^!", rest):  # 5! is 120
        return None
    unit = (*filter(None, (found[0].unit,)), *_unit(rest))
    return Quantity(amount, unit[1:] if len(unit) > 1 and unit[0] in _MONEY and _alike(unit[1], unit[0]) else unit)


def is_amount(text: str) -> bool:
    """Whether a text is a number with a unit that is known, and nothing else: "$1,000", "25 m^2", "3 x 10^8 m/s"."""
    found = quantity(text)
    return found is not None and bool(found.unit) and all(map(_known, found.unit))


def is_money(text: str) -> bool:
    """Whether a text is an amount of money and nothing else: "$22.33", "20 euros"."""
    found = quantity(text)
    return found is not None and len(found.unit) == 1 and found.unit[0] in _MONEY


def _known(unit: str) -> bool:
    return unit in _UNITS or all(part.rstrip("²³") in _UNITS for part in unit.split("/"))


def _alike(unit: str, gold: str) -> bool:
    """Whether two units may be one: they are, or one is a sign or word that stands for both."""
    return unit == gold or (unit, gold) in _EITHER or (gold, unit) in _EITHER


def _unit(words: str) -> tuple[str, ...]:
    words = re.sub(r"\s+per\s+|每", "/", words.casefold().replace("个", ""))
    words = re.sub(r"\bdegrees?\s+(?=(?:c|f|celsius|fahrenheit)\b)", "", words)
    for said, power in _POWERS:
        words = said.sub(lambda m, power=power: f"{m[1] or m[2]}{power}", words)  # type: ignore[misc]  # a default binds the loop's value
    joined = ("/".join(_name(part) for part in word.split("/")) for word in words.split())
    return tuple(_UNITS.get(unit, unit) for unit in joined)


def _name(word: str) -> str:
    word = word.strip(".,*")
    if word[-1:] in ("²", "³"):
        return _name(word[:-1]) + word[-1]
    if word in _UNITS:
        return _UNITS[word]
    return _UNITS.get(word.rstrip("s"), word.rstrip("s") if len(word) > 3 else word)
