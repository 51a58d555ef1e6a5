"""Option letters and yes or no, as models say them. What names several, or none clearly, is not read."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re
from typing import NamedTuple

from instar.extract.numbers import numbers

_DECORATION = r"[\s(\[{*\"'<“‘「《_`$]{0,6}"
_OPTION = r"(?:(?-i:[B-HJ-Z])|(?-i:[AI](?!\s+[a-z])))(?![A-Za-z0-9'’])"
_OPTION_ALONE = r"(?<![A-Za-z0-9'’])([B-HJ-Z]|A(?!\s+[a-z]))(?![A-Za-z0-9'’])"
_AND = (
    r"(?:or|and|as well as|along with|together with|plus|then|but also|also|versus|vs\.?|to|und|oder|sowie"
    r"|et|ou|ainsi que|y|o|u|e|ed|i|и|или|og|eller|och|en|of|dan|atau|ve|veya)"
)
"""Between two options in the languages of Europe. Only where another option follows."""
_JOINED = (
    rf"[)\]*\"']{{0,3}}\s*(?:,|/|&|;|、|\||\+|~|->|→|=>|⇒|-|–|—|\b{_AND}\b|和|或者?|与|與|及|以及|还有|跟|と|または|か|와|과|또는)"
    rf"\s*(?:{_AND}\s+)?(?:(?:option|choice)\s+|选项\s*)?[(\[*\"']{{0,3}}"
)
_ANOTHER = re.compile(rf"{_JOINED}{_OPTION}|[^\S\n]*[(\[]\s*(?:{_AND}\s+)(?:option\s+)?[(\[]?{_OPTION}", re.IGNORECASE)
_BESIDE = re.compile(
    rf"(?:[.*]{{0,3}}[^\S\n]+|[)\].:*]{{0,3}}[^\S\n]*\n\s*)[(\[*]{{0,3}}{_OPTION}[)\].*]{{0,3}}[^\S\n]*(?:\Z|\n)"
)
"""Another letter and nothing else beside the first, or on the next line. Not the option's own text: "A. E. coli",
"(B) N"."""
_CLOSED = re.compile(r"\s*(?:[)\].:,;!*\"'>}”’」》_`$。、,\u2600-\u27bf\u2b50\U0001f300-\U0001faff]|-\s|$|\n)")
_SAYS_ON = re.compile(
    r"\s+(?:(?:is|was|because|since|as|for|would|seems|must|should|with|by|but)(?![A-Za-z])"
    r"|\((?!\s*(?:or|and|maybe|perhaps|possibly|(?-i:[A-Z]))\b)|选项|是|[-–](?![A-Za-z]))",
    re.IGNORECASE,
)
_SORRY = re.compile(r"\b(?:or rather|rather|wait|actually|i mean|no,)\s", re.IGNORECASE)
_TAKEN_BACK = re.compile(
    r"\b(?:or rather|wait|actually|i mean(?:t)?|no(?=\s*[,.:;—–-]|\s+(?:wait|sorry|actually|it|[A-Z]\b))|nope"
    r"|correction|corrected|sorry|oops|scratch that|strike that|hold on|hmm+|on second thoughts?|my mistake|i was wrong"
    r"|changed my mind|let me re(?:think|do|consider|calculate|compute)|make that"
    r"|(?:it|that|this|answer) should (?:have been|be)|instead(?! of)"
    r"|nein|quatsch|moment(?= mal|,)|non|pardon|perdón|mejor dicho|anzi|нет|точнее)\b"
    r"|不对|不，|不,|更正|等等|等一下|错了|应该是|应为|改为|いや|訂正|아니",
    re.IGNORECASE,
)
"""What a reply says where it takes back what it said."""
_WRONG_AFTER_ALL = re.compile(
    r"\b(?:that|this|it|which)(?:['’]s|\s+is|\s+was)?\s*(?:n['’]t|not|wrong|incorrect|mistaken)\b"
    r"|(?<!no )(?<!any )(?<!without )\bmistake\b",
    re.I,
)
_INSTEAD = re.compile(rf"{_OPTION_ALONE}\W{{0,3}}\s+instead\b(?!\s+of)")
_ALSO = (
    re.compile(
        rf"\b(?:maybe|perhaps|possibly|(?:could|might|may)\s+(?:also\s+)?be)\s+(?:option\s+)?[(\[*]{{0,3}}{_OPTION_ALONE}"
    ),
    re.compile(
        rf"{_OPTION_ALONE}[)\]*]{{0,3}}\s+(?:(?:is|would be|could be|might be)\s+)?(?:also|equally)\s+"
        "(?!wrong|incorrect|false|not)"
    ),
)
"""Where a reply says that another option may be right as well."""
_SEEMS = r"(?:(?:is|was|seems|looks|must be|would be|ist|est|es|è)\s+)"
_CLAUSES = re.compile(r"[.;,:!?\n]\s*|[。，；：]|\b(?:but|yet|however|still)\b")
_ANOTHER_IS = re.compile(
    r"\s*(?:(?i:and|so|then|therefore|thus|hence|but|yet|however|still|actually|though|although|while|但?其实|但?实际上|但|而|所以|因此)"
    r"\s*)?(?i:option\s+|选项)?[(\[*\"'“]{0,3}([A-Z])[)\]*\"'”]{0,3}\s*"
    r"(?:(?:is|was|would\s+be|must\s+be)\s+(?:(?:the|a|an|more|most|actually|really|in\s+fact|[a-z]+ly)\s+){0,3}"
    r"(?:right|correct|best|better|answer|accurate|complete|appropriate)(?![-\w])"
    r"(?!\s+(?:only|if|when|in|about|for|that|than)\b)"
    r"|[:：]?\s*(?:是|才|更|最)*(?:正确|对|好)(?:的|答案|选项)*(?!\w))",
)
"""Where a reply says of another option that it is right: "A is tempting, but B is right"."""
_CONTRAST = re.compile(
    r"\b(?:but|yet|however|still|actually|sorry|in fact|really|fully|hmm+|oops|nevertheless|rather)\b"
    r"|但|而是|其实|实际上|才|更|最",
    re.IGNORECASE,
)
_IS_THE_ONE = re.compile(
    r"\b(?:better|answer|the\s+(?:(?:only|most|single|one)\s+)?(?:right|correct|best|accurate|complete|appropriate))"
    r"(?:\s+(?:answer|choice|option|one))?[\s*)\]]{0,3}(?:[.,;!。，\n]|\Z|because\b|since\b|as\b)"
    r"|(?:正确|对|好)的?(?:答案|选项)",
    re.IGNORECASE,
)
"""Where it is said to be the answer, and not only to be true: where the false one is asked for, the others are."""
_OF_ITSELF = re.compile(
    r"[)\]*:：\"'”]{0,3}\s*(?:(?!(?:as|this|its|plus|thus|besides|always)\b)"
    r"(?:was|might|could|would|may|can|must|should|[a-z]+s)\b"
    r"(?!\s+(?:the\s+)?(?:exception|odd|false|wrong|incorrect|untrue|not)\b)|(?:选项|项)?[是看似正对好也最更错不])",
)
"""Where the letter itself is spoken of, so that it may have been named only to say what it lacks."""
_ELSEWHERE = re.compile(
    r"[\W_]*(?:(?:if|were|had|of the|among|when|where|for|in|with|apart|besides)\b|如果|若)", re.IGNORECASE
)
_ASIDE = re.compile(
    rf"{_ELSEWHERE.pattern}|[\W_]*(?:(?:as|since|because|given|both|though|although|while|explanation|reason)\b"
    r"|(?-i:[A-Z]\b)|解析|解释|分析|理由|原因|因为)",
    re.IGNORECASE,
)
"""What may stand before a remark on another option. Where anything else does, it may be a change of mind."""
_CONCLUDES = re.compile(
    r"\b(?i:so|therefore|thus|hence)\b[,:]?\s+(?i:it(?:['’]s|\s+is)\s+)?(?i:option\s+)?[(\[*]{0,3}([A-Z])[)\]*]{0,3}\s*(?:!|\.(?!\s*[a-z])|\Z)"
)
_ENDS_WITH = re.compile(r"[^:;]*;\s+(?i:option\s+)?[(\[*]{0,3}([A-Z])[)\]*]{0,3}\s*[.!]?\s*")
_WRONG_NUMBER = re.compile(
    rf"[)\]*\"'”.]{{0,3}}\s*(?:[-–—,:(]\s*(?:which\s+)?{_SEEMS}?|{_SEEMS})(?:the\s+)?"
    r"(?:wrong|incorrect|false|not\s+(?:right|correct|the\s+(?:right|correct|answer)|it\b)"
    r"|falsch|faux|falso|incorrecto|nicht\b)|\s*[(\[]?\s*[❌❎✗✘✖✕🚫👎]"
    r"|\s*(?:是|为)?(?:错|不对|不正确|有误)|\s*(?:ではな|ではあり|は間違|は誤)",
    re.IGNORECASE,
)
_REACH = 80
"""Characters after a word that takes back in which the other letter stands."""
_NOT = re.compile(
    r"(?:\b(?:not|never|neither|except|cannot|(?<!no )(?<!without )(?<!without a )doubt|doubtful|unlikely"
    r"|rul(?:e[sd]?|ing)\s+out|instead\s+of|rather\s+than|(?:eliminat|exclud)(?:e[sd]?|ing))\b"
    r"|n['’]t\b|(?<!\w)(?:nicht|kein\w*|nie|niemals|weder|pas|aucun\w*|jamais|ni|non|não|mai|nunca|не|нет)\b"
    r"|不是|并非|而非|(?<!不得)不选|不(?:太?可能|能|应该?|该|会|宜|可以?|要|一定)(?:再)?(?:是|选择?|为)?|别选|勿选|没选)"
    r"(?:\s+(?:ist|war|est|es|è|é|la|die|der|think|believe|say|guess|feel|suppose|choose|pick|select|take|go|going|with|for|opt|vote|settle|on|stick|out|be|to|that|if|it|its|it['’]s|is|the"
    r"|answer|option|choice|letter|statement|correct|right|best|would|could|should|can|must))*"
    r"\s*(?:option|choice|answer|选项)?\s*[(\[*\"']{0,3}\Z|(?:不认为|不觉得)[^。\n,，]{0,10}\Z",
    re.IGNORECASE,
)
_DENIAL = (
    r"(?:wrong|incorrect|false|untrue|mistaken|invalid|impossible|implausible|improbable|unlikely|excluded|eliminated"
    r"|discarded|rejected|dismissed|disproved|refuted|ruled\s+out|out|not|never|cannot|(?:the|a)\s+(?:distractor|trap)|contradicted|less\s+(?:likely|plausible|probable|suitable)|falsch|nicht|kein\w*|faux|fausse"
    r"|pas|incorrecte?|falso|falsa|sbagliat[ao]|incorrett[ao]|incorrect[ao]|errad[ao]|erróne[ao]|неверн\w+|неправильн\w+)\b"
)
_INFERIOR = (
    r"(?:(?:far|much|way|just|simply|a\s+(?:bit|little)|somewhat|[a-z]+ly)\s+)?too\s+[a-z]"
    r"|(?:the\s+)?(?:worst\b|second(?:[\s-]+(?:best|most)\b|\s+choice\b))"
)
"""What says of an option that another is better. "The least likely" may be what was asked for."""
_WRONG = re.compile(
    r"(?-i:(?![)\].*\"']{0,3}\s*[A-Z][a-z]))(?:"  # not the option's own text: "A) Cannot be told"
    r"[*\"'”’]{0,4}\s*(?:"
    r"(?:(?:is|was|are|were|be|been|has|have|seems?|seemed|looks?|looked|appears?|sounds?|feels?|would|could|can|might|may"
    r"|must|should|will|turns?|turned|gets?|got|ist|wäre|est|es|è|é|sería|serait)\s+|it['’]s\s+)"
    rf"(?:(?:[a-z]+\s+){{0,3}}?(?:{_DENIAL}|[a-z]+n['’]t\b)|{_INFERIOR})|was\s+my\s+(?:first|initial)\b"
    r"|(?:is|was|does|do|did|ca|could|would|wo|should|has)n['’]t\b|cannot\b|(?:can|does|did|do)\s+not\b|fails?\b|makes\s+no\b"
    r"|n['’](?:est|était)\s+pas|(?:no|non|não)\s+(?:es|è|é)\b|не\b|неверн|неправильн)"
    r"|[)\].*\"']{1,3}\s*(?:(?:is|was|are)\s+(?:wrong|incorrect|false|not)\b|(?:is|was|does|ca)n['’]t\s+(?:be|fit|work|right|correct|it)\b"
    r"|(?:is|was|seems|looks|appears|would|must|can|could|has|had)\s+(?:[a-z]+\s+){0,3}?"
    r"(?:wrong|incorrect|false|mistaken|ruled\s+out|eliminated|excluded|out)\b|cannot\s+be\s+(?:right|correct|true|the|it)\b)"
    r"|[)\]*\"'”’]{0,4}\s*(?:"
    r"[-–—:(,.]\s*\(?(?:(?:that|this|it|which)(?:\s+(?:is|was|seems)|['’]s)\s+|nope|clearly\s+|definitely\s+|but\s+)?(?-i:(?![A-Z]))"
    r"(?:wrong|incorrect|not\s+(?:correct|right|true|the\s+(?:answer|right|correct|one)|it)|ruled\s+out|eliminated|excluded"
    r"|rejected|falsch|faux|falso|incorrecto)\b"
    rf"|(?:is|was|seems|looks)\b[^.;\n]{{0,40}}\bbut\s+(?:(?:it\s+)?(?:is|was|seems)\s+|it['’]s\s+)?{_DENIAL}"
    r"))"
    r"|\s*(?:选项|項|项|答案|这个?|的|之?说法|表述|描述|观点|一|是|为|被|也|应该?|可以?|明显|显然|均|都|则|就|,\s*)*"
    r"(?:不(?!仅|但|过)|错|誤|有误|误|排除|除外|无关|無関|×)"
    r"|\s*(?:は|が|も|という|의?은|는)?\s*(?:間違|違|誤|不正解|不適|正しくな|ではな|ではあり|じゃな|でな|除外)|\s*(?:[은는이가]\s*)?(?:아니|아닙|아닌|틀)"
    r"|\s*[(\[]?\s*[❌❎✗✘✖✕🚫👎]",
    re.IGNORECASE,
)
"""What says of the letter before it that it is no answer."""
_ABBREVIATED = re.compile(r"\.[A-Za-z](?![A-Za-z])")
"""Of "A.D. 70"."""
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
_CHANGED = r"(?:\W+(?:oh|well|hmm+|wait|sorry|actually|correction|i mean|or rather|rather|scratch that|hold on))"
_ENGLISH = re.compile(r"[\s*\"'“(\[$]{0,6}(yes|no|true|false)(?![A-Za-z0-9'’])", re.IGNORECASE)


_SOLUTION = "solution|lösung|soluci[oó]n|soluzione|solução"


class _Forms(NamedTuple):
    """How an option's letter is written, with the letters that there are."""

    last: str
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
        last=last,
        first=re.compile(rf"{_DECORATION}({any_case})(?![A-Za-z0-9'’\u00c0-\u024f])"),
        alone=re.compile(rf"{_DECORATION}({any_case})[\s)\].:,!*\"'>}}”’」》_`$。]{{0,6}}"),
        prefix=re.compile(
            rf"^\W{{0,3}}(?:(?:the|die|la|le) )?(?:correct )?(?:(?:{_SOLUTION}|option|choice|letter|opci[oó]n"
            rf"|opzione|opção|letra|lettre|lettera|buchstabe|вариант|选项)\s*[:：]?\s*)?(?=\W{{0,4}}{any_case}\W{{0,4}}\Z)",
            re.I,
        ),
        marked=re.compile(rf"(?<![A-Za-z0-9])(?:\(({of})\)|({of})[).:](?!\w)|\*\*({of})\*\*)"),
        said=(
            re.compile(
                r"(?i:\b(?:choice|option|letter|statement)(?:\s+is)?|\banswer(?:\s+is|:)"
                r"|\b(?:(?-i:is)|(?:would|must|should|will)\s+be|choose|chose|pick|select|take|selected)(?:\s+option)?"
                r"|\b(?:go|going|went|stick|sticking)\s+with|\b(?:opt|vote|settle)\s+(?:for|on)|\b(?:wähle|choisis|elijo|scelgo|escolho)"
                rf"|\b(?:it|that)['’]s)\s*:?\s*{_DECORATION}({of})(?![A-Za-z0-9'’])"
            ),
            re.compile(
                r"(?i:(?:^|[.;!,\n]\s{0,4})(?:so|thus|therefore|hence)\b,?\s+(?:option\s+)?)"
                rf"[(\[*]{{0,3}}({of})(?=[)\]*]{{0,3}}\s+is\s+(?:the|my)\s+(?:(?:final|correct|right|best)\s+)?answer"
                r"\s*[.!]?\s*(?:\Z|\n))"
            ),
            re.compile(
                rf"(?:选择?|选项|答案(?:是|为|应该?是)?|应?为|是|故选)\s*:?\s*{_DECORATION}({of})(?![A-Za-z0-9])"
            ),
        ),
        bracketed=re.compile(rf"\(({of})\)"),
        line=re.compile(rf"^[\s(\[*]{{0,6}}({of})[)\].:*](?!\w)", re.MULTILINE),
    )  # fmt: skip


