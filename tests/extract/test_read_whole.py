"""A reply whose answer says gold only in part, or takes it back, beside the plain ones that say it."""

# ruff: noqa: RUF001 - look-alike signs are meant
import time

import pytest

from instar.acquire.feedback.checkers import numeric
from instar.extract import extract, number, says

SIGNS = [
    "$-(9)$", r"$-\left(9\right)$", r"$-\{9\}$", "$-{9}$", r"\(-(9)\)", "- (9)", "‐9", "‑9", "−9", "﹣9", "－9", "⁻9",
    "➖9", "-  9", "–  9", "minus (9)", "minus **9**", "-**9**", "minus-9", "--9", "(-) 9", "neg. 9", "minus nine (9)",
    "moins 9", "menos 9", "meno 9", "минус 9", "マイナス9", "마이너스 9", "負9", "零下9度", "plus ou moins 9",
    "au moins 9", "al menos 9", "the opposite of 9",
]  # fmt: skip
FORMULAS = [
    r"$\frac{9}{x}$", r"$\frac{9}{\pi}$", r"$\frac{x}{9}$", r"$\frac9x$", "9 / pi", "$f(9)$", "f (9)", "g(x, 9)",
    "C(9,2)", "9 x", "9x", "9 i", "9 y", "9 xy", "9 x_1", "9 f(x)", "**9** x", r"$9\,\mathrm{i}$", "9·x", "9 sqrt(2)",
    r"9\sqrt2", "9 cos x", "9 (x + 1)", "9(x)", "$9!$", r"\(9!\)", "$(9)!$", "$9!!$", "9 factorial", r"$\log_2 9$",
    r"$0.\overline{9}$", "∛9", "9₁₆", "9 (base 16)", "9 over x", "9 choose 2", "9 < x", "9 to the power of 3",
]  # fmt: skip
MULTIPLES = [
    "9 Milliarden", "9 bn", "9M", "9 M", "9 T", "9MM", "9 mio", "9 Mrd.", "9 millones", "9 millions", "9만", "9억",
    "9천", "9兆", "9 crore", "9 lakh", "9 mil", "9 millón", "9 miljard",
    "9 milhões", "9 Dutzend", "$9m", "9 ダース", "9 billions", "9 quadrillion", "9-million", "9 тысяч", "9 млн",
    "9 Tsd.", "9 k", "9‰", "9 per mille", "9 thirds", "9 tenths", "9 halves", "9 E3", "9 and a half", "9个半", "9半",
    "9成", "9 point five", "**9** million", "9 **million**", "9 (million)", "9 (in millions)", "9 (x1000)", "9 dozens",
]  # fmt: skip


