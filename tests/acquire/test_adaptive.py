import asyncio

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.feedback.vote import Vote, count
from instar.acquire.solutions.adaptive import Adaptive
from instar.protocols import Judge
from instar.records import Feedback, Finish, Mark, Policy, Reply, Weights
from tests.acquire.things import task


class Script:
    """Answers with the texts it was given, one after the other."""

    def __init__(self, *texts):
        self.policy = Policy(weights=Weights(place="scripted", digest="d")).identified()
        self.texts, self.asked = texts, []

    async def ask(self, messages, *, n=1, sampling):
        done = sum(self.asked)
        self.asked.append(n)
        about = {"policy": self.policy.id, "engine": "fake", "precision": "f32", "finish": Finish.stop}
        return [Reply(text=t, **about) for t in self.texts[done : done + n]]


class IsSeven(Judge):
    """Right when the text is 7; remembers nothing and needs no process."""

    name = "test_is_seven"

    async def __call__(self, task, solutions, models):
        rights = [s.text == "7" for s in solutions]
        return [
            Feedback(
                solution=s.id, score=float(r), mark=Mark.right if r else Mark.wrong, source="verifier", answer=s.text
            )
            for s, r in zip(solutions, rights, strict=True)
        ]


def attempt(op, *texts):
    model = Script(*texts)
    return asyncio.run(op(task(answer="7"), {"self": model})), model.asked


def test_it_stops_asking_once_enough_answers_are_right():
    op = Adaptive(judge=IsSeven(), batch=2, most=8, stop_after_right=2)
    made, asked = attempt(op, *"77888888")
    assert asked == [2]
    assert [e.feedback.mark for e in made] == [Mark.right, Mark.right]
    assert {(e.feedback.evidence["asked"], e.feedback.evidence["most"]) for e in made} == {(2, 8)}
    assert attempt(op, *"87878888")[1] == [2, 2]


def test_it_asks_for_no_more_than_the_most_and_cuts_the_last_batch():
    op = Adaptive(judge=IsSeven(), batch=3, most=7, stop_after_right=2)
    made, asked = attempt(op, *"8888887")
    assert asked == [3, 3, 1]
    assert len(made) == 7
    assert len({e.solution.id for e in made}) == 7
    assert all(e.feedback.solution == e.solution.id for e in made)


def test_it_stops_when_the_vote_is_decided_with_the_majority_that_all_samples_would_give():
    op = Adaptive(judge=Vote(), batch=2, most=8, stop_when_decided=True)
    texts = "77777888"
    made, asked = attempt(op, *texts)
    assert asked == [2, 2, 2]  # 4 of 4: four more could tie it; 5 against 1: two more cannot
    assert made[0].feedback.evidence["majority"] == "7" == count(texts).majority
    assert [e.feedback.mark for e in made][-1] is Mark.wrong


def test_it_goes_on_while_the_vote_is_open():
    op = Adaptive(judge=Vote(), batch=2, most=8, stop_when_decided=True)
    assert attempt(op, *"78787878")[1] == [2, 2, 2, 2]


def test_without_a_reason_to_stop_or_with_one_that_a_vote_cannot_give_it_is_refused():
    with pytest.raises(ValueError, match="never stop early: set stop_after_right or stop_when_decided"):
        Adaptive()
    with pytest.raises(ValueError, match="change with every vote: set stop_when_decided"):
        Adaptive(judge=Vote(), stop_after_right=2)
    assert isinstance(Adaptive(stop_after_right=1).judge, Verify)
