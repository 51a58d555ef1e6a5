"""Filters of paths: clear majorities, right calculations, different calculations."""

import pytest

from instar.records import Feedback, Mark
from instar.refine.filters.calculation_right import CalculationRight
from instar.refine.filters.distinct_equations import DistinctEquations
from instar.refine.filters.inverted import Inverted
from instar.refine.filters.margin_at_least import MarginAtLeast
from tests.refine.test_filters import item, kept


def voted(id, score, margin=0.5, share=0.6, source="vote"):
    mark = Mark.unscored if score is None else Mark.right if score == 1 else Mark.wrong
    evidence = {"margin": margin, "share": share}
    said = Feedback(
        solution=id, score=score, mark=mark, source=source, evidence=evidence if source == "vote" else {},
        comment="a tie" if score is None else "",
    )  # fmt: skip
    return item(id).model_copy(update={"feedback": said})


def test_all_paths_to_a_clear_majority_are_kept_and_nothing_else():
    items = [voted("a", 1.0), voted("b", 1.0), voted("c", 0.0), voted("d", None)]
    assert kept(MarginAtLeast(), items) == ["a", "b"]
    assert MarginAtLeast()(items)[3].reason == "unscored: a tie"
    assert kept(Inverted(inner=MarginAtLeast()), items) == ["c", "d"]


def test_a_margin_or_share_below_the_threshold_is_dropped_with_its_number():
    items = [voted("a", 1.0, margin=0.1), voted("b", 1.0, margin=0.2, share=0.3)]
    assert kept(MarginAtLeast(minimum=0.2), items) == ["b"]
    assert MarginAtLeast(minimum=0.2)(items)[0].reason == "margin 0.1 is below 0.2"
    assert MarginAtLeast(share=0.5)(items)[1].reason == "share 0.3 is below 0.5"


def test_a_verifiers_word_is_no_vote():
    items = [voted("a", 1.0, source="verifier"), item("b", judged=False)]
    assert [d.reason for d in MarginAtLeast()(items)] == ["unscored: no vote was held on it"] * 2


def test_a_threshold_that_no_vote_can_reach_is_refused():
    with pytest.raises(ValueError, match="less than or equal to 1"):
        MarginAtLeast(minimum=1.5)


def test_one_wrong_calculation_on_the_way_drops_an_answer_that_is_right():
    items = [item("a", text="3 + 4 = 7. 7 * 2 = 14"), item("b", text="3 + 4 = 8\n7 * 2 = 14"), item("c", text="14")]
    assert kept(CalculationRight(), items) == ["a", "c"]
    reasons = [d.reason for d in CalculationRight()(items)]
    assert reasons == ["all 2 calculations hold", "a calculation is wrong: 3+4=8", "it shows no calculation"]


def test_the_tolerance_of_a_calculation_is_a_thousandth():
    items = [item("a", text="10 / 3 = 3.333"), item("b", text="10 / 3 = 3.33")]
    assert kept(CalculationRight(), items) == ["a"]
    assert kept(CalculationRight(tolerance=0.01), items) == ["a", "b"]


def test_one_path_for_each_list_of_calculations_of_a_task():
    items = [
        item("a", text="3 + 4 = 7"),
        item("b", text="we have 3+4 = 7"),
        item("c", text="4 + 3 = 7"),
        item("d", text="3 + 4 = 7", task="u"),
        item("e", text="seven"),
        item("f", text="seven!"),
    ]
    found = kept(DistinctEquations(), items)
    assert len(found) == 4
    assert {"c", "d"} < set(found)
    assert len({"a", "b"} & set(found)) == 1
    assert len({"e", "f"} & set(found)) == 1


def test_of_equal_lists_the_path_most_unlike_the_others_stays():
    items = [
        item("a", text="4 + 3 = 7"),
        item("b", text="3 + 4 = 7"),
        item("c", text="Both hands together, without the thumbs: 3 + 4 = 7"),
    ]
    assert kept(DistinctEquations(), items) == ["a", "c"]
    assert DistinctEquations()(items)[1].reason == "another path has the same: calculations 3+4=7"
    assert kept(DistinctEquations(), items[1:]) == ["b"]  # nothing to be unlike: the earlier one


def test_no_items_give_no_decisions():
    for filter in (MarginAtLeast(), CalculationRight(), DistinctEquations()):
        assert filter([]) == []
