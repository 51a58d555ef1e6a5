import codecs

import pytest

from instar.acquire.tasks.csv_file import Csv
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import ConfigError, DataError

SEEDS = {"train": 1, "dev": 1, "gate": 1, "sealed": 1}


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return str(path)


def sums(n, start=0):
    rows = "".join(f"What is number {i}?,{i},h{i}\n" for i in range(start, start + n))
    return "question,answer,hint\n" + rows


def refused(path, **settings):
    with pytest.raises(DataError) as error:
        Csv(path=path, **settings)({"train": 1}, SEEDS)
    return str(error.value)


def test_one_file_is_split_and_other_columns_are_private(tmp_path):
    path = write(tmp_path / "sums.csv", sums(20))
    sets = Csv(path=path)({"train": 10, "dev": 2, "gate": 3, "sealed": 5}, SEEDS)
    assert prove_disjoint(sets) == {"train": 10, "dev": 2, "gate": 3, "sealed": 5}
    task = sets["gate"][0]
    number = task.private["answer"]
    assert task.question == f"What is number {number}?"
    assert (task.private, task.ability, task.source) == (
        {"answer": number, "hint": f"h{number}"}, "sums", "csv/sums.csv",
    )  # fmt: skip


def test_separate_files_serve_a_set_each_and_may_not_share_rows(tmp_path):
    train, sealed = write(tmp_path / "t.csv", sums(5)), write(tmp_path / "s.csv", sums(5, start=5))
    sets = Csv(train=train, sealed=sealed)({"train": 5, "sealed": 5}, SEEDS)
    assert {t.source for t in sets["sealed"]} == {"csv/s.csv"}
    write(tmp_path / "s.csv", sums(5, start=3))
    with pytest.raises(DataError, match="overlap in 2"):
        Csv(train=train, sealed=sealed)({"train": 5, "sealed": 5}, SEEDS)


def test_columns_a_delimiter_and_an_encoding_can_be_named(tmp_path):
    path = write(tmp_path / "x.csv", "nr\tfrage\tlösung\tthema\n7\tHauptstadt?\tKöln\tgeo\n", "latin-1")
    source = Csv(
        path=path, delimiter="\t", encoding="latin-1", question="frage", answer="lösung", ability="thema", id="nr"
    )
    [task] = source({"train": 1}, SEEDS)["train"]
    assert (task.question, task.ability, task.source) == ("Hauptstadt?", "geo", "csv/x.csv#7")
    assert task.private == {"answer": "Köln", "nr": "7"}


def test_a_byte_order_mark_quotes_and_line_breaks_in_cells_are_read(tmp_path):
    text = 'question,answer\r\n"Two lines,\r\none ""question""?",yes\r\n\r\nB?,no\r\n'
    path = tmp_path / "x.csv"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    tasks = Csv(path=str(path))({"train": 2}, SEEDS)["train"]
    assert {t.question: t.private["answer"] for t in tasks} == {
        'Two lines,\r\none "question"?': "yes", "B?": "no",
    }  # fmt: skip
    path.write_bytes(text.encode("utf-16"))
    assert len(Csv(path=str(path), encoding="utf-16")({"train": 2}, SEEDS)["train"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("question,answer\n", "is empty but for its header"),
        ("question,gold\na,1\n", "no column 'answer'. The columns are: question, gold"),
        ("frage,answer\na,1\n", "no column 'question'. The columns are: frage, answer"),
        ("question;answer\na;1\n", "Is the delimiter ';'?"),
        ("question,answer,answer\na,1,2\n", "two columns have the name 'answer'"),
        ("question,answer\na,1\nb,2,3\n", "line 3 has 3 cells, but the header has 2: b,2,3"),
        ('question,answer\n"a\na",1\nb\n', "line 4 has 1 cells, but the header has 2: b"),
        ('question,answer\na,1\n"b,2\n', "line 3 is not CSV"),
        ("question,answer\na,1\n ,2\n", "line 3: the question is None, not a text"),
        ("question,answer\na,\n", "line 2: the answer is None, not a text or a number"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path, text, said):
    assert said in refused(write(tmp_path / "bad.csv", text))


def test_another_encoding_is_refused_with_the_line(tmp_path):
    path = write(tmp_path / "x.csv", "question,answer\na,1\nKöln?,2\n", "latin-1")
    said = refused(path)
    assert "line 3 is not utf-8 text" in said
    assert "latin-1" in said


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "There is no file" in refused(str(tmp_path / "none.csv"))
    assert "cannot be read" in refused(str(tmp_path))


def test_ids_must_be_there_and_differ(tmp_path):
    path = write(tmp_path / "x.csv", "nr,question,answer\n7,a,1\n7,b,2\n")
    assert "line 3: the id '7' is also that of line 2" in refused(path, id="nr")
    assert "no column 'number'" in refused(path, id="number")
    assert "the id is None" in refused(write(tmp_path / "y.csv", "nr,question,answer\n,a,1\n"), id="nr")


def test_settings_that_cannot_work_are_refused_before_reading():
    with pytest.raises(ConfigError, match="There is no text encoding 'utf-9'"):
        Csv(path="x.csv", encoding="utf-9")
    with pytest.raises(ConfigError, match="cannot delimit"):
        Csv(path="x.csv", delimiter='"')
    with pytest.raises(ConfigError, match=r"csv has no file\. Give path, or one path each"):
        Csv()
    with pytest.raises(ConfigError, match="csv has both path and gate"):
        Csv(path="a", gate="b")
