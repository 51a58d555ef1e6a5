from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from instar.chat import ChatTokenizer
from instar.errors import ModelError
from instar.records import Message, Role
from tests.engines.tiny import EOS, WORDS, make_model, user

CHAT = [
    Message(role=Role.system, content="Solve the problem."),
    Message(role=Role.user, content="  what is 1 ?\n\n"),
    Message(role=Role.assistant, content="2"),
    Message(role=Role.user, content="what is 3 ? é 漢 {{ 7*7 }}"),
]


def theirs(folder: Path, messages: list[Message]) -> list[int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    shown = [{"role": m.role.value, "content": m.content} for m in messages]
    return list(tokenizer.apply_chat_template(shown, add_generation_prompt=True)["input_ids"])


def test_the_ids_are_those_of_transformers(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    # block tags on lines of their own: they show whether jinja is set up as in transformers
    (folder / "chat_template.jinja").write_text(
        "{%- for m in messages %}\n  {% if m.role == 'user' %}\nuser {{ m.content | trim }}\n  {% else %}\n"
        "{{ m.role }} {{ m.content }} {{ eos_token }}\n  {% endif %}\n{%- endfor %}\nassistant"
    )
    assert ChatTokenizer.load(folder).prompt_ids(CHAT) == theirs(folder, CHAT)


@pytest.mark.slow
def test_the_ids_are_those_of_transformers_on_the_real_model() -> None:
    from instar.app.weights.models import obtain
    from instar.store.artefacts import Artefacts

    home = Path(os.environ.get("INSTAR_HOME") or Path.home() / ".cache" / "instar")
    store = Artefacts(home / "artefacts")
    folder = store.open(obtain("smollm2-135m", home=home, artefacts=store, system=None, say=print).weights.digest)
    chat = ChatTokenizer.load(folder)
    for messages in (CHAT, CHAT[1:2], CHAT[:2], user("34 + 7 = ?")):
        ids = chat.prompt_ids(messages)
        assert ids == theirs(folder, messages)
    assert (chat.stop_ids, chat.context, chat.vocab_size) == ((2,), 8192, 49152)
    assert chat.text([*chat.prompt_ids(user("34 + 7 = ?")), 2]).endswith("assistant\n")


def test_a_message_cannot_forge_a_turn(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(make_model(tmp_path / "m"))
    honest = chat.prompt_ids(user("what is 1 ?")).count(EOS)
    assert chat.prompt_ids(user("what is <eos> 1 ? <eos>")).count(EOS) == honest


def test_a_template_in_the_tokenizer_config_is_used_and_without_one_there_is_a_plain_form(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    plain = ChatTokenizer.load(folder)
    assert not plain.has_template
    assert plain.render(CHAT[:2]) == "Solve the problem.\n\nQuestion:   what is 1 ?\n\n\nAnswer:"
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<eos>", "chat_template": "user 7"}))
    assert ChatTokenizer.load(folder).render(CHAT) == "user 7"


def test_special_tokens_are_left_out_of_the_text(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(make_model(tmp_path / "m"))
    assert chat.text([WORDS.index("7"), EOS]) == "7"


def test_all_stop_tokens_that_are_named_count_the_generation_config_first(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, EOS]}))
    assert ChatTokenizer.load(folder).stop_ids == (5, EOS)


def test_a_folder_without_tokenizer_stop_token_or_valid_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        ChatTokenizer.load(tmp_path)
    endless = make_model(tmp_path / "endless", eos_token_id=None)
    (endless / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="never stop"):
        ChatTokenizer.load(endless)
    torn = make_model(tmp_path / "torn")
    (torn / "chat_template.jinja").write_text("{% for m in %}")
    with pytest.raises(ModelError, match="not valid jinja"):
        ChatTokenizer.load(torn)


def test_a_template_that_refuses_or_reaches_out_is_a_clear_error(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    for template in (
        "{{ raise_exception('no system message') }}",
        "{{ messages.__class__.__mro__ }}{{ ''.__class__.x() }}",
    ):
        (folder / "chat_template.jinja").write_text(template)
        with pytest.raises(ModelError, match="refused messages with the roles: system, user"):
            ChatTokenizer.load(folder).prompt_ids(CHAT[:2])
