"""From experiences to rows: what is trained on, and what is refused aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.chat import ChatTokenizer
from instar.errors import DataError
from instar.records import Experience, Finish, Turn, TurnKind
from instar.update.weights.layout.rows import rows_of
from tests.update.tiny import PIECES, STOP, Context, experience, make_model, policy_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path)


def spelled(ids: tuple[int, ...]) -> str:
    return "".join(PIECES[i] for i in ids)


def test_a_row_is_what_the_policy_is_shown_and_then_the_answer_with_its_stop(context: Context, folder: Path) -> None:
    policy = policy_in(context, folder)
    (row,) = rows_of(policy, [experience("1+1", "2")], folder, 100).kept
    assert spelled(row.ids[: row.prompt]) == "s:Add.\nu:1+1\na:"
    assert spelled(row.ids[row.prompt :]) == "2<end>"
    assert list(row.ids[: row.prompt]) == ChatTokenizer.load(folder).prompt_ids(
        policy.prompt(experience("1+1", "2").task)
    )


def test_the_ids_of_the_engine_are_used_as_they_are(context: Context, folder: Path) -> None:
    ids = (PIECES.index("2"), STOP)
    (row,) = rows_of(policy_in(context, folder), [experience("1+1", "2", ids=ids)], folder, 100).kept
    assert row.ids[row.prompt :] == ids


@pytest.mark.parametrize("ids", [(PIECES.index("3"), STOP), (10_000, STOP), (-1, STOP)])
def test_ids_that_do_not_say_what_the_turn_says_give_way_to_its_text(
    context: Context, folder: Path, ids: tuple[int, ...]
) -> None:
    (row,) = rows_of(policy_in(context, folder), [experience("1+1", "2", ids=ids)], folder, 100).kept
    assert spelled(row.ids[row.prompt :]) == "2<end>"


def test_an_answer_cut_off_by_its_length_does_not_teach_to_stop_there(context: Context, folder: Path) -> None:
    (row,) = rows_of(policy_in(context, folder), [experience("1+1", "2", finish=Finish.length)], folder, 100).kept
    assert spelled(row.ids[row.prompt :]) == "2"


def test_a_stop_token_written_out_in_an_answer_stays_text(context: Context, folder: Path) -> None:
    (row,) = rows_of(policy_in(context, folder), [experience("1+1", "2<end>3")], folder, 100).kept
    assert list(row.ids[row.prompt :]).count(STOP) == 1
    assert row.ids[-1] == STOP


def test_only_turns_of_the_model_that_may_be_trained_on_become_rows(context: Context, folder: Path) -> None:
    base = experience("1+1", "x")
    turns = (
        Turn(text="two?"),
        Turn(kind=TurnKind.partner, text="Sure?"),
        Turn(text="hint", train=False),
        Turn(kind=TurnKind.tool_result, text="2"),
        Turn(text="2"),
    )
    data = [Experience(task=base.task, solution=base.solution.model_copy(update={"turns": turns}))]
    rows = rows_of(policy_in(context, folder), data, folder, 200).kept
    assert [spelled(r.ids[r.prompt :]) for r in rows] == ["two?<end>", "2<end>"]
    assert "u:Sure?\na:hint\nu:2\na:" in spelled(rows[1].ids[: rows[1].prompt])


def corrected(*, train: bool) -> Experience:
    base = experience("1+1", "x")
    turns = (
        Turn(kind=TurnKind.draft, text="3", train=False),
        Turn(kind=TurnKind.critique, text="hint", train=train),
        Turn(text="2"),
    )
    return Experience(task=base.task, solution=base.solution.model_copy(update={"turns": turns}))


def test_a_corrected_answer_is_learned_as_the_answer_to_the_task_without_draft_and_critique(
    context: Context, folder: Path
) -> None:
    (row,) = rows_of(policy_in(context, folder), [corrected(train=False)], folder, 200).kept
    (plain,) = rows_of(policy_in(context, folder), [experience("1+1", "2")], folder, 200).kept
    assert row == plain


def test_a_critique_is_trained_on_only_where_its_turn_says_so(context: Context, folder: Path) -> None:
    rows = rows_of(policy_in(context, folder), [corrected(train=True)], folder, 200).kept
    assert [spelled(r.ids[r.prompt :]) for r in rows] == ["hint<end>", "2<end>"]


def test_a_row_that_is_too_long_is_refused_and_counted_never_cut(context: Context, folder: Path) -> None:
    rows = rows_of(policy_in(context, folder), [experience("1+1", "2"), experience("1+1", "2" * 90)], folder, 50)
    assert len(rows.kept) == 1
    assert rows.refused == {"longer than 50 tokens": 1}


def test_the_context_of_the_model_is_a_limit_too(context: Context, folder: Path) -> None:
    rows = rows_of(policy_in(context, folder), [experience("1+1", "2"), experience("1+1", "2" * 300)], folder, 1024)
    assert rows.refused == {"longer than 256 tokens": 1}


def test_no_data_and_only_refused_data_are_clear_errors(context: Context, folder: Path) -> None:
    policy = policy_in(context, folder)
    with pytest.raises(DataError, match="nothing to train on"):
        rows_of(policy, [], folder, 100)
    with pytest.raises(DataError, match=r"all of 2 .*1 x empty prompt or answer, 1 x longer than 50"):
        rows_of(policy, [experience("1+1", ""), experience("1+1", "2" * 90)], folder, 50)
