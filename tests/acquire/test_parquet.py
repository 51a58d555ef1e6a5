import datetime
import decimal

import pyarrow as pa
import pytest

from instar.acquire.tasks.parquet import Parquet
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError

SEEDS = {"train": 1, "dev": 1, "gate": 1, "sealed": 1}


def write(path, columns):
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return str(path)


def sums(n, start=0):
    numbers = list(range(start, start + n))
    return {
        "question": [f"What is number {i}?" for i in numbers],
        "answer": numbers,
        "hint": [f"h{i}" for i in numbers],
    }


def refused(path, **settings):
    with pytest.raises(DataError) as error:
        Parquet(path=path, **settings)({"train": 1}, SEEDS)
    return str(error.value)


def test_one_file_is_split_and_other_columns_are_private(tmp_path):
    path = write(tmp_path / "sums.parquet", sums(20))
    sets = Parquet(path=path)({"train": 10, "dev": 2, "gate": 3, "sealed": 5}, SEEDS)
    assert prove_disjoint(sets) == {"train": 10, "dev": 2, "gate": 3, "sealed": 5}
    task = sets["dev"][0]
    number = task.private["answer"]
    assert task.question == f"What is number {number}?"
    assert (task.private, task.ability, task.source) == (
        {"answer": number, "hint": f"h{number}"}, "sums", "parquet/sums.parquet",
    )  # fmt: skip


def test_a_file_a_set_with_columns_of_other_names(tmp_path):
    names = {}
    for place, name in enumerate(("train", "dev", "gate", "sealed")):
        columns = {"q": [f"{name}?"], "gold": [decimal.Decimal("7.50")], "topic": ["t"], "nr": [place]}
        names[name] = write(tmp_path / f"{name}.parquet", columns)
    sets = Parquet(**names, question="q", answer="gold", ability="topic", id="nr")(dict.fromkeys(names, 1), SEEDS)
    assert prove_disjoint(sets) == dict.fromkeys(names, 1)
    [task] = sets["gate"]
    assert (task.question, task.ability, task.source) == ("gate?", "t", "parquet/gate.parquet#2")
    assert task.private == {"answer": "7.50", "nr": 2}


def test_typed_columns_become_plain_data_that_a_record_can_hold(tmp_path):
    day = datetime.datetime(2026, 1, 2, 3, 4, 5)
    columns = {
        "question": ["a"], "answer": ["1"], "when": [day], "image": [b"\x00\xff"], "share": [float("nan")],
        "tests": [[{"in": "1", "out": decimal.Decimal("2")}]],
    }  # fmt: skip
    [task] = Parquet(path=write(tmp_path / "x.parquet", columns))({"train": 1}, SEEDS)["train"]
    assert task.private["when"] == "2026-01-02T03:04:05"
    assert task.private["image"]["bytes"] == 2
    assert task.private["share"] is None
    assert task.private["tests"] == [{"in": "1", "out": "2"}]
    assert type(task).model_validate_json(task.model_dump_json()).digest == task.digest


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"question": ["a"], "gold": [1]}, "row 1: no column 'answer'. The columns are: question, gold"),
        ({"question": [3], "answer": [1]}, "row 1: the question is 3, not a text"),
        ({"question": ["a", None], "answer": [1, 2]}, "row 2: the question is None, not a text"),
        ({"question": ["a", "b"], "answer": [1, None]}, "row 2: the answer is None, not a text or a number"),
        ({"question": ["a"], "answer": [[1, 2]]}, "row 1: the answer is [1, 2], not a text or a number"),
        ({"question": ["a"], "answer": [True]}, "row 1: the answer is True"),
        ({"question": ["a"], "answer": [float("nan")]}, "row 1: the answer is None"),
    ],
)
def test_a_missing_column_a_wrong_type_and_a_null_are_refused_with_the_row(tmp_path, columns, said):
    assert said in refused(write(tmp_path / "bad.parquet", columns))


def test_an_empty_table_is_refused(tmp_path):
    columns = {"question": pa.array([], pa.string()), "answer": pa.array([], pa.string())}
    assert "is empty" in refused(write(tmp_path / "empty.parquet", columns))


def test_what_is_not_a_whole_parquet_file_is_refused(tmp_path):
    assert "There is no file" in refused(str(tmp_path / "none.parquet"))
    assert "is a folder" in refused(str(tmp_path))
    (tmp_path / "text.parquet").write_text('{"question": "a"}\n')
    assert "is not a Parquet file, or a damaged one" in refused(str(tmp_path / "text.parquet"))
    (tmp_path / "zero.parquet").write_bytes(b"")
    assert "is not a Parquet file, or a damaged one" in refused(str(tmp_path / "zero.parquet"))
    whole = (tmp_path / "whole.parquet", sums(500))
    data = bytearray((write(*whole), whole[0].read_bytes())[1])
    data[4:400] = b"\xff" * 396  # the footer is whole, the pages are not
    (tmp_path / "torn.parquet").write_bytes(bytes(data))
    assert "is not a Parquet file, or a damaged one" in refused(str(tmp_path / "torn.parquet"))


def test_separate_files_that_share_rows_are_refused(tmp_path):
    train = write(tmp_path / "t.parquet", sums(5))
    sealed = write(tmp_path / "s.parquet", sums(5, start=3))
    with pytest.raises(DataError, match="overlap in 2"):
        Parquet(train=train, sealed=sealed)({"train": 5, "sealed": 5}, SEEDS)
