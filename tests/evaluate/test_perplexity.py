"""The budget of text: a rise within the margin passes, one that is not ruled out does not, marks never do."""

from __future__ import annotations

import math

import pytest

from instar.acquire.tasks.guard_texts import texts
from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.errors import ConfigError
from instar.evaluate.perplexity import PerplexityBudget
from instar.records import Exam, Interval, Likelihood, Likely, Report
from instar.report.texts import told


def of(rises: list[float], policy: str = "i1:p", tokens: int = 40, id: str = "i1:a") -> Likelihood:
    """Texts whose perplexity is 8, risen by these shares."""
    found = tuple(
        Likely(task=f"i1:{i}", tokens=tokens, nats=-tokens * (math.log(8) + math.log1p(r))) for i, r in enumerate(rises)
    )
    return Likelihood(id=id, policy=policy, suite="guard:text", engine="native", precision="f32", texts=found)


BASE = of([0.0] * 10, "i1:base")


def test_a_rise_within_the_margin_is_ruled_out_and_a_larger_one_refuses_the_candidate() -> None:
    kept = PerplexityBudget().weigh(BASE, of([0.0, 0.01, 0.02, 0.03, -0.01] * 2))
    assert kept.promoted
    assert kept.checks[0].numbers["before"] == pytest.approx(8)
    assert "a rise of more than 5 % since the base is ruled out" in kept.reason
    lost = PerplexityBudget().weigh(BASE, of([0.0, 0.01, 0.02, 0.2, 0.1] * 2))
    assert not lost.promoted
    assert lost.reason.startswith("Not promoted. guard:text: a perplexity of 8.00 by the base, 8.5")
    assert (lost.incumbent, lost.incumbent_report, lost.candidate) == ("i1:base", "i1:a", "i1:p")


def test_a_mean_within_the_margin_is_not_enough_where_the_bound_is_not() -> None:
    unsure = PerplexityBudget().weigh(BASE, of([0.3, -0.2] * 5))
    rise, bound = unsure.checks[0].numbers["rise"], unsure.checks[0].numbers["bound"]
    assert rise is not None
    assert bound is not None
    assert rise < 0.05 < bound
    assert not unsure.promoted


def test_other_texts_and_marks_of_an_exam_never_pass() -> None:
    assert "other texts" in PerplexityBudget().weigh(BASE, of([0.0] * 9)).reason
    exam = Exam(suite="gate", solve="i1:s", judge="i1:j", engine="e", precision="f32", items="i1:x", n=1)
    report = Report(policy="i1:p", exam=exam, outcomes=(), metrics={"mean@1": Interval(value=1, low=1, high=1, n=1)})
    marks = PerplexityBudget()(report, report)
    assert not marks.promoted
    assert "was handed the marks of an exam" in marks.reason


def test_the_texts_are_many_and_plain_and_each_stands_behind_its_prompt() -> None:
    found = texts()
    own = [t.private["text"] for t in found]
    assert len({t.canonical for t in found}) == len(set(own)) == 30
    assert all(25 <= len(text.split()) <= 50 and text.isascii() for text in own)
    assert found[0].question == "Write a few sentences about rivers."


def test_it_is_a_guard_by_one_word_or_by_its_margin_and_refused_where_nothing_can_be_scored() -> None:
    one = plan(read("lifelong", ['suites.guard:text="bundled"', 'suites.guard:facts="bundled"']))
    assert (one.run.text_budget, list(one.run.suites)) == (PerplexityBudget(), ["guard:facts"])
    assert one.run.text_budget in one.ops()
    assert one.resolved()["text_budget"]["margin"] == 0.05
    other = plan(read("rest_em", ["suites.guard:text.margin=0.1"]))
    assert other.run.text_budget == PerplexityBudget(margin=0.1)
    remote = ["self_refine", "model=openai:m@http://localhost:1/v1", "learn=false"]
    for (recipe, *sets), why in ((["rest_em", "model=scripted"], "is a table"), (remote, "is on a server")):
        with pytest.raises(ConfigError, match=f"guard:text is measured by log-probabilities, .* {why}") as refused:
            plan(read(recipe, [*sets, 'suites.guard:text="bundled"']))
        assert "smollm2-135m" in refused.value.hint
    with pytest.raises(ConfigError, match="roles_sft trains adapters of other roles: nothing could be lost on it"):
        plan(read("autoact", ['suites.guard:text="bundled"']))
    assert "text_budget" not in plan(read("rest_em")).resolved()


def test_what_a_run_ends_with_is_said_in_one_sentence() -> None:
    figures = {"name": "guard:text", "base": 8.0, "final": 8.2, "rise": 0.025, "low": 0.01, "high": 0.04, "n": 10,
               "margin": 0.05}  # fmt: skip
    assert told(figures)["sentence"] == (
        "guard:text: perplexity 8.00 -> 8.20, +2.5 % (95 % interval +1.0 to +4.0, n = 10 texts): a rise of more than "
        "5 % is ruled out"
    )
    assert told({**figures, "high": 0.06})["tone"] == "bad"
