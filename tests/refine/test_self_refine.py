"""Self-Refine: its prompts and their order, its stops, and what of it may be trained on."""

import asyncio

import pytest

from instar.refine.corrections.self_refine import SelfRefine, says, score_in
from tests.refine.talking import Scripted, draft, turns

ASK = "Give feedback on your answer. Check it step by step. Name each error, where it is and how to mend it. If there is no error, say: It is correct. End with 'Score: N/10'."  # noqa: E501 - the prompt as it is
REFINE = "Use this feedback to write an improved answer to the problem, in the form that was asked for."


def refine(model, experience=None, **fields):
    (found,) = asyncio.run(SelfRefine(**fields)(experience or draft(), {"self": model}))
    return found


def test_feedback_then_refinement_then_feedback_again_with_the_whole_history_in_the_prompt():
    model = Scripted("3 + 4 is not 8. Score: 2/10", "3 + 4 is 7. Answer: 7", "It is correct. Score: 10/10")
    found = refine(model)
    begun = [("system", "Be brief."), ("user", "What is 3 + 4?"), ("assistant", "3 + 4 is 8. Answer: 8")]
    first = [*begun, ("user", ASK)]
    second = [*first, ("assistant", "3 + 4 is not 8. Score: 2/10"), ("user", REFINE)]
    third = [*second, ("assistant", "3 + 4 is 7. Answer: 7"), ("user", ASK)]
    assert model.shown == [first, second, third]
    assert [s.temperature for s in model.sampled] == [0.7, 0.0, 0.7]
    assert found.text == "3 + 4 is 7. Answer: 7"
    assert found.flags == ()
    assert (found.policy, found.engine, found.task) == (model.policy.id, "fake", "t")


def test_only_the_last_answer_may_be_trained_on_and_only_it_is_the_text():
    found = refine(Scripted("Wrong. Score: 2/10", "Answer: 7", "It is correct."))
    assert turns(found) == [
        ("draft", "3 + 4 is 8. Answer: 8", False),
        ("critique", "Wrong. Score: 2/10", False),
        ("draft", "Answer: 7", False),
        ("critique", "It is correct.", False),
        ("assistant", "Answer: 7", True),
    ]
    assert found.text == "Answer: 7"
    assert found.turns[-1].token_ids == (9,)


def test_tokens_are_those_of_the_correction_and_not_of_the_draft():
    found = refine(Scripted("Wrong. Score: 2/10", "Answer: 7", "It is correct."))
    assert (found.tokens, found.prompt_tokens) == (3 + 2 + 3, 30)


def test_an_answer_that_its_feedback_accepts_at_once_stays_as_it_was():
    model = Scripted("It is correct. Score: 10/10")
    found = refine(model)
    assert len(model.shown) == 1
    assert found.flags == ("unchanged",)
    assert (found.text, found.policy, found.turns[-1].token_ids) == ("3 + 4 is 8. Answer: 8", "drafter", (1, 2))


def test_the_best_scored_draft_is_the_answer_and_not_the_last():
    model = Scripted("Fair. Score: 4/10", "Answer: 7", "Good. Score: 9/10", "Answer: 6", "Bad. Score: 1/10")
    found = refine(model, attempts=3)
    assert found.text == "Answer: 7"
    assert found.flags == ("unresolved",)
    assert model.requests() == [ASK, REFINE, ASK, REFINE, ASK]  # the last round only scores


def test_in_a_tie_the_later_draft_wins_and_a_draft_without_a_score_never_beats_one_with():
    assert refine(Scripted("Score: 5/10", "Answer: 7", "Score: 5/10"), attempts=2).text == "Answer: 7"
    found = refine(Scripted("Score: 0/10", "Answer: 7", "I cannot say."), attempts=2)
    assert (found.text, found.flags) == ("3 + 4 is 8. Answer: 8", ("unchanged", "unresolved"))


def test_without_scores_the_latest_draft_is_the_answer_and_the_last_round_rewrites_too():
    model = Scripted("Hm.", "Answer: 6", "Hm.", "Answer: 7")
    assert refine(model, attempts=2, scale=None).text == "Answer: 7"
    assert "Score" not in model.requests()[0]


def test_an_empty_refinement_replaces_nothing():
    found = refine(Scripted("Wrong.", "  "), attempts=1, scale=None)
    assert (found.text, found.flags) == ("3 + 4 is 8. Answer: 8", ("unchanged", "unresolved"))


@pytest.mark.parametrize(
    ("feedback", "stops"),
    [
        ("It is correct.", True),
        ("I checked each step: it is correct", True),
        ("Well done!\n\n**It is correct.** Score: 9/10", True),
        ("I doubt that it is correct.", False),
        ("It is not correct.", False),
        ("It is correctable.", False),
        ("", False),
    ],
)
def test_it_stops_only_where_a_sentence_begins_with_the_phrase(feedback, stops):
    assert says(feedback, "it is correct") is stops


@pytest.mark.parametrize(
    ("feedback", "score"),
    [("Score: 7/10", 0.7), ("score - 7.5 / 10.", 0.75), ("Score: 3/10 ... Score: 8/10", 0.8), ("Score: 11/10", None),
     ("7/10", None), ("Score: 7/100", None), ("Score: " + "9" * 9999 + "/10", None), ("", None)],
)  # fmt: skip
def test_a_score_is_read_strictly(feedback, score):
    assert score_in(feedback, 10) == score


def test_the_gold_answer_is_never_shown():
    model = Scripted("Wrong.", "Answer: 7", "It is correct.")
    refine(model)
    assert "gold" not in str(model.shown)
