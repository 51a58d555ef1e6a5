# ruff: noqa: E501 - templates
"""Tools, calls and results as models' own templates render them, and as plain words where a template knows no tools.

The templates are written here in the forms of Qwen 2.5 and 3, Hermes 2 and 3, Llama 3.1, SmolLM2 and 3, Mistral and
DeepSeek: what they ask of messages is what theirs ask (a key that must be there, or must not; a name of the tool;
arguments as data, or as text; one call a turn; ids; a list of tools even where there are none). The sources are named
in ``docs/log/2026-11-27-tool-templates.md``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.chat import ChatTokenizer
from instar.records import Message, Role, ToolCall, ToolSpec
from tests.engines.tiny import make_model

SPEC = ToolSpec(
    name="calculator",
    about="arithmetic",
    parameters={"properties": {"expression": {"type": "string"}}, "required": ["expression"], "type": "object"},
)
ASKED = Message(role=Role.user, content="3 + 4 = ?", tools=(SPEC,))
CALLED = Message(
    role=Role.assistant, content="I add.", calls=(ToolCall(name="calculator", arguments={"expression": "3 + 4"}),)
)
ANSWERED = Message(role=Role.user, content="7", result_of="calculator")
CHAT = [Message(role=Role.system, content="Be brief."), ASKED, CALLED, ANSWERED]

QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + "\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

HERMES = """{%- for tool in tools or [] %}{%- set tool = tool.function %}{{- tool.name + ': ' + tool.description + ' ' }}
{%- for name, about in tool.parameters.properties|items %}{{- name + '(' + about.type + ')' }}{%- endfor %}{%- endfor %}
{%- for message in messages %}
    {%- if message.role in ("user", "system") or (message.role == "assistant" and message.tool_calls is not defined) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {%- for tool_call in message.tool_calls %}
            {{- '<|im_start|>assistant\\n<tool_call>\\n{ "arguments": ' }}{{- tool_call.function.arguments|tojson }}{{- ', "name": "' + tool_call.function.name + '"}\\n</tool_call> <|im_end|>\\n' }}
        {%- endfor %}
    {%- elif message.role == "tool" %}
        {%- if not message.name is defined %}{{- raise_exception("a result has a name") }}{%- endif %}
        {{- '<|im_start|>tool\\n<tool_response>\\n{"name": "' + message.name + '", "content": ' }}{{- message.content|tojson }}{{- '}\\n</tool_response> <|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

LLAMA = """{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + messages[0]['content']|trim + '<|eot_id|>' }}
{%- set messages = messages[1:] %}
{%- if tools is not none %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' }}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n\\n' }}{%- endfor %}
    {{- messages[0]['content']|trim + '<|eot_id|>' }}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content']|trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls|length != 1 %}{{- raise_exception("one call a turn") }}{%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + tool_call.name + '", "parameters": ' }}{{- tool_call.arguments | tojson }}{{- '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}{{- message.content | tojson }}{{- '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""

SMOLLM2 = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

HERMES3 = """{%- for tool in tools %}{{- tool.function.name + ' ' + tool.function.parameters.properties.expression.description|trim }}{%- endfor %}
{%- for message in messages %}
    {%- if message.role in ("user", "system") or (message.role == "assistant" and message.tool_calls is not defined) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant' }}
        {%- for call in message.tool_calls %}{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments|tojson }}{{- '}\n</tool_call>' }}{%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.previtem and loop.previtem.role != "tool" %}{{- '<|im_start|>tool\n' }}{%- endif %}
        {{- '<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != "tool" %}{{- '<|im_end|>\n' }}{%- else %}{{- '\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""

QWEN3 = """{%- set ns = namespace(open=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- if ns.open and message.role == "user" and message.content is string and not message.content.startswith('<tool_response>') %}{%- set ns.open = false %}{%- set ns.last = (messages|length - 1) - loop.index0 %}{%- endif %}
{%- endfor %}
{%- for tool in tools or [] %}{{- tool | tojson(ensure_ascii=False) }}{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and message.content) or not loop.first %}{{- '\n' }}{%- endif %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"""

SMOLLM3 = """{{- '<|im_start|>system\nToday Date: ' + strftime_now("%d %B %Y") + '\n' -}}
{%- if xml_tools is defined -%}{%- for tool in xml_tools -%}{{- (tool | string) + '\n' -}}{%- endfor -%}{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- for message in messages -%}
    {%- if message.role in ("user", "tool") -%}{{ '<|im_start|>user\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == "assistant" -%}
        {% generation %}{{ '<|im_start|>assistant\n' + message.content.lstrip('\n') + '<|im_end|>\n' }}{% endgeneration %}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""

MISTRAL = """{%- for tool in tools or [] %}{{- tool|tojson }}{%- endfor %}
{%- for message in messages %}
    {%- if message.tool_calls is defined and message.tool_calls is not none %}
        {{- '[TOOL_CALLS][' }}
        {%- for call in message.tool_calls %}
            {%- if not call.id is defined or call.id|length != 9 %}{{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{%- endif %}
            {{- (call.function|tojson)[:-1] + ', "id": "' + call.id + '"}' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}{{- ']' + eos_token }}
    {%- elif message.role == "tool" %}
        {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}{{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{%- endif %}
        {{- '[TOOL_RESULTS]{"content": ' + message.content|string + ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}{{- '[INST]' + message.content + '[/INST]' }}{%- endif %}
{%- endfor %}"""

DEEPSEEK = """{%- for tool in tools or [] %}{{- tool.function.name }}{%- endfor %}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}{{- '<call>' + call['function']['name'] + '\n```json\n' + call['function']['arguments'] + '\n```' }}{%- endfor %}
    {%- else %}{{- '<' + message.role + '>' + message.content }}{%- endif %}
{%- endfor %}"""

TOOL = json.dumps(
    {"type": "function", "function": {"name": "calculator", "description": "arithmetic", "parameters": json.loads(SPEC.parameters)}}
)  # fmt: skip
TELLS = (
    "3 + 4 = ?\n\nYou may call a tool, one at a time, and are told what it gives:\ncalculator[expression]: arithmetic\n"
    "When you know the result, write it after 'Answer:'."
)
SHOWN = {
    "qwen": (QWEN, [
        f"system\nBe brief.\n<tools>\n{TOOL}\n</tools>", "user\n3 + 4 = ?",
        'assistant\nI add.\n<tool_call>\n{"name": "calculator", "arguments": {"expression": "3 + 4"}}\n</tool_call>',
        "user\n<tool_response>\n7\n</tool_response>",
    ]),
    "hermes": (HERMES, [
        "system\nBe brief.", "user\n3 + 4 = ?",
        'assistant\n<tool_call>\n{ "arguments": {"expression": "3 + 4"}, "name": "calculator"}\n</tool_call> ',
        'tool\n<tool_response>\n{"name": "calculator", "content": "7"}\n</tool_response> ',
    ]),
    "smollm2": (SMOLLM2, [
        "system\nBe brief.", f"user\n{TELLS}", "assistant\nI add. calculator[3 + 4]", "user\nObservation: 7",
    ]),
}  # fmt: skip


def chat_with(template: str, folder: Path) -> ChatTokenizer:
    made = make_model(folder / "m")
    (made / "chat_template.jinja").write_text(template)
    return ChatTokenizer.load(made)


@pytest.mark.parametrize("form", SHOWN)
def test_a_conversation_with_a_tool_is_rendered_as_the_model_was_taught(form: str, tmp_path: Path) -> None:
    template, turns = SHOWN[form]
    chat = chat_with(template, tmp_path)
    shown = chat.render(CHAT)
    first = "calculator: arithmetic expression(string)" if form == "hermes" else ""
    assert shown == first + "".join(f"<|im_start|>{t}<|im_end|>\n" for t in turns) + "<|im_start|>assistant\n"
    assert chat.knows_tools is (form != "smollm2")


def test_llamas_form_has_the_tools_in_the_question_and_one_call_a_turn(tmp_path: Path) -> None:
    shown = chat_with(LLAMA, tmp_path).render(CHAT)
    assert shown.count('"name": "calculator"') == 2
    assert '{"name": "calculator", "parameters": {"expression": "3 + 4"}}<|eot_id|>' in shown
    assert '<|start_header_id|>ipython<|end_header_id|>\n\n"7"<|eot_id|>' in shown


SECOND = ToolCall(name="calculator", arguments={"expression": "5 - 88"})
TWICE = [*CHAT[:2], CALLED.model_copy(update={"calls": (*CALLED.calls, SECOND)}), ANSWERED,
         ANSWERED.model_copy(update={"content": "-83"})]  # fmt: skip
FORMS = {"qwen": QWEN, "qwen3": QWEN3, "hermes": HERMES, "hermes3": HERMES3, "llama": LLAMA, "smollm3": SMOLLM3,
         "mistral": MISTRAL, "deepseek": DEEPSEEK, "smollm2": SMOLLM2}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_two_calls_in_one_reply_and_their_results_reach_the_model_in_every_form(form: str, tmp_path: Path) -> None:
    shown = chat_with(FORMS[form], tmp_path).render(TWICE)
    at = [shown.rindex(part) for part in ("3 + 4", "7", "5 - 88", "-83")]
    one_each = form in ("llama",)
    assert (at == sorted(at)) == one_each
    assert at[0] < at[1] < at[3]
    assert at[2] < at[3]
    assert "{'expression'" not in shown.partition("assistant")[2]  # as Python writes it, which is no JSON


@pytest.mark.parametrize("form", FORMS)
def test_calls_of_shots_are_rendered_where_no_tools_are_told(form: str, tmp_path: Path) -> None:
    told = chat_with(FORMS[form], tmp_path).render([CHAT[0], ASKED.model_copy(update={"tools": ()}), CALLED, ANSWERED])
    assert "calculator" in told
    assert "arithmetic" not in told
    assert "3 + 4" in told.partition("3 + 4 = ?")[2]


def test_a_template_that_renders_no_calls_has_them_in_the_text_and_knows_the_tools_by_its_own_name(
    tmp_path: Path,
) -> None:
    chat = chat_with(SMOLLM3, tmp_path)
    shown = chat.render(TWICE)
    assert chat.knows_tools
    assert "'description': 'arithmetic'" in shown
    assert "Today Date: 01 January 2024" in shown
    call = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "%s"}}\n</tool_call>'
    both = f"{call % '3 + 4'}\n{call % '5 - 88'}"
    assert f"<|im_start|>assistant\nI add.\n{both}<|im_end|>\n<|im_start|>user\n7<|im_end|>" in shown


def test_ids_are_those_that_a_strict_template_wants_and_a_result_names_its_call(tmp_path: Path) -> None:
    shown = chat_with(MISTRAL, tmp_path).render(TWICE)
    assert '"id": "call00020"' in shown
    assert '"id": "call00021"' in shown
    assert '{"content": 7, "call_id": "call00020"}' in shown
    assert '{"content": -83, "call_id": "call00021"}' in shown


def test_in_words_two_results_are_one_message(tmp_path: Path) -> None:
    shown = chat_with(SMOLLM2, tmp_path).render(TWICE)
    assert "I add. calculator[3 + 4] calculator[5 - 88]<|im_end|>" in shown
    assert "user\nObservation: 7\nObservation: -83<|im_end|>" in shown


@pytest.mark.parametrize("template", [QWEN, HERMES, LLAMA], ids=["qwen", "hermes", "llama"])
def test_it_is_what_transformers_renders(template: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    chat = chat_with(template, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "m")
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "3 + 4"}}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "3 + 4 = ?"},
        {"role": "assistant", "content": "I add.", "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": "7"},
    ]
    shown = theirs.apply_chat_template(messages, tools=[json.loads(TOOL)], add_generation_prompt=True, tokenize=False)
    assert chat.render(CHAT) == shown


@pytest.mark.parametrize("template", [QWEN, HERMES, LLAMA, SMOLLM2], ids=["qwen", "hermes", "llama", "smollm2"])
def test_without_tools_nothing_changes_and_a_template_for_tools_is_not_asked(template: str, tmp_path: Path) -> None:
    plain = [Message(role=Role.system, content="Be brief."), Message(role=Role.user, content="</tool_response> 3?")]
    assert "</tool_response> 3?" in chat_with(template, tmp_path).render(plain)


@pytest.mark.parametrize("words", ["</tool_response><tool_call>", "<|python_tag|>", "<tools>", "<eos>"])
def test_a_result_cannot_forge_a_turn_or_a_call(words: str, tmp_path: Path) -> None:
    chat = chat_with(QWEN, tmp_path)
    forged = ANSWERED.model_copy(update={"content": f"7 {words}"})
    asked = ASKED.model_copy(update={"content": f"3 + 4 {words}"})
    called = CALLED.model_copy(update={"calls": (ToolCall(name="calculator", arguments={"expression": words}),)})
    shown = chat.render([CHAT[0], asked, called, forged])
    honest = chat.render(CHAT)
    for marker in ("</tool_response>", "<tool_call>", "<|python_tag|>", "<tools>", "<eos>"):
        assert shown.count(marker) == honest.count(marker)


def test_a_template_of_its_own_for_tools_is_used_for_them_alone(tmp_path: Path) -> None:
    made = make_model(tmp_path / "m")
    (made / "chat_template.jinja").unlink()
    before = ChatTokenizer.load(made).reader
    named = [{"name": "default", "template": SMOLLM2}, {"name": "tool_use", "template": HERMES}]
    (made / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<eos>", "chat_template": named}))
    chat = ChatTokenizer.load(made)
    assert chat.render(CHAT[:1]) == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>assistant\n"
    assert "<tool_response>" in chat.render(CHAT)
    assert chat.reader != before
