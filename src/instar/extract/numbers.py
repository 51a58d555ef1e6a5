"""Numbers as people, models and LaTeX write them. One that cannot be read whole is not read: never a part of it."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from instar.extract.writing import plainly

LONGEST = 4_000
"""Characters of a text that can be a number."""
_NEAR = 24
"""Characters before a number in which a word for its sign stands, or one that makes it a limit."""

_DIGITS = (
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"  # 1,234,567.8
    r"|\d{1,3}(?:\.\d{3}){2,}(?!\d)(?:,\d+)?"  # 1.234.567,8
    r"|(?<!\d )\d{1,3}(?:[ '\u00a0\u202f\u2009]\d{3}){1,5}(?! ?\d)(?:[.,]\d+)?(?!\d)"  # 1 234 567
    r"|\d{1,3}\.\d{3},\d{1,2}(?!\d)"  # 1.234,5
    r"|\d+,\d{1,2}(?![\d,])|0,\d{3,}(?![\d,])"  # 3,5
    r"|\d+(?:\.\d+)?|\.\d+)"
)
_SIGNS = "$€£¥₹"
_CODES = {
    "us$": "$", "usd": "$", "eur": "€", "gbp": "£", "jpy": "yen", "cny": "yuan", "rmb": "yuan", "inr": "₹",
    "rs": "₹", "rs.": "₹",
}  # fmt: skip
"""What stands before an amount of money for its sign."""
_MONEY = r"[$€£¥₹]|(?<![A-Za-z])(?:US\$|(?:USD|EUR|GBP|JPY|CNY|RMB|INR|Rs\.?)(?=\s?\d))"
_ATOM = re.compile(
    rf"(?P<sign>[-+]\s?(?:{_MONEY})?|(?:{_MONEY})\s?-?)?"
    rf"(?:(?P<mixed>\d{{1,9}}) (?P<up>\d{{1,9}})\s?/\s?(?P<down>\d{{1,9}})"
    rf"|(?P<man>{_DIGITS})\s?[*x]\s?10\s?\^\s?\(?(?P<ten>[-+]?\d{{1,3}})(?!\d)\)?"
    rf"|(?P<exp>{_DIGITS}[eE][-+]?\d{{1,3}})(?!\w|\.\d)"
    rf"|(?P<over>{_DIGITS})\s?/\s?(?P<under>\d+(?:\.\d+)?)"
    rf"|(?P<base>{_DIGITS})\s?\^\s?\(?(?P<power>-?\d{{1,3}})(?!\d)\)?"
    rf"|(?P<of>\d{{1,9}})\s?分之\s?(?P<part>\d{{1,9}})"
    rf"|(?P<simple>{_DIGITS}))"
)
_LARGE = {
    name: amount
    for amount, names in (
        (12, "dozen dozens"), (10**2, "hundred hundreds 百 백"),
        (10**3, "k thousand thousands tausend тысяча тысячи тысяч тыс 千 천"), (10**4, "万 萬 만"),
        (10**5, "lakh lakhs"),
        (10**6, "million millions millionen millones milioni milhões mio mln миллион миллиона миллионов млн 百万 백만"),
        (10**7, "crore crores 千万 천만"), (10**8, "亿 億 억"),
        (10**9, "billion bn milliard milliards milliarde milliarden miliardi mrd миллиард миллиарда миллиардов млрд"),
        (10**12, "trillion"),
    )
    for name in names.split()
}  # fmt: skip
"""Only words that are one amount wherever they are said: "billions" is 10^9 in English and 10^12 in French."""
_LETTERS = "|".join(
    sorted((n for n in _LARGE if n.isalpha() and n[0] < "\u1100" and len(n) > 1), key=len, reverse=True)
)
_TIMES = re.compile(
    rf"[^\S\n]?-?({_LETTERS})(?![^\W\d_])|(k)(?![A-Za-z])|\s?((?:[十拾百佰万萬亿億兆仟십백천억조]|만(?!큼)|千(?![克米瓦卡升赫]))+)",
    re.I,
)
_TIMES_UNKNOWN = re.compile(
    r"[^\S\n]*(?:(?:MM|[MBTG])(?!\w)|[‰‱₀-₉成折几](?![功员本年为立就叠扣])|[个小时天年岁]{0,2}半(?!径)|ダース|打"
    r"|-?(?i:(?!millionaire)\w*illion\w*|mil|mille|mila|mill|mn|tn|mld|mlrd|mia|tsd|teur|lacs?|cr|billón|billones|bilh\w+|bilioni"
    r"|(?!millionaire)mil(?:l|i|li|j|ij|h)[oóõã]\w*|mil(?:j|ij|i)ard\w*|milijuna?|milliers|centaines|douzaines|dizaines|do[cz]enas?|decenas"
    r"|dutzend|десятк\w+|десяток|hazar"
    r"|hunderte?|mil(?:iar|yar|yon)\w*|тысяч\w*|миллион\w*|мі?льйон\w*|мільярд\w*|триллион\w*|трлн|сот(?:ен|ни|ня)"
    r"|duizend|tusen|tusind|tuhat(?:ta)?|ezer|tisíc|tys|tysięcy|tysiące|ribu|juta|nghìn|ngàn|triệu|tỷ"
    r"|χιλιάδες|εκατομμύρια|ألف|مليون|مليار|אלף|מיליון|हज़ार|लाख|करोड़|(?:พัน|หมื่น|แสน|ล้าน)\w*"
    r"|tens|thou|per[ -]?mill?e?|pro ?mille|pour mille|por mil|per (?:hundred|thousand)|miles de"
    r"|(?:grand|gross|score|bin)(?=\s*(?:[.,;!?)*]|\Z))|e\s?[-+]?\d{1,3})(?![^\W\d_]))"
)
"""What multiplies a number, by an amount that is not known, or that is another in another language."""
_TIMES_APART = re.compile(rf"\s*[(\[]\s*(?:in )?(?:{_LETTERS})\s*[)\]]|\s*\(\s*[x*]\s*\d", re.I)
_MARKS = '*_`"”)]} \t'
"""What may stand between a number and the word that multiplies it, as in "**9** million"."""
_PARTS_OF_ONE = re.compile(
    r"[^\S\n-]*-?(?:thirds|halves|half(?!-)|demie?s?|terzi|tercios?|трет(?:и|ь|ьих)|четверт(?:и|ь|ей)|половин\w+"
    r"|(?:\w+-)?(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|\w+teen|\w+tie|hundred|thousand|million|billion)ths"
    r"|(?:drit|vier|fünf|sechs|sieb|ach|neun|zehn|zwanzigs|hunderts|tausends)tel"
    r"|(?:cinqu|six|sept|huit|neuv|dix|cent|mill)ièmes?|d[ée]cim[oa]s?|cent[ée]sim[oa]s?|mil[ée]sim[oa]s?|quint[oa]s"
    r"|(?:десят|сот|тысячн|пят|седьм|восьм|девят)(?:ых|ая))(?![^\W\d_])"
    r"|[^\S\n]+(?:and|et|y|e|с|und)[^\S\n]+(?:(?:an?|one|two|three|ein|un|une)[\s-]+)?"
    r"(?:half|quarters?|thirds?|demie?|medi[oa]|mezz[oa]|mei[oa]|половиной|halb|quart|cuarto)(?![^\W\d_])"
    r"|[^\S\n]+point[^\S\n]+(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)(?![a-z])",
    re.IGNORECASE,
)
_A_PART = re.compile(
    r"[^\S\n-]*-?(?:quarters?|tiers|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)(?![A-Za-z])"
    r"(?![\s-]+grade)",
    re.I,
)
"""A part of one after a number below four; nine quarters are coins, and "9 third graders" are nine."""
_GOES_ON = re.compile(
    r"\s?(?:and\s+|零)?(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred)\b)",
    re.IGNORECASE,
)
_LARGE_BEFORE = re.compile(
    rf"(?:\d[\s-]?(?:{_LETTERS})|\b(?:hundred|thousand|million|billion))\s+(?:and\s+)?\Z|\d\s?[十百千万萬亿億백천만억]+\s?零?\Z",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b|个?百分点)", re.IGNORECASE)
_OPERAND_BEFORE = re.compile(
    r"(?:[\d)%]|(?<![A-Za-z])[A-Za-z])\s*[-+*/^±–·]\s*[({\[]?\s*\Z|[\^√∛∜±_|¬]\s*[({]?\s*\Z|(?:^|[\s(])!\Z|\d:\Z"
    r"|[A-Za-z\u0370-\u03ff}]\s*[/*^+·]\s*\Z|\\[a-z]{2,6}(?:[_^]\{?\w{1,3}\}?)?\s?[-{(]?\s*\Z|\d\s?\\[a-z]{2,6}\Z"
    r"|\d\s+(?:plus|minus|times|over|divided by|multiplied by|mod|choose)\s*\Z|\d\s?[x×]\s*\Z|又\s?\Z"
    r"|\b(?:sqrt|root|root of|log|ln|exp|abs|sin|cos|tan|half of|twice|double|triple|square of)\s*\(?\s*\Z|根号\s*\Z"
    r"|\b(?:factorial|negative|opposite|inverse|reciprocal|cube|logarithm|third|quarter) of\s*\Z"
    r"|\blog(?:_\{?\w{1,3}\}?|\d{1,3})\s*\Z"
    r"|[A-Za-z\u0370-\u03ff'](?<!one)(?<!two)(?<!ree)(?<!our)(?<!ive)(?<!six)(?<!ven)(?<!ght)(?<!ine)(?<!ten)(?<!lve)"
    r"(?<!een)(?<!ty)(?<!red)(?<!and)\((?:[^()\n]{0,20}[,+*/^-])?\s*\Z|(?<![A-Za-z])[fgh] \(\s*\Z"
    r"|\)\(\s*\Z|\\overline\s?\{?\s*\Z",  # f(9), f(x, 9), (3)(9)
    re.IGNORECASE,
)
_OPERAND_AFTER = re.compile(
    r"\s*[)\]}]?\s*[-+*/^±–~·]\s*(?:[\d(√\\$]|[A-Za-z\u0370-\u03ff](?![A-Za-z])|(?:pi|sqrt|log|ln|sin|cos|tan|exp)\b)"
    r"|\s*[<>≤≥≠]\s*[a-z](?![a-z>])|[)\]}]\s?\^|[.,:]\d|\s?[\^√∛π\u0370-\u03ff]|\s?\\[a-z]|\s?\((?:\d|\s*-?[a-z]\s*[-+*/^])|\([a-z]\)"
    r"|\s*(?:r|rem|remainder|余|mod)\s?\d|\s?又|\s?(?:的?平方|的?立方)(?!公?[里尺分]|[千厘毫分]?米|英)|\+(?!\w)|\s*(?:以上|以下|多个?|余)"
    r"|\s?[-+/^±–~]\s*[.)]?\s*\Z|\s+\(?(?:in )?base[ -](?:\d|two|eight|ten|sixteen)"
    r"|\s+(?:degrees? )?(?:below|under) zero\b|\s*\(?negative\)?\s*(?:[.,;]|\Z)"
    r"|\s+over\s+(?:\d|[b-hj-z](?![a-z])|pi\b|sqrt)|\s+to the (?:power|\w+ power|\d|\wth)\b|\s+raised to\b"
    r"|[^\S\n]*-?(?:(?:pi|factorial)(?![A-Za-z])"
    r"|(?:sqrt|cbrt|root|square root|cube root|sin|cos|tan|log|ln|exp|choose|modulo)"
    r"(?:\s*[_(^\d√]|\s+(?:of\b|(?:[a-z]|pi|theta)(?![a-z])))"
    r"|(?:phi|theta|alpha|beta|lambda|sigma|omega|tau)(?=\s*(?:[-+*/^=.,;:!?)\]}$]|\Z|\n)))"
    r"|\s+(?:plus|minus|times|divided by|multiplied by|squared|cubed|or (?:more|less|fewer|greater))\b",
    re.IGNORECASE,
)
_VARIABLE_AFTER = re.compile(
    r"[^\S\n]+(?:[xXk](?![\w'’])|[a-z](?:[_(]|\d)|(?:xy|xz|yz|ab|bc|d[txy])(?![\w'’])"
    r"|(?![mgshlLtdACFHJKNSVW])[A-Za-z](?![\w'’]|\.\w)(?=\s*(?:[-+*/^=<>.,;:!?)\]}$]|\Z|\n)))"
)
"""A letter alone that is no unit: of a formula. "9 a day" and "9 I think" go on with a word; "9 x 3" is no nine."""
_MINUS_WORDS = (
    r"(?:\b(?:minus|negative|neg|moins|menos|meno|mínus|miinus|eksi|âm|минус|мінус|μείον|מינוס|ناقص|माइनस|négatif"
    r"|negativ[oa]?)\b|[负負]|マイナス|마이너스|零下|ติดลบ|ลบ)"
)
_NEGATED = re.compile(rf"{_MINUS_WORDS}(?:\s+|(?<=[\u0e00-\uffff])\s?)\Z", re.IGNORECASE)
_AT_LEAST = re.compile(r"\b(?:au|du|al|lo|pelo|o|ou|or|oder|e|y|plus|más|mais|più)\s+\Z", re.IGNORECASE)
"""What makes of a word for minus another thing: "au moins", "al menos", "plus or minus"."""
_SIGN_APART = re.compile(
    rf"-\s*\\?[({{\[][\s({{\[$*]*\Z|-[*_`$]+\s*\Z|\(-\)\s*\Z|\bneg\.\s*\Z"
    rf"|{_MINUS_WORDS}\s+[a-z-]+\s*\(\s*\Z|{_MINUS_WORDS}\s*[-:({{\[$*_`][-:({{\[$*_`\s]*\Z"
    r"|(?:\A|[:=({\[$\n,]|\b(?:is|are|be|was|equals?|ist|est|es)\b|[是为為はè])[^\S\n]*(?:-|一|ー)\s*\Z",
    re.IGNORECASE,
)
"""A sign that stands apart from its number: "-(9)", "minus **9**", "it is - 9". Whether it belongs to it is a guess."""
_IN_WORDS = re.compile(r"\w+\s+[a-z-]+\s*\(\s*\Z", re.IGNORECASE)
"""Before a number that is said again with its own sign: "negative five (-5)"."""
_SEVERAL = r"(?:,|;|、|\bor\b|\band\b|\bto\b|\bout of\b|\bof\b|\bby\b|和|或者?|到|至|还是)"
_MORE_BEFORE = re.compile(rf"(?<![A-Za-z_\d.,])[\d.,]*[\d%]\s?{_SEVERAL}(?:\s(?:and|or))?\s*[-+{_SIGNS}]*\Z")
_MORE_AFTER = re.compile(rf"\s?{_SEVERAL}(?:\s(?:and|or))?\s*[-+{_SIGNS}]*\d")
_NOT_QUITE = re.compile(
    r"(?:\bnot|n't|\bless than|\bmore than|\babove|\bbelow"
    r"|\b(?:moins|plus|menos|más|mais) de|\b(?:weniger|mehr) als|\b(?:meno|più) di|\bmindestens|\bhöchstens|\balmeno"
    r"|\bnicht|\bpas|\bno es|\bnon è|\bnão é|\bне|\bбол(?:ьше|ее)|\bмен(?:ьше|ее)|\bbis zu|\bhasta|\bjusqu['’]à"
    r"|\bfino a|(?<!add )(?<!adds )(?<!added )(?<!adding )(?<!sum )(?<!sums )(?<!comes )(?<!come )\bup to"
    r"|\bfewer than|\bgreater than|\bat least|\bat most|\bover|\bunder|\bbetween"
    r"|\bno more than|[<>≤≥≠]|不是|不等于|大于|小于|至少|至多|超过|不到)[^\S\n]*\Z",
    re.IGNORECASE,
)
_GLUED = re.compile(
    r"(?:st|nd|rd|th|[kcmµn]?m|[km]?g|[mc]?l|lbs?|oz|ft|in|yd|mi|mph|km/h|kmh|h|hrs?|s|secs?|mins?|ms|[kmg]b|°?[cf]|[km]?w"
    r"|kwh|v|hz|usd|eur|cm|mm|am|pm)(?![A-Za-z\d])",
    re.IGNORECASE,
)
_PARTS = (
    r"(?:years?|months?|weeks?|days?|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|feet|foot|ft|inch(?:es)?|in"
    r"|pounds?|lbs?|ounces?|oz|dollars?|cents?|kg|kilograms?|g|grams?|km|m|cm|met(?:er|re)s?"
    r"|小时|个?小时|分钟?|秒|天|年|个?月|周|元|角|分|米|厘米|千克|克)"
)
_PART_BEFORE = re.compile(rf"\d\s?({_PARTS})\s?(?:,?\s?and|,|又|零)?\s*\Z", re.IGNORECASE)
_PART_AFTER = re.compile(rf"\s?({_PARTS})(?![A-Za-z])", re.IGNORECASE)
_DATE = re.compile(
    r"\d{1,4}(?:[-/.]\d{1,2}){2}(?!\d)(?:[-/.]\d{2,4})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
    r"|\d{2,4}\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号])?|\d{1,2}\s?月\s?\d{1,2}\s?[日号]"
    r"|\d{1,2}:\d{2}(?::\d{2})?|\d{1,2}\s?点\s?\d{1,2}\s?分?"
)


class Number(NamedTuple):
    """A number in a text: its place, its value as ``Fraction`` reads it (None: not whole), "%" or what it counts."""

    start: int
    end: int
    plain: str | None
    unit: str

    def __str__(self) -> str:
        return f"{self.plain}{self.unit if self.unit == '%' else ''}"


def numbers(text: str) -> list[Number]:
    """Every number of a text that was made plain (``writing.plainly``), in order."""
    dates = [m.span() for m in _DATE.finditer(text)]
    dates = [(a, b) for a, b in dates if not re.fullmatch(r"\d{1,3}(?:\.\d{3}){2}", text[a:b])]
    found: list[Number] = []
    at = 0
    while match := _ATOM.search(text, at):
        at = match.end()
        inside = next(((a, b) for a, b in dates if a < match.end() and match.start() < b), None)
        if inside:
            at = max(at, inside[1])
            found.append(Number(inside[0], at, None, ""))
            continue
        start, sign = match.start(), match.group("sign") or ""
        if sign and not _is_sign(text, start, sign):
            start += len(sign)
            sign = ""
        before = text[max(0, start - 40) : start]
        if re.search(r"[A-Za-z_\u00c0-\u024f\u0370-\u03ff]\Z", before):
            continue  # x2, B12: a name
        found.append(_read(text, match, start, sign, before))
        at = max(at, found[-1].end)
    return found


def number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else: "1,234", "-0.5", "3/4", "\\frac{3}{4}", "2 * 10^3".
    None for anything else."""
    one = _only(text)
    return None if one is None or one.plain is None or one.unit else value(one.plain)