_FEW, _MANY = _forms("J"), _forms("Z")


def letter(text: str, marked: str | None, later: str = "", *, beyond_j: bool = False) -> str | None:
    """The one option that a text chooses. ``marked``: what follows its "Answer:", if it has one, and ``later`` what
    follows that line. ``beyond_j``: there are more than ten options; where there are not, the M of "the mass is M" is
    none."""
    forms = _MANY if beyond_j else _FEW
    text, marked = forms.prefix.sub("", text), None if marked is None else forms.prefix.sub("", marked)
    if marked is not None:
        said_there = _in_marked(marked, forms)
        return said_there if said_there is None or not _replaced(marked, later, said_there, forms) else None
    if alone := forms.alone.fullmatch(text):
        return alone.group(1).upper()
    said = [m for p in forms.said for m in p.finditer(text) if _chosen(text, m)]
    if said:
        last_said = max(said, key=lambda m: m.start(1))
        chosen = str(last_said.group(1))
        if _taken_back(text[last_said.end(1) :], chosen, forms):
            return None
        listed = {m.group(1) for m in forms.line.finditer(text)}
        return chosen if len(listed) != 1 or chosen in listed else None  # "A) blue ... but C": one of two
    last = _SORRY.split(text)[-1]
    for pattern, where in ((forms.bracketed, last), (forms.line, text)):
        told = [m for m in pattern.finditer(where) if _chosen(where, m)]
        found = {m.group(1) for m in told}
        if found:
            after = where[told[-1].end(1) :]
            return found.pop() if len(found) == 1 and not _taken_back(after, told[-1][1], forms) else None
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
        turns = rf"{_CHANGED}{{0,3}}\W+{other}(?=\s*(?:[.,;!?…—–]|-\s|\Z))"
        turns = rf"(?:{turns}|.{{0,{_REACH}}}?{_CHANGED}{{1,3}}\W+{other}\b)"
        if re.match(turns, text[match.end() :], re.IGNORECASE | re.DOTALL):
            return None
        return None if re.search(rf"\b(?:and|or)\s+{other}\b|/\s?{other}", rest, re.I) else match.group(1)
    text = text.lstrip(" \"'“‘「【(*")
    for word, says in _CHINESE_WORDS:
        if text.startswith(word):
            after = text[len(word) :]
            others = "|".join(w for w, s in _CHINESE_WORDS if s != says)
            if re.match(rf"的?\W{{1,4}}(?:(?:等等|等一下|不对|哦|啊)\W*)?(?:{others})的?\W*\Z", after):
                return None
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
    one = found.pop() if len(found) == 1 else None
    return one if one is None or not _taken_back(line[max(m.end() for m in said) :], one, forms) else None