@pytest.mark.parametrize("said", SIGNS + FORMULAS + MULTIPLES)
@pytest.mark.parametrize("form", ["{}", "Answer: {}", "The answer is {}.", "It is {}"])
def test_a_number_with_a_sign_a_factor_or_a_formula_around_it_is_not_that_number(said, form):
    reply = form.format(said)
    assert not says(reply, "9"), extract(reply, "auto", "9")
    assert not numeric(extract(reply, "auto", "9") or "", {"answer": "9"})


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        ("9!", "9"), ("The answer is 9!", "9"), ("Answer: 9 m", "9"), ("It takes 9 min.", "9"), ("9 a day", "9"),
        ("Answer: 9 i.e. nine", "9"), ("9 I think", "9"), ("9 s", "9"), ("9 K", "9"), ("9 L", "9"), ("9 kg", "9"),
        ("Answer: 9 (nine)", "9"), ("- **9**", "9"), ("(9)", "9"), ("$f(3) = 9$", "9"), ("3 x 3 = 9", "9"),
        ("9 third graders", "9"), ("9 quarters", "9"), ("9 millionaires", "9"), ("9 months", "9"), ("9 miles", "9"),
        ("9 root vegetables", "9"), ("9千克", "9"), ("It costs $9! So cheap", "9"), ("Great! 9", "9"),
        ("The total – 9", "-9"), ("It is −9.", "-9"), ("- 9", "-9"), ("Answer: minus 9", "-9"), ("moins 9", "-9"),
        ("No, 9 is not prime", "9"), ("There are 9 wrong answers.", "9"),
        ("Ответ: минус 9", "-9"), ("マイナス9", "-9"), ("负9", "-9"), ("‑9", "-9"), ("9 Milliarden", "9000000000"),
        ("9 bn", "9000000000"), ("9 Mrd. Euro", "9000000000"), ("9 millones", "9000000"), ("9 mio", "9000000"),
        ("9만", "90000"), ("1 lakh", "100000"), ("9 crore", "90000000"), ("9 hundred thousand", "900000"),
        ("Die Antwort ist 9.", "9"), ("Die Antwort ist 9, weil 3 und 6 so viel sind.", "9"), ("Respuesta: 9", "9"),
        ("La respuesta es 9, porque 3 y 6 son 9 o 3 veces 3", "9"), ("Ответ: 9", "9"), ("Ответ — 9.", "9"),
        ("答え：9", "9"), ("答えは9です。3と6を足します。", "9"), ("La réponse est 9.", "9"), ("정답은 9입니다.", "9"),
    ],
)  # fmt: skip
def test_a_number_that_is_said_plainly_is_read(reply, gold):
    assert says(reply, gold), extract(reply, "auto", gold)


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        ("1 lakh", "1"), ("2 thirds", "2"), ("3 quarters", "3"), ("1 third", "1"), ("1 fifth of it", "1"), ("9 x 12",
        "12"), ("9 hundred thousand", "900"), ("2 million 500 thousand", "500000"), ("9 thousand five", "9000"),
        ("2万5千", "5000"), ("one hundred and 9", "9"), ("ten menos 9, 10 menos 9", "-9"), (r"\boxed{9!}", "9"),
    ],
)  # fmt: skip
def test_a_part_of_a_number_is_not_read(reply, gold):
    assert not says(reply, gold), extract(reply, "auto", gold)


def test_a_factorial_is_the_same_in_a_formula_and_outside():
    assert says("$5!$", "5!")
    assert says("5!", "$5!$")
    assert number("$5!$") is None


TAKEN_BACK = [
    "Answer: A. Wait, actually B", "A. No wait, B.", "A. Correction: B", "A... no, B", "Answer: A, or rather B",
    "Answer: A? No, B.", "A. Scratch that, B", "A. Oops, I meant B", "Answer: A... B instead",
    "I'd go with A. Actually, B.", "Answer: A\nWait, that's wrong. It should be B", "Answer: A\nCorrection: B",
    r"\boxed{A} no, B", "答案是A，不对，是B", "Answer: A\n\nHmm, wait. Looking again, the right one is B.",
    "答案：A。更正：B",
]  # fmt: skip
DENIED = [
    "Answer: A (incorrect)", "A would be wrong", "A seems wrong", "A was ruled out", "A is the wrong one", "A: wrong",
    "A, which is wrong", "A - wrong", "A can't be right", "A cannot be right", "A doesn't fit", "A fails",
    "A is unlikely", "A has been eliminated", "A must be wrong", "A is tempting but wrong", "(A) was ruled out",
    "Option A seems wrong", "Answer: A ✗", "A (✗)", "I wouldn't go with A", "A was my first guess, but no",
    "A ist falsch", "A n'est pas correcte", "A no es correcta", "A è sbagliata", "A неверно", "Die Antwort ist nicht A",
    "La réponse n'est pas A", "Ответ: не A", "Option A ist falsch", "A是错的", "A选项错误，B选项正确", "A项有误",
    "A说法错误", "A不符合", "A被排除", "A项错误", "A项不符合题意", "选项A有误", "Aは間違いです", "Aではありません",
    "答えはAではありません", "A가 아닙니다",
]  # fmt: skip
SEVERAL = [
    "Answer: A as well as B", "Answer: A\nB", "A\n\nB", "A -> B", "A → B", "A + B", "A B", "Answer: A. B", "A plus B",
    "A vs B", "A und B", "A ou B", "A y B", "A или B", "AまたはB", "正解はAとBです", "Die Antwort ist A oder B",
    "Answer: A, maybe B", "Answer: A but B also works", "Answer: A (could also be B)", "Answer: A.D. 70",
    "Answer: A.M.",
]  # fmt: skip