def value(plain: str) -> Fraction | None:
    """The value of a plain number; None where it divides by zero."""
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None


def is_number(text: str) -> bool:
    """Whether a text is one number and nothing else, written so that it cannot be misread: "1,234", "-0.5", "3/4"."""
    return number(text) is not None and not re.search(r"(?<!\d)\d{1,3},\d{1,2}(?!\d)|(?<!\d)0,\d", text)


@lru_cache(maxsize=4096)  # a task's gold answer is read with each of its replies
def _only(text: str) -> Number | None:
    text = text.strip()
    text = plainly(text).strip() if len(text) <= LONGEST else ""  # a part of it would be another number
    if not text or len(text) > LONGEST:
        return None
    found = numbers(text)
    if len(found) != 1 or found[0].start != 0 or text[found[0].end :].strip() not in ("", found[0].unit):
        return None
    return found[0]


def _is_sign(text: str, start: int, sign: str) -> bool:
    """Whether what stands before a number is its sign, and no operator between two, no dash after a word."""
    before = text[max(0, start - 4) : start]
    if sign[-1:] == " " and sign.strip() in "-+":
        return not before.strip() or before.rstrip(" ")[-1:] in ":=\n"
    return not re.search(r"[\w)\]}%.]\Z", before) or sign[0] not in "-+"


