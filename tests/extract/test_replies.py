"""Replies that were judged by reading (tests/fixtures/replies), read by the extractor and its checkers."""

import json
from pathlib import Path

from instar.acquire.feedback.checkers import check_all
from instar.acquire.feedback.verify import Verify
from instar.extract import extract

JUDGED = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "fixtures" / "replies" / "judged.jsonl").read_text("utf-8").splitlines()
]


def marked_right(reply, gold, checker="auto"):
    """As ``Verify`` judges, without its processes."""
    private = {"answer": gold}
    checker = Verify(checker=checker)._checker_for(private)
    answer = extract(reply, "text" if checker == "math" else "auto", gold)
    return answer is not None and check_all(checker, [answer], private, 0.0)[0].score == 1.0


def test_no_wrong_answer_is_called_right_and_few_right_ones_wrong(capsys):
    said = [marked_right(r["reply"], r["gold"], r.get("checker", "auto")) for r in JUDGED]
    false_right = [r for r, right in zip(JUDGED, said, strict=True) if right and r["reader"] != "right"]
    false_wrong = [r for r, right in zip(JUDGED, said, strict=True) if not right and r["reader"] == "right"]
    right = sum(r["reader"] == "right" for r in JUDGED)
    sampled = sum(r["from"] != "hand" for r in JUDGED)
    with capsys.disabled():
        print(
            f"\n{len(JUDGED)} judged replies ({sampled} of a model): false-right {len(false_right)}, "
            f"false-wrong {len(false_wrong)} of {right} ({len(false_wrong) / right:.1%})"
        )
    assert len(JUDGED) >= 300
    assert sampled >= 200
    assert not false_right, [(r["gold"], r["reply"][-80:]) for r in false_right]
    assert len(false_wrong) < 0.03 * right, [(r["gold"], r["reply"][-80:]) for r in false_wrong]