def _first(text: str, forms: _Forms) -> str | None:
    """The letter that a text begins with, where it stands for an option and is the only one."""
    match = forms.first.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    if any(p.match(rest) for p in (_ANOTHER, _BESIDE, _WRONG, _ABBREVIATED)):
        return None
    if _taken_back(rest, match.group(1).upper(), forms):
        return None
    if _CLOSED.match(rest):
        return None if match.group(1).islower() and re.match(r"\s*[,;-]\s*\w", rest) else match.group(1).upper()
    if match.group(1).islower() or match.group(1) == "I":
        return None
    return (
        match.group(1)
        if _SAYS_ON.match(rest) or re.match(r"[\u3040-\u30ff\u4e00-\u9fff입이예가]", rest.lstrip())
        else None
    )


def _taken_back(after: str, chosen: str, forms: _Forms) -> bool:
    """Whether a text that chose an option goes on to take it back: for another, or by saying that it was a mistake."""
    for match in _TAKEN_BACK.finditer(after):
        then = after[match.end() : match.end() + _REACH]
        others = (m for m in re.finditer(_OPTION_ALONE, then) if m[1] != chosen and not _WRONG.match(then, m.end()))
        if any(not re.match(r"\s*=", then[m.end() :]) for m in others) or _WRONG_AFTER_ALL.search(then):
            return True
    said_too = [m for p in (_INSTEAD, *_ALSO) for m in p.findall(after[:_REACH])]
    near = after[: 2 * _REACH]
    ends = [_ENDS_WITH.fullmatch(near)] if near == after else []
    said_too += [m[1] for m in (*_CONCLUDES.finditer(near), *ends) if m and m[1] <= forms.last]
    said_too += _said_right(near, chosen.upper(), forms)
    return any(m != chosen.upper() for m in said_too)