def _read(text: str, match: re.Match[str], start: int, sign: str, before: str) -> Number:
    end, plain = match.end(), _plain(match)
    unit = sign.strip("-+ \n\t\xa0").casefold()
    unit = _CODES.get(unit, unit)
    apart = _SIGN_APART.search(text, max(0, start - _NEAR), start)
    again = apart is not None and "-" in sign and _IN_WORDS.match(apart.group())
    torn = (apart is not None and not again) or (bool(sign) and before.endswith("-"))
    negated = _NEGATED.search(before[-_NEAR:])
    if negated and not _OPERAND_BEFORE.search(before):
        start -= len(negated.group())
        before = before[: negated.start()]
        torn |= "-" in sign or re.search(r"[\d)}]\s*\Z", before) is not None or _AT_LEAST.search(before) is not None
    if plain is not None and ("-" in sign) != bool(negated):
        plain = f"-{plain}"
    after = text[end : end + 40]
    while large := _TIMES.match(after):
        times = _LARGE.get((large.group(1) or large.group(2) or large.group(3)).lower())
        amount = value(plain) if plain is not None else None
        plain = None if times is None or amount is None else str(amount * times)
        end += large.end()
        after = text[end : end + 40]
        torn |= _GOES_ON.match(after) is not None
    beyond = f" {after.lstrip(_MARKS)}" if after[:1] and after.lstrip(" \t")[:1] in _MARKS else after
    torn = bool(
        torn or (unit and unit in _SIGNS and re.match(r"\s?m(?![\w/²³])", after)) or _TIMES_APART.match(after)
        or (beyond is not after and _TIMES.match(beyond)) or _TIMES_UNKNOWN.match(beyond)
        or _PARTS_OF_ONE.match(beyond) or _VARIABLE_AFTER.match(beyond) or _LARGE_BEFORE.search(before[-_NEAR:])
        or (plain in ("1", "2", "3") and _A_PART.match(beyond))
    )  # fmt: skip
    if percent := _PERCENT.match(after):
        unit, end = "%", end + percent.end()
        after = text[end : end + 40]
    elif re.search(r"百分之\s?\Z", before):
        unit = "%"
    torn = bool(
        torn or _OPERAND_BEFORE.search(before) or _OPERAND_AFTER.match(after) or _MORE_BEFORE.search(before)
        or _MORE_AFTER.match(after) or _NOT_QUITE.search(before[-_NEAR:])
        or (re.match(r"[A-Za-z_]", after) and not _GLUED.match(after)) or _of_two_units(before, after)
    )  # fmt: skip
    return Number(start, end, None if torn else plain, unit)


