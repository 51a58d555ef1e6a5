import json

import pytest

from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import ConfigError, DataError

SEEDS = {"train": 1, "dev": 1, "gate": 1, "sealed": 1}


def write(path, rows):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return str(path)


def rows(n, start=0):
    return [{"question": f"What is number {i}?", "answer": i, "hint": f"h{i}"} for i in range(start, start + n)]


def test_one_file_is_split_and_other_columns_are_private(tmp_path):
    path = write(tmp_path / "sums.jsonl", rows(20))
    sets = Jsonl(path=path)({"train": 10, "dev": 2, "gate": 3, "sealed": 5}, SEEDS)
    assert prove_disjoint(sets) == {"train": 10, "dev": 2, "gate": 3, "sealed": 5}
    task = sets["sealed"][0]
    number = task.private["answer"]
    assert task.question == f"What is number {number}?"
    assert task.private == {"answer": number, "hint": f"h{number}"}
    assert task.ability == "sums"


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_file(tmp_path):
    a = Jsonl(path=write(tmp_path / "a.jsonl", rows(50)))
    b = Jsonl(path=write(tmp_path / "b.jsonl", rows(50)[::-1]))
    wanted = {"train": 5, "sealed": 5}
    first = [t.canonical for t in a(wanted, SEEDS)["sealed"]]
    assert first == [t.canonical for t in b(wanted, SEEDS)["sealed"]]
    assert first != [t.canonical for t in a(wanted, {**SEEDS, "sealed": 2})["sealed"]]


def test_columns_can_have_other_names(tmp_path):
    path = write(tmp_path / "x.jsonl", [{"q": "Capital of France?", "gold": "Paris", "topic": "geo"}])
    [task] = Jsonl(path=path, question="q", answer="gold", ability="topic")({"train": 1}, SEEDS)["train"]
    assert (task.question, task.private, task.ability) == ("Capital of France?", {"answer": "Paris"}, "geo")


def test_separate_files_that_share_rows_are_refused(tmp_path):
    train, sealed = write(tmp_path / "t.jsonl", rows(5)), write(tmp_path / "s.jsonl", rows(5, start=3))
    with pytest.raises(DataError, match="overlap in 2"):
        Jsonl(train=train, sealed=sealed)({"train": 5, "sealed": 5}, SEEDS)


def test_duplicates_count_once_and_are_counted(tmp_path):
    path = write(tmp_path / "d.jsonl", [*rows(3), {"question": "WHAT is  number 1?", "answer": 1}])
    assert len(Jsonl(path=path)({"train": 3}, SEEDS)["train"]) == 3
    with pytest.raises(DataError, match=r"4 rows, 1 of them the same as another; 3 are left"):
        Jsonl(path=path)({"train": 4}, SEEDS)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty"),
        ([{"question": "a", "answer": "b"}, '{"question": "a", '], "line 2 is not JSON"),
        (["[1, 2]"], "line 1 is not a JSON object"),
        ([{"question": "a", "gold": 1}], "no column 'answer'. The columns are: question, gold"),
        ([{"question": 3, "answer": 1}], "the question is 3, not a text"),
        ([{"question": "  ", "answer": 1}], "the question is '  ', not a text"),
        ([{"question": "a", "answer": None}], "the answer is None"),
        ([{"question": "a", "answer": True}], "the answer is True"),
        (['{"question": "a", "answer": NaN}'], "NaN is not a number"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path, lines, said):
    with pytest.raises(DataError) as error:
        Jsonl(path=write(tmp_path / "bad.jsonl", lines))({"train": 1}, SEEDS)
    assert said in str(error.value)


def test_a_missing_file_a_folder_and_a_binary_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file"):
        Jsonl(path=str(tmp_path / "none.jsonl"))({"train": 1}, SEEDS)
    with pytest.raises(DataError, match="cannot be read"):
        Jsonl(path=str(tmp_path))({"train": 1}, SEEDS)
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not UTF-8"):
        Jsonl(path=str(tmp_path / "b.jsonl"))({"train": 1}, SEEDS)


def test_no_path_and_both_kinds_of_path_are_refused():
    with pytest.raises(ConfigError, match="no file"):
        Jsonl()
    with pytest.raises(ConfigError, match="both path and train"):
        Jsonl(path="a", train="b")
    with pytest.raises(DataError, match="No file for the dev set"):
        Jsonl(train="b")({"dev": 1}, SEEDS)
