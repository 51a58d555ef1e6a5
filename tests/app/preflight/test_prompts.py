"""Prompts that do not fit, templates that lose what they are handed, engines that cannot answer: before a token."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.preflight import engines, pools, prompts
from instar.app.preflight.seen import Seen
from instar.app.weights import models
from instar.app.weights.at_hand import AtHand, at_hand
from instar.chat import ChatTokenizer
from instar.errors import ModelError
from instar.records import Message, Role, Task
from instar.store.artefacts import Artefacts
from tests.app.preflight.flying import Flight
from tests.engines.tiny import make_model

USER = "{{ '<u> ' + m['content'] + ' <eos>\\n' }}"
REFUSES = "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
INST = "{{ '[INST] ' + m['content'] + ' [/INST]' if m['role'] != 'assistant' else ' ' + m['content'] }}"
OPEN = "{% if add_generation_prompt %}<a> {% endif %}"


def turns(inside: str, after: str = OPEN) -> str:
    """A template that goes through the messages."""
    return "{% for m in messages %}" + inside + "{% endfor %}" + after


def model(fly: Flight, template: str | None = None, **config: Any) -> str:
    """A tiny model with this template, as a setting."""
    folder = make_model(fly.folder / "tiny", **config)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return f"model={folder}"


def sums(fly: Flight, **long: dict[int, int]) -> str:
    """A file for each set; ``sealed={3: 400}`` makes its fourth row 400 words long."""
    files = {}
    for i, name in enumerate(("train", "dev", "gate", "sealed")):
        rows = [{"question": " ".join(["what"] * long.get(name, {}).get(n, 0)) + f"What is {1000 * i + n} + 1?",
                 "answer": str(1000 * i + n + 1)} for n in range(120)]  # fmt: skip
        (fly.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[name] = fly.folder / f"{name}.jsonl"
    return 'tasks={op="jsonl", ' + ", ".join(f'{k}="{v}"' for k, v in files.items()) + "}"


COMMON = ("rounds=1", "sizes.train=120", "sizes.gate=120", "sizes.dev=120", "sizes.sealed=120", "gate.guarded=[]",
          "engine=transformers", "verifier_stress=off", "budget.keep_free_gb=0.0")  # fmt: skip


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (turns(REFUSES + USER), ["knows no system role", "System role not supported", 'set system = ""']),
        (turns("{% if m['role'] != 'system' %}" + USER + "{% endif %}"),
         ["knows no system role", "drops the system text", "put the instruction into the question"]),
        (turns("{{ raise_exception('nothing at all') }}"), ["does not render a question", "nothing at all"]),
        (turns(""), ["does not render a question", "the text of the question is not in it"]),
        (turns("", after=""), ["does not render a question", "it renders nothing"]),
        (turns("{% if m['role'] != 'user' %}" + USER + "{% endif %}"), ["does not render a question"]),
        (turns("{{ '<' + m['role'] + '> ' + m['content'] + ' <eos>\\n' }}", after=""),
         ["has no generation prompt", "'<assistant> '"]),
        ("{% for m in messages %}{{ m['content'] }}", ["is not valid jinja"]),
    ],
)  # fmt: skip
def test_a_template_that_loses_what_it_is_handed_is_refused_with_what_to_do(
    fly: Flight, template: str, says: list[str]
) -> None:
    said = fly.refused("rest_em", model(fly, template), sums(fly), code=4, common=COMMON)
    assert all(part in said for part in says), said


@pytest.mark.parametrize(
    ("template", "sets"),
    [
        (turns(REFUSES + USER), ["system=''"]),
        (turns(INST, after=""), []),
        (turns("{{ m['content'] | trim }}"), ["system=''", "engine=auto"]),
        (None, []),
    ],
)  # fmt: skip
def test_a_template_that_says_all_is_let_pass_also_one_whose_questions_end_opens_the_answer(
    fly: Flight, template: str | None, sets: list[str]
) -> None:
    said = fly("rest_em", model(fly, template), sums(fly), *sets, more=["--dry-run"], common=COMMON)
    assert said.code == 0, said.err


def test_a_system_message_of_the_tasks_themselves_needs_the_role_too(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text(turns(REFUSES + USER))
    messages = (Message(role=Role.system, content="Be brief."), Message(role=Role.user, content="What is 1 + 1?"))
    tasks = [Task(messages=messages, ability="x", canonical="x", source="x")]
    seen = Seen(plan(read("rest_em", ["system=''"])), {"sealed": tasks}, AtHand("tiny", folder))
    (said,) = prompts.template(seen)
    assert "the tasks' system messages: put their text into the question" in str(said)


def test_a_template_that_shows_the_last_messages_only_is_refused_where_a_prompt_has_more(fly: Flight) -> None:
    sliding = "{% for m in messages[-3:] %}" + USER + "{% endfor %}" + OPEN
    one = ["shots=[{question='What is 7 + 1?', answer='8'}]"]
    two = ["shots=[{question='What is 7 + 1?', answer='8'}, {question='What is 8 + 1?', answer='9'}]"]
    args = ("rest_em", model(fly, sliding), sums(fly))
    for fits in ([], ["system=''", *one]):
        assert fly(*args, *fits, more=["--dry-run"], common=COMMON).code == 0
    for drops, what in ((one, "system"), (["system=''", *two], "user")):
        said = fly.refused(*args, *drops, code=4, common=COMMON)
        assert "does not render a whole prompt of this run, with its system text, shots and question (its chat" in said
        assert f"template drops the {what} text" in said
    said = fly.refused("self_refine", *args[1:], "system=''", code=4, common=COMMON)  # its critique goes on and on
    assert "does not render a whole prompt" in said


@pytest.mark.parametrize("recipe", ["self_refine", "constitutional", "critic", "rest_em"])
def test_a_template_of_one_turn_is_refused_where_a_correction_goes_on_and_nowhere_else(
    fly: Flight, recipe: str
) -> None:
    alternates = "{% if loop.index0 > 1 %}{{ raise_exception('one question, one answer') }}{% endif %}"
    args = (recipe, model(fly, turns(alternates + USER)), sums(fly), "system=''")
    if recipe == "rest_em":
        assert fly(*args, more=["--dry-run"], common=COMMON).code == 0
        return
    said = fly.refused(*args, code=4, common=COMMON)
    assert "does not render a conversation of several turns" in said
    assert "one question, one answer" in said
    assert f"correct ({recipe})" in said


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (USER, None),  # it knows no tools: plain words
        (USER + "{{ tools | tojson if loop.first }}{{ m.tool_calls | tojson if m.tool_calls }}", None),
        (USER + "{{ tools | tojson if loop.first }}", None),  # it renders no call: that stands in the text
        ("{% if m.role != 'tool' %}" + USER + "{% endif %}{{ tools | tojson if loop.first }}", "the result"),
        ("{% if tools and m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}" + USER,
         "it refuses them: no tools here"),
    ],
)  # fmt: skip
def test_a_template_that_loses_a_tool_is_refused_where_tools_are_called(
    tmp_path: Path, inside: str, says: str | None
) -> None:
    folder = make_model(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text(turns(inside))
    for solve, expected in (("call_tools", says), ("use_tools", None)):
        seen = Seen(plan(read("rest_em", ["system=''", f"solve={solve}"])), {}, AtHand("tiny", folder))
        found = [str(e) for e in prompts.template(seen)]
        assert len(found) == (expected is not None)
        assert all(expected in f for f in found if expected)


@pytest.mark.parametrize("name", ["train", "dev", "gate", "sealed"])
def test_a_row_of_any_set_that_does_not_fit_is_named_with_its_file_line_and_tokens(fly: Flight, name: str) -> None:
    said = fly.refused("rest_em", model(fly), sums(fly, **{name: {7: 300}}), code=3, common=COMMON)
    who = "solve" if name == "train" else "exam.solve"
    assert f"1 row does not fit the context of {fly.folder / 'tiny'}, 256 tokens of which {who} keeps 48" in said
    assert f"{name}: {fly.folder / name}.jsonl, line 8: " in said
    assert " tokens." in said


def test_many_rows_are_counted_and_five_are_named_and_each_asker_has_its_own_room(fly: Flight) -> None:
    tasks = sums(fly, sealed=dict.fromkeys(range(9), 180))
    said = fly("rest_em", model(fly), tasks, more=["--dry-run"], common=COMMON)
    assert said.code == 0, said.err
    said = fly.refused("rest_em", model(fly), tasks, "exam.solve.sampling.max_tokens=80", code=3, common=COMMON)
    assert "9 rows do not fit" in said
    assert said.count("sealed.jsonl, line ") == 5
    assert "and 4 more" in said


def test_a_hundred_thousand_prompts_are_not_needed_to_see_that_no_answer_of_this_length_fits(fly: Flight) -> None:
    said = fly.refused("rest_em", model(fly), sums(fly), "solve.sampling.max_tokens=256", code=3, common=COMMON)
    assert "solve.sampling.max_tokens is 256, and the context of" in said
    assert "no prompt fits beside such an answer" in said


@pytest.mark.parametrize(("length", "code"), [(5, 3), (40, 0)])
def test_questions_without_room_to_be_trained_on_are_an_error_if_all_are_and_a_warning_if_some(
    fly: Flight, length: int, code: int
) -> None:
    tasks = sums(fly, train={0: 100, 1: 110})
    said = fly("rest_em", model(fly), tasks, f"train.max_length={length}", more=["--dry-run"], common=COMMON)
    assert said.code == code, said.err
    if code:
        assert "not one of the 120 training questions leaves room" in said.err
    else:
        assert "# warning: 2 of the 120 training questions leave no room" in said.out


def test_two_thousand_long_prompts_are_measured_in_a_blink_and_as_the_engine_would(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(make_model(tmp_path / "tiny"))
    asked = [[Message(role=Role.user, content=f"what is {i} ? " * 50)] for i in range(2000)]
    began = time.monotonic()
    lengths = chat.prompt_lengths(asked)
    assert time.monotonic() - began < 5
    assert lengths[:20] == [len(chat.prompt_ids(p)) for p in asked[:20]]


@pytest.mark.parametrize(
    ("sets", "changed", "code", "says"),
    [
        (["engine=native"], {"architectures": ["GPTNeoXForCausalLM"]}, 4, "belong together"),
        (["engine=openvino"], {"attention_bias": True}, 4, "cannot express"),
        (["engine=transformers", "engine_options.exam_precision=int8"], {}, None, "int8"),
        (["engine=transformers", "engine_options.rows=0"], {}, None, "rows 0"),
    ],
)  # fmt: skip
def test_an_engine_that_cannot_run_these_weights_or_this_precision_says_so_without_loading_them(
    fly: Flight, sets: list[str], changed: dict[str, Any], code: int | None, says: str
) -> None:
    folder = make_model(fly.folder / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    dry = fly("rest_em", f"model={folder}", sums(fly), *sets, more=["--dry-run"], common=COMMON)
    assert dry.code != 0
    said = fly.refused("rest_em", f"model={folder}", sums(fly), *sets, code=code or dry.code, common=COMMON)
    assert says in said


def test_packages_that_an_engine_or_training_needs_are_missed_before_the_first_answer(
    fly: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        engines.importlib.util, "find_spec", lambda n: None if n in ("transformers", "peft") else there(n)
    )
    said = fly.refused("rest_em", model(fly), sums(fly), "train.lora.rank=4", code=4, common=COMMON)
    assert "the engine transformers needs the package transformers, which is not installed" in said
    assert "Training needs the packages transformers, peft." in said
    assert re.search(r"pip install '[^']+\[train\]'\.", said)  # a clone's folder, or the name where it is installed


def test_training_on_a_gpu_that_is_not_there_is_refused_before_the_first_answer(
    fly: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(asked: str) -> str:
        raise ModelError("device is cuda, but torch sees no GPU here.")

    monkeypatch.setattr(engines, "device_of", none_here)
    said = fly.refused("rest_em", model(fly), sums(fly), "train.device=cuda", code=4, common=COMMON)
    assert "device is cuda, but torch sees no GPU here." in said


@pytest.mark.parametrize("full", ["home", "runs", "both"])
def test_a_disk_without_room_for_the_first_policy_is_told_with_both_numbers(
    fly: Flight, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """The disk of the runs, and the one of the store where that is another."""
    for name in ("home", "runs"):
        (fly.folder / name).mkdir()
    free = {"home": 10**12, "runs": 10**12, full: 10**5}
    if full == "both":  # one disk
        free = {"home": 10**5, "runs": 10**5}
    else:
        monkeypatch.setattr(pools, "one_disk", lambda a, b: False)
    monkeypatch.setattr(pools.shutil, "disk_usage", lambda p: SimpleNamespace(free=free[Path(p).name]))
    said = fly.refused("rest_em", model(fly), sums(fly), code=6, common=COMMON)
    what = "the policies" if full == "home" else "the checkpoints of training"
    assert f"has 0.0 GB free; {what} of" in said
    assert "INSTAR_HOME and INSTAR_RUNS" in said
    free.update(home=10**12, runs=10**12)
    assert fly("rest_em", model(fly), sums(fly), more=["--dry-run"], common=COMMON).code == 0


@pytest.mark.parametrize("lacking", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused_by_the_dry_run_too(fly: Flight, lacking: str) -> None:
    setting = model(fly)
    (fly.folder / "tiny" / lacking).unlink()
    assert "holds no" in fly.refused("rest_em", setting, sums(fly), code=4, common=COMMON)


def test_a_dry_run_copies_no_model_and_sees_the_stored_one_when_it_is_there(fly: Flight) -> None:
    setting = model(fly)
    assert fly("rest_em", setting, sums(fly), more=["--dry-run"], common=COMMON).code == 0
    assert not list((fly.folder / "home").rglob("*.safetensors"))
    store = Artefacts(fly.folder / "home" / "artefacts")
    policy = models.obtain(setting.removeprefix("model="), home=fly.folder / "home", artefacts=store, system=None,
                           say=lambda _: None)  # fmt: skip
    seen = at_hand(setting.removeprefix("model="), home=fly.folder / "home", artefacts=store)
    assert seen.folder == store.place(policy.weights.digest)