def _of_two_units(before: str, after: str) -> bool:
    """Whether a number is the smaller part of one that is told in two units: "5 hours and 30 minutes"."""
    larger, own = _PART_BEFORE.search(before), _PART_AFTER.match(after)
    return larger is not None and own is not None and larger[1].casefold() != own[1].casefold()


def _plain(match: re.Match[str]) -> str | None:
    part = match.groupdict()
    if part["mixed"]:
        whole, up, down = int(part["mixed"]), int(part["up"]), int(part["down"])
        return f"{whole * down + up}/{down}" if 0 < up < down else None
    if part["man"]:
        return f"{_joined(part['man'])}e{int(part['ten'])}"
    if part["exp"]:
        digits, e, ten = re.split("([eE])", part["exp"])
        return f"{_joined(digits)}{e}{ten}"
    if part["over"]:
        return _over(_joined(part["over"]), part["under"])
    if part["base"]:
        base, power = value(_joined(part["base"])), int(part["power"])
        return str(base**power) if base and abs(power) <= 30 and len(str(base)) <= 12 else None
    if part["of"]:
        return _over(part["part"], part["of"])
    return _joined(part["simple"])


def _over(above: str, below: str) -> str | None:
    if above.isdigit() and below.isdigit():
        return f"{above}/{below}"
    top, bottom = value(above), value(below)
    return None if top is None or not bottom else str(top / bottom)


def _joined(digits: str) -> str:
    """Without the marks between thousands, and with a decimal point."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits) and not digits.startswith("0,"):
        return digits.replace(",", "")
    if re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}\.\d{3},\d{1,2}", digits):
        digits = digits.replace(".", "")
    return re.sub(r"[ '\u00a0\u202f\u2009]", "", digits).replace(",", ".")
