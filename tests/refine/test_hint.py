import asyncio

import pytest

from instar.errors import EngineError
from instar.records import (
    Experience,
    Finish,
    Message,
    Polarity,
    Policy,
    Reply,
    Role,
    Sampling,
    Solution,
    Strategy,
    Task,
    Turn,
    Weights,
)
from instar.refine.corrections.hint import Hint
from instar.refine.filters.unflagged import Unflagged


class Model:
    """Says one thing, and remembers what it was shown."""

    def __init__(self, says="3 plus 4 is 7. Answer: 7", short=0):
        weights = Weights(place="scripted", digest="d")
        self.policy = Policy(weights=weights, system="Be brief.").identified()
        self.says, self.short, self.shown = says, short, []

    async def ask(self, messages, *, n=1, sampling):
        self.shown.append(list(messages))
        about = {"policy": self.policy.id, "engine": "fake", "precision": "f32", "finish": Finish.stop}
        return [Reply(text=self.says, token_ids=(1, 2), **about) for _ in range(n - self.short)]


def missed(**private):
    asked = Message(role=Role.user, content="What is 3 + 4?")
    return Experience(
        task=Task(id="t", messages=(asked,), ability="a", canonical="c", source="t", private=private),
        solution=Solution(
            id="s", task="t", turns=(Turn(text="8"),), policy="p", engine="e", precision="f32", sampling=Sampling(),
            finish=Finish.stop,
        ),
    )  # fmt: skip


def correct(experience, model=None, **fields):
    return asyncio.run(Hint(**fields)(experience, {"self": model or Model()}))


def test_the_model_sees_the_gold_answer_after_the_question_and_the_solution_answers_the_original_task():
    model, experience = Model(), missed(answer="sentinel-7")
    (found,) = correct(experience, model)
    [(system, user)] = model.shown
    assert system.content == "Be brief."
    assert user.content.startswith("What is 3 + 4?\n\n(Hint: the correct answer is sentinel-7.")
    assert experience.task.question == "What is 3 + 4?"
    assert found.task == "t"
    assert found.flags == ("rationalised",)
    assert (found.strategy, found.polarity) == (Strategy.rationale, Polarity.right)
    stored = found.model_dump_json()
    assert "sentinel" not in stored
    assert "hint" not in stored.lower()


def test_flags_are_part_of_what_a_solution_is_and_their_absence_is_no_content():
    (found,) = correct(missed(answer="7"))
    plain = found.model_copy(update={"flags": ()})
    assert plain.digest != found.digest
    assert "flags" not in plain.content()  # ledgers written before there were flags still verify
    assert Solution.model_validate_json(found.model_dump_json()).digest == found.digest


@pytest.mark.parametrize("private", [{}, {"answer": None}, {"answer": "  "}, {"answer": "a\nb"}, {"answer": "x" * 201}])
def test_without_a_short_gold_answer_nothing_is_asked(private):
    model = Model()
    assert correct(missed(**private), model) == []
    assert model.shown == []


@pytest.mark.parametrize(
    "says",
    ["As the hint says, 7.", "The HINT: 7", "I was told that the correct answer is 7. (Hint: the correct answer is 7."],
)
def test_a_rationale_that_gives_its_hint_away_is_flagged_and_can_be_dropped(says):
    (found,) = correct(missed(answer="7"), Model(says))
    assert found.flags == ("rationalised", "shows_hint")
    e = missed().model_copy(update={"solution": found})
    (decision,) = Unflagged()([e])
    assert (decision.kept, decision.reason) == (False, "flagged shows_hint")
    assert [d.kept for d in Unflagged()([missed()])] == [True]
    assert [d.kept for d in Unflagged(flag="rationalised")([e])] == [False]


def test_the_hint_is_found_by_its_words_where_it_is_worded_otherwise():
    own = "(Keep in mind that this gives {answer}.)"
    (found,) = correct(missed(answer="7"), Model("keep in mind  that this gives 7"), template=own)
    assert "shows_hint" in found.flags
    (found,) = correct(missed(answer="7"), Model("3 + 4 gives 7"), template=own)
    assert "shows_hint" not in found.flags


def test_braces_in_a_gold_answer_are_text():
    model = Model()
    correct(missed(answer="{answer}{0}"), model)
    assert "the correct answer is {answer}{0}." in model.shown[0][-1].content


def test_a_template_without_a_place_for_the_answer_and_too_few_replies_are_refused():
    with pytest.raises(ValueError, match=r"has no \{answer\}"):
        Hint(template="Try again.")
    with pytest.raises(EngineError, match="Asked for 2 replies and got 1"):
        correct(missed(answer="7"), Model(short=1), samples=2)
