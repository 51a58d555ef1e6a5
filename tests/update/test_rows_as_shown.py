"""What was sampled under one prompt is learned under that prompt, token for token; what a corrector wrote, under the
plain one; and for plain samples both are the rows of before."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.chat import ChatTokenizer
from instar.records import (
    Exchange,
    Experience,
    Finish,
    Learn,
    Message,
    Prompt,
    Reply,
    Role,
    Said,
    Sampling,
    Turn,
    TurnKind,
)
from instar.update.weights.layout.rows import NOT_ALONE, Rows, rows_of
from tests.update.tiny import PIECES, STOP, Context, experience, make_model, policy_in

TOLD = (Message(role=Role.user, content="1+1. You may call[x]."),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path)


def spelled(ids: tuple[int, ...]) -> str:
    return "".join(PIECES[i] for i in ids)


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(PIECES.index(c) for c in text)


def asked(
    folder: Path, *texts: str, messages: tuple[Message, ...] | None = TOLD, reader: str | None = "its own",
    finish: Finish = Finish.stop, id: str = "e",
) -> Exchange:  # fmt: skip
    """A model call that was shown these messages; ``reader``: whose tokenizer read them (None: not known)."""
    chat = ChatTokenizer.load(folder)
    shown = tuple(chat.prompt_ids(messages or TOLD))
    prompt = None if reader is None else Prompt(reader=chat.reader if reader == "its own" else reader, ids=shown)
    end = (STOP,) if finish is Finish.stop else ()
    replies = tuple(
        Reply(text=t, finish=finish, policy="p", engine="e", precision="f32", token_ids=ids_of(t) + end) for t in texts
    )
    return Exchange(id=id, call="c", turn=0, ask="a", policy="p", engine="e", precision="f32", replies=replies,
                    role="self", messages=messages, sampling=Sampling(), prompt=prompt)  # fmt: skip


def answered(*turns: Turn, finish: Finish = Finish.stop) -> Experience:
    base = experience("1+1", "x", finish=finish)
    return Experience(task=base.task, solution=base.solution.model_copy(update={"turns": turns}))


def turn(e: Exchange, reply: int = 0, end: int | None = None, learn: Learn = Learn.as_asked, **more: object) -> Turn:
    said = Said(exchange=e.id, reply=reply, chars=end, learn=learn)
    r = e.replies[reply]
    fields = {"text": r.text[:end], "token_ids": r.token_ids if end is None else None, "said": said, **more}
    return Turn.model_validate(fields)


def rows(context: Context, folder: Path, data: list[Experience], *known: Exchange) -> Rows:
    context.calls = {e.id: e for e in known}
    return rows_of(policy_in(context, folder), data, folder, 250, context.exchanges)


def test_a_sample_is_learned_under_the_prompt_that_it_was_sampled_under(context: Context, folder: Path) -> None:
    e = asked(folder, "3", "2")
    (row,) = rows(context, folder, [answered(turn(e, 1))], e).kept
    assert e.prompt is not None
    assert row.ids[: row.prompt] == e.prompt.ids
    assert spelled(row.ids) == "u:1+1. You may call[x].\na:2<end>"


def test_a_plain_sample_has_the_row_that_it_had_before(context: Context, folder: Path) -> None:
    plain = policy_in(context, folder).prompt(experience("1+1", "2").task)
    e = asked(folder, "2", messages=plain)
    before = rows(context, folder, [answered(turn(e, said=None))])
    assert rows(context, folder, [answered(turn(e))], e) == before
    assert rows(context, folder, [answered(turn(e, learn=Learn.plainly))], e) == before


def test_what_a_corrector_wrote_is_learned_as_the_answer_to_the_task(context: Context, folder: Path) -> None:
    e = asked(folder, "2")
    (row,) = rows(context, folder, [answered(turn(e, learn=Learn.plainly))], e).kept
    assert spelled(row.ids) == "s:Add.\nu:1+1\na:2<end>"


def test_what_another_tokenizer_read_is_rendered_by_the_models_own(context: Context, folder: Path) -> None:
    e = asked(folder, "2", reader="another")
    e = e.model_copy(update={"prompt": Prompt(reader="another", ids=(5, 6, 7))})
    (row,) = rows(context, folder, [answered(turn(e))], e).kept
    assert spelled(row.ids) == "u:1+1. You may call[x].\na:2<end>"


def test_a_prompt_that_an_engine_had_rendered_elsewhere_is_rendered_here(context: Context, folder: Path) -> None:
    e = asked(folder, "2", reader=None)
    (row,) = rows(context, folder, [answered(turn(e))], e).kept
    assert spelled(row.ids) == "u:1+1. You may call[x].\na:2<end>"


def test_where_nothing_is_known_of_the_prompt_the_policys_own_is_taken(context: Context, folder: Path) -> None:
    e = asked(folder, "2", messages=None, reader=None)
    (row,) = rows(context, folder, [answered(turn(e))], e).kept
    assert spelled(row.ids) == "s:Add.\nu:1+1\na:2<end>"


def test_a_reply_that_was_cut_after_its_call_is_learned_up_to_there_and_then_to_stop(
    context: Context, folder: Path
) -> None:
    first, second = asked(folder, "call[1] made up"), asked(folder, "2", id="f")
    observed = Turn(kind=TurnKind.tool_result, text="1", train=False)
    data = [answered(turn(first, end=7, kind=TurnKind.tool_call), observed, turn(second))]
    found = rows(context, folder, data, first, second).kept
    assert [spelled(r.ids[r.prompt :]) for r in found] == ["call[1]<end>", "2<end>"]
    assert [r.ids[: r.prompt] for r in found] == [e.prompt.ids for e in (first, second) if e.prompt]


def test_for_a_policy_gradient_it_is_what_was_sampled_up_to_there_and_no_stop_that_nobody_said(
    context: Context, folder: Path
) -> None:
    first, second = asked(folder, "call[1] made up"), asked(folder, "2", id="f")
    data = [answered(turn(first, end=7, kind=TurnKind.tool_call), turn(second))]
    context.calls = {e.id: e for e in (first, second)}
    found = rows_of(policy_in(context, folder), data, folder, 250, context.exchanges, as_sampled=True).kept
    assert [spelled(r.ids[r.prompt :]) for r in found] == ["call[1]", "2<end>"]
    unknown = first.replies[0].model_copy(update={"token_ids": None})
    context.calls = {"e": first.model_copy(update={"replies": (unknown,)}), "f": second}
    found = rows_of(policy_in(context, folder), data, folder, 250, context.exchanges, as_sampled=True).kept
    assert [spelled(r.ids[r.prompt :]) for r in found] == ["call[1]", "2<end>"]


def test_a_reply_that_ran_into_its_limit_does_not_teach_to_stop_there(context: Context, folder: Path) -> None:
    e = asked(folder, "2", finish=Finish.length)
    (row,) = rows(context, folder, [answered(turn(e), finish=Finish.length)], e).kept
    assert spelled(row.ids[row.prompt :]) == "2"


def test_what_is_learned_plainly_beside_other_turns_is_refused_aloud(context: Context, folder: Path) -> None:
    e = asked(folder, "2")
    data = [answered(turn(e, learn=Learn.plainly), turn(e)), answered(turn(e))]
    found = rows(context, folder, data, e)
    assert found.refused == {NOT_ALONE: 1}
    assert found.source == [1]