def _said_right(near: str, chosen: str, forms: _Forms) -> list[str]:
    """The other options that are said to be right instead of the chosen one. "A is correct, C is correct" takes back
    nothing: that one may have been asked for as the wrong one."""
    starts = [m.end() for m in _CLAUSES.finditer(near)]
    found = [m for at in starts if (m := _ANOTHER_IS.match(near, at)) and m[1] <= forms.last and m[1] != chosen]
    if not found:
        return []
    before = re.split(r"[.;!?\n。；]", near[: found[0].start(1)])[-1]
    new = bool(before.strip(" ,:，：()[]*\"'“—–-")) and not _ASIDE.match(before)
    if new or _OF_ITSELF.match(near) or _CONTRAST.search(near[: found[0].end()]):
        return [m[1] for m in found]
    if _ELSEWHERE.match(before):
        return []
    return [m[1] for m in found if _IS_THE_ONE.search(near[m.end(1) : m.end() + 12])]


def denied(after: str, plain: str) -> bool:
    """Whether what follows a number denies it, or takes it back for another one. "7 is not prime" denies no 7, nor does
    "Wait, let me check: 3 + 4 = 7"."""
    if _WRONG_NUMBER.match(after):
        return True
    then = [after[m.end() : m.end() + _REACH] for m in _TAKEN_BACK.finditer(after)]
    last = [found[-1].plain for text in then if (found := numbers(text))]
    return any(x != plain for x in last) or any(map(_WRONG_AFTER_ALL.search, then))


