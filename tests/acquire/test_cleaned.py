"""Training tasks are taken out that repeat an exam's or each other, before a token is spent."""

import json

import pytest

from instar.acquire.tasks.cleaned import Cleaned
from instar.acquire.tasks.jsonl import Jsonl
from instar.errors import DataError

SEEDS = {"train": 1, "sealed": 2}
THINGS = [
    "apples",
    "boats",
    "chairs",
    "drums",
    "eggs",
    "forks",
    "gloves",
    "hats",
    "inks",
    "jars",
    "kites",
    "lamps",
    "maps",
    "nails",
    "oars",
    "pens",
]
PLACES = ["Rome", "Oslo", "Lima", "Cairo", "Delhi", "Paris", "Tokyo", "Quito"]
QUESTIONS = [
    f"{place}: somebody there owns a number of {thing}, namely {i}, and loses every second one of them; what remains?"
    for i, (place, thing) in enumerate((p, t) for p in PLACES for t in THINGS)
]


def write(path, questions):
    path.write_text("".join(json.dumps({"question": q, "answer": i}) + "\n" for i, q in enumerate(questions)))
    return str(path)


def source(tmp_path, train, sealed, **fields):
    inner = Jsonl(train=write(tmp_path / "train.jsonl", train), sealed=write(tmp_path / "sealed.jsonl", sealed))
    return Cleaned(inner=inner, **fields)


ODD = [
    "Name the largest planet that goes round our sun, please.",
    "Which metal is liquid on a warm summer's day in the shade?",
    "How long does light need from here to the moon and back again?",
    "Who wrote the story of the whale and its captain with one leg?",
    "What do bees carry from one flower to another on their hind legs?",
]


def test_a_training_task_that_nearly_repeats_an_exam_s_is_not_drawn(tmp_path):
    copy = ODD[0].replace("please", "friend")
    drawn = source(tmp_path, [copy, *ODD[1:]], [ODD[0]], near=0.6, spare=0.25)({"train": 4, "sealed": 1}, SEEDS)
    assert sorted(t.question for t in drawn["train"]) == sorted(ODD[1:])
    assert [t.question for t in drawn["sealed"]] == [ODD[0]]


def test_too_few_that_are_left_are_refused_with_what_was_taken_out(tmp_path):
    copies = [ODD[0].replace("please", word) for word in ("friend", "sir", "now")]
    with pytest.raises(DataError, match=r"2 training tasks are left of 4, and 4 are wanted: .*repeat another"):
        source(tmp_path, [*copies, ODD[1]], ["Is this a question of another kind?"], near=0.6, spare=0.0)(
            {"train": 4, "sealed": 1}, SEEDS
        )


def test_a_long_shared_run_of_words_is_contamination_even_in_a_longer_text(tmp_path):
    long = ODD[3] + " " + " ".join(reversed(ODD[4].split())) + " and much else that is said nowhere but in this place"
    drawn = source(tmp_path, [long, *ODD[:3]], [ODD[3]], words=8, spare=0.3)({"train": 3, "sealed": 1}, SEEDS)
    assert long not in [t.question for t in drawn["train"]]


def test_tasks_of_one_template_stay(tmp_path):
    drawn = source(tmp_path, QUESTIONS[:100], QUESTIONS[100:120], spare=0.0)({"train": 100, "sealed": 20}, SEEDS)
    assert len(drawn["train"]) == 100
