"""Rows about pictures and sounds, which no model here is shown: refused by name, not asked without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.tasks.asking import asked
from instar.acquire.tasks.layouts import Form
from instar.acquire.tasks.options import NotSo
from instar.acquire.tasks.turns import beside
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.tasks import read_tasks
from instar.errors import DataError

ASKS = {"type": "text", "text": "What is this?"}


def talk(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": "a cat"}]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"type": "image_url", "image_url": {"url": "x.png"}}, "a picture (image_url)"),
        ({"type": "image"}, "a picture (image)"), ({"image": "x.png"}, "a picture (image)"),
        ({"type": "input_image", "image_url": "x"}, "a picture (input_image)"),
        ({"type": "input_audio", "input_audio": {}}, "a sound (input_audio)"),
        ({"type": "audio_url"}, "a sound (audio_url)"), ({"type": "video"}, "a film (video)"),
        ({"type": "file", "file": {}}, "a file (file)"), ({"type": "image", "text": "x"}, "a picture (image)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["messages", "prompt"])
def test_a_conversation_with_what_is_no_text_is_refused_by_name(
    part: Any, what: str, column: str, tmp_path: Path
) -> None:
    said = talk(part, ASKS) if column == "messages" else talk(part, ASKS)[:1]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({column: said, "answer": "a cat", "n": n}) + "\n" for n in range(3)))
    with pytest.raises(DataError) as refused:
        read_tasks(path)
    assert f"line 1: a turn of 'user' holds {what}, and a model is shown texts alone" in refused.value.message


def test_parts_that_are_texts_are_still_read() -> None:
    said = talk({**ASKS, "image": None}, "Say it.", {"type": "input_text", "text": "Now."})
    assert asked({"messages": said}, Form("messages", "messages")).question == "What is this?\nSay it.\nNow."
    tools = [{"role": "user", "content": [ASKS]}, {"role": "tool", "content": [{"type": "image"}]}, talk()[1]]
    assert asked({"messages": tools}, Form("messages", "messages")).golds == ("a cat",)


@pytest.mark.parametrize("column", ["image", "images", "image_url", "Image Path", "audio", "videos"])
def test_a_conversation_about_a_picture_in_another_column_is_refused(column: str) -> None:
    said = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "a cat"}]
    with pytest.raises(NotSo, match=r"is about what .* holds \(<image>\)"):
        asked({"conversations": said, column: ["x.png"]}, Form("sharegpt", "conversations"))
    assert asked({"conversations": said, column: []}, Form("sharegpt", "conversations")).golds == ("a cat",)


def test_a_picture_beside_a_question_is_said_not_to_be_shown_and_refused_where_the_text_points_at_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "What is this?", "image": {"bytes": "x"}, "answer": "a cat"}\n')
    assert "what 'image' holds is not shown" in told_format(read_tasks(path))
    with pytest.raises(NotSo, match="is about what 'image_1' holds"):
        asked({"question": "What is <image_1>?", "image_1": "x.png", "answer": "a cat"}, Form())


@pytest.mark.parametrize("nothing", [None, [], [None], "", [""], False, -1, {"path": None}, float("nan")])
def test_a_column_for_pictures_that_holds_none_is_no_picture(nothing: Any) -> None:
    assert beside({"image": nothing}) == ""
    assert beside({"image": "cat.png"}) == "image"