def _replaced(line: str, later: str, chosen: str, forms: _Forms) -> bool:
    """Whether what follows the line of an answer names another option alone, or begins a sentence that takes back."""
    if any(
        m != chosen for m in re.findall(rf"(?m)^[^\S\n]*[(\[*]{{0,3}}{_OPTION_ALONE}[)\].*]{{0,3}}[^\S\n]*$", later)
    ):
        return True
    later = re.sub(r"\s*\n\s*", "\n", later)
    begins = re.compile(rf"(?:\A\s?|[.!?…]\s?|\n|[-–—]\s)(?:oh,?\s+)?(?={_TAKEN_BACK.pattern})", re.IGNORECASE)
    return any(_taken_back(later[m.end() : m.end() + _REACH], chosen, forms) for m in begins.finditer(later))


def _chosen(text: str, match: re.Match[str]) -> bool:
    """Whether a letter is chosen there, and not one of several, denied, or an article ("is A dog")."""
    group = next(i for i, g in enumerate(match.groups(), 1) if g)
    before, after = text[: match.start(group)][-60:], text[match.end(group) :]
    if _NOT.search(before) or _WRONG.match(after) or _EITHER.search(before) or _ANOTHER.match(after):
        return False
    if _ABBREVIATED.match(after):
        return False
    if re.search(r"(?<![A-Za-z])[A-HJ-Z]\s*[)\]]?\s*(?:,|/|\bor\b|\band\b|或|和)\s*[(\[]?\Z", before):
        return False
    return not (match.group(group) in "AI" and re.match(r"\s+[a-z]", after) and not _SAYS_ON.match(after))
