import pytest

from instar.acquire.tasks.canonical import canonical, canonical_expression


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("3*4", "4*3"),
        ("1+2-3", "2-3+1"),
        ("1 + 2 =", "2+1"),
        ("3 × 4", "4*3"),  # noqa: RUF001 - look-alike signs are meant
        ("(1+2)*3", "3*(2+1)"),
        ("1+(2+3)", "3+2+1"),
        ("5-(2-1)", "5+1-2"),
        ("-3*4", "4*-3"),
        ("-(1+2)", "-1-2"),
        ("8/2*3", "3*8/2"),
        ("1.50+2", "2+1.5"),
        ("2-0", "2+0"),
    ],
)
def test_the_order_of_a_commutative_chain_does_not_make_another_question(a, b):
    assert canonical_expression(a) == canonical_expression(b) is not None


@pytest.mark.parametrize(
    ("a", "b"), [("3-4", "4-3"), ("8/2", "2/8"), ("1+2*3", "(1+2)*3"), ("12", "1*2"), ("8/(4/2)", "8/4/2"), ("-3", "3")]
)
def test_different_questions_stay_different(a, b):
    assert canonical_expression(a) != canonical_expression(b)


@pytest.mark.parametrize("text", ["__import__('os')", "2**9999999", "a+b", "", "1+", "True+1", "(" * 5000, "1 < 2"])
def test_what_is_not_plain_arithmetic_is_refused_and_never_evaluated(text):
    assert canonical_expression(text) is None


def test_a_deep_expression_falls_back_to_its_text():
    text = "1" + "+(1" * 300 + ")" * 300
    assert canonical(text, {"expression": text})


def test_families_share_one_namespace_for_expressions():
    a = canonical("State the final answer: 3 + 4 =", {"expression": "3 + 4", "source_dataset": "chain_sum"})
    b = canonical("Calculate 4 + 3.", {"expression": "4 + 3", "source_dataset": "basic_arithmetic"})
    assert a == b
    assert a.startswith("arith:")


def test_an_expression_that_the_question_does_not_show_is_not_what_is_asked():
    found = canonical("Make 7 out of 3 and 4.", {"expression": "3 + 4", "source_dataset": "countdown"})
    assert found == "text:make 7 out of 3 and 4."


def test_text_is_the_same_across_case_space_and_unicode_forms():
    assert canonical("Where  is\nCAFÉ?") == canonical("where is cafe\u0301?")
    assert canonical("Where is it?") != canonical("Where was it?")


def test_wording_order_and_letters_do_not_make_another_item():
    def gcd(*numbers):
        return canonical(f"GCD of {numbers}?", {"source_dataset": "gcd", "numbers": list(numbers)})

    assert gcd(12, 8) == gcd(8, 12) != gcd(8, 13)

    def equation(text, letter):
        return canonical(text, {"source_dataset": "simple_equations", "equation": text, "variable": letter})

    assert equation("8*q + 3 = 27", "q") == equation("8*z+3 = 27", "z") != equation("8*z+3 = 28", "z")