@pytest.mark.parametrize("reply", TAKEN_BACK + DENIED + SEVERAL)
def test_an_option_that_is_taken_back_denied_or_one_of_several_is_not_read(reply):
    assert extract(reply, "auto", "A") != "A"
    assert extract(reply, "choice") != "A"


@pytest.mark.parametrize(
    "reply",
    [
        "Die Antwort ist A", "Die richtige Antwort lautet: A", "La réponse est A.", "Réponse : A", "La respuesta es A",
        "La respuesta correcta es la A", "La risposta è A", "A resposta é A", "Ответ: A", "Правильный ответ — A",
        "答え: A", "答えはA", "正解はAです。", "正解は「A」です。", "정답은 A입니다.", "I'd go with A",
        "I'll go with option A", "My choice is A", "Answer: A because B is wrong", "Answer: A. B is wrong.",
        "Answer: A (not B)", "A is right, B is wrong", "Answer: A. False", "Answer: A) No",
        "Answer: A) Cannot be determined", "Answer: A: Not enough information", "Answer: A. It is not a mammal.",
        "Answer: A. E. coli", "Answer: A.Paris", "Answer: A - Paris", "A. No other option fits.",
        "Answer: A, which is not B", "Answer: A. Wait, let me check again. Yes, A.", "A项正确", "选A，因为B错误",
        "答案：A、巴黎", "Answer: A\n\nExplanation: B is wrong, it is not a mammal.",
        "Answer: A\nB) is wrong because it is a fish.", "Answer: A\nExplanation: Actually the whale is a mammal.",
        "B is ruled out. The answer is A.", "A seems best",
    ],
)  # fmt: skip
def test_an_option_that_is_said_plainly_is_read_in_other_languages_and_beside_others_that_are_denied(reply):
    assert extract(reply, "auto", "A") == "A"
    assert extract(reply, "choice") == "A"


@pytest.mark.parametrize(
    "piece", ["$9!", r"\(9!", "9 (x", "- (", "minus (", "9 hundred ", "A. Wait, ", "A\n", "A maybe ", "No, ", "A is "]
)
@pytest.mark.parametrize("gold", ["9", "A", "5 km", "x = 5"])
def test_none_of_it_takes_long(piece, gold):
    began = time.process_time()
    says(piece * 5_000, gold)
    says("Answer: A " + piece * 5_000, gold)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: 9. Wait, actually 8", "Answer: 9. No, 8.", "答案：9。不对，是8", "Answer: 9 (incorrect)",
        "Answer: 9 is wrong", "9 ❌", "9, which is wrong", "9 would be wrong", "nicht 9", "не 9", "non è 9",
        "moins de 9", "mehr als 9", "не менее 9",
    ],
)  # fmt: skip
def test_a_number_that_is_taken_back_or_denied_is_not_read(reply):
    assert not says(reply, "9")


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        ("Answer: B (False)", "B"), ("B: False", "B"), ("Answer: B - No", "B"), ("A: Wrong, Wrong", "A"),
        ("A - Wrong, Not wrong", "A"), ("Answer: (B) C", "B"), ("Answer: B) C", "B"), ("The answer is (B) N.", "B"),
        ("The answer is (B). The energy should be E = mc^2.", "B"), ("The answer is B. No, C is not right.", "B"),
        ("The answer is B. The bending moment M is largest there.", "B"), ("So 4 and 5 add up to 9.", "9"),
        ("Please see the result below\n\n9", "9"), ("Answer: 9. Each box should be filled with 3.", "9"),
        ("The answer is 9 m/s. At this moment it is not accelerating.", "9"), ("The answer is nine(9).", "9"),
        ("So it is 9. Let me re-read it to make sure there is no mistake.", "9"), ("It is minus five (-5).", "-5"),
        ("Answer: 42. Wait, let me verify: 40+2=42", "42"), ("Answer: 3 third graders", "3"), ("답은 9만큼입니다", "9"),
    ],
)  # fmt: skip
def test_what_an_option_says_and_what_explains_an_answer_take_nothing_back(reply: str, gold: str) -> None:
    assert extract(reply, "auto", gold) == gold


def test_a_reply_of_blank_lines_is_read_as_fast_as_another() -> None:
    began = time.perf_counter()
    assert extract("Answer: A" + "\n" * 3990 + "z", "choice") == "A"
    assert time.perf_counter() - began < 0.3
