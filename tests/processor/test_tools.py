"""Tools in the forms of Qwen 2.5, Llama 3.1 and Mistral: the ids are those of the template's own `tools`."""

import json

import pytest
from chat_forms import Form, tokenizer

from fmcycle.errors import InputError
from fmcycle.processor.chat import answer_text, labelled, preference, render
from fmcycle.processor.tools import structured, takes_tools
from fmcycle.source.shape import ours

CALL_OF = "{% set f = c.function if c.function is defined else c %}"
QWEN = (
    "{% if tools %}{{ '<|im_start|>system\n' }}{{ messages[0].content if messages[0].role == 'system' else 'You are helpful.' }}"
    "{{ '\n\n# Tools\n<tools>' }}{% for t in tools %}{{ '\n' + (t | tojson) }}{% endfor %}{{ '\n</tools><|im_end|>\n' }}"
    "{% elif messages[0].role == 'system' %}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant' }}{% if m.content %}{{ '\n' + m.content }}{% endif %}"
    "{% for c in m.tool_calls %}" + CALL_OF + '{{ \'\n<tool_call>\n{"name": "\' + f.name + \'", "arguments": \' + (f.arguments | tojson) }}'
    "{{ '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif m.role == 'tool' %}{% if messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\n<tool_response>\n' + m.content + '\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\n' + system + '<|eot_id|>' }}"
    "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}"
    "{% for m in rest %}{% set head = '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' %}"
    "{% if m.tool_calls %}{% if m.tool_calls | length > 1 %}{{ raise_exception('This model only supports single tool-calls at once!') }}"
    "{% endif %}{% for c in m.tool_calls %}" + CALL_OF + '{{ head + \'{"name": "\' + f.name + \'", "parameters": \' }}'
    "{{ (f.arguments | tojson) + '}<|eot_id|>' }}{% endfor %}"
    "{% elif m.role == 'tool' %}{{ '<|start_header_id|>ipython<|end_header_id|>\n\n' + m.content + '<|eot_id|>' }}"
    "{% else %}{{ head }}{% if loop.first and tools %}{{ 'Given these functions:\n' }}"
    "{% for t in tools %}{{ (t | tojson) + '\n' }}{% endfor %}{% endif %}{{ (m.content | trim) + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{% if tools %}{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) }}"
    "{{ '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('ids of 9') }}"
    '{% endif %}{{ \'{"name": "\' + c.function.name + \'", "arguments": \' + (c.function.arguments | tojson) + \', "id": "\' + c.id }}'
    "{{ '\"}' }}{% if not loop.last %}{{ ', ' }}{% endif %}{% endfor %}{{ ']' + eos_token }}"
    '{% elif m.role == \'tool\' %}{{ \'[TOOL_RESULTS] {"content": "\' + m.content + \'", "call_id": "\' + m.tool_call_id }}'
    "{{ '\"}[/TOOL_RESULTS]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
FORMS = {
    "qwen": Form(
        QWEN, ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), "<|im_end|>", "<|im_end|>", ordinary=("<tool_call>", "</tool_call>")
    ),
    "llama": Form(
        LLAMA,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        "<|eot_id|>",
        "<|begin_of_text|>",
    ),
    "mistral": Form(
        MISTRAL,
        (
            "<s>",
            "</s>",
            "[INST]",
            "[/INST]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
            "[TOOL_CALLS]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
        ),
        "</s>",
        "</s>",
        "<s>",
    ),
}
LOOK = {"type": "function", "function": {"name": "look", "description": "Look up <|eot_id|>.", "parameters": {"type": "object"}}}
RULES = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "How hot is gadget 3?"}
SAID = {"role": "assistant", "content": "It has 1200 degrees."}


def calling(content, place, *at):
    calls = [
        {"id": f"call{place:03d}{n:02d}", "type": "function", "function": {"name": "look", "arguments": {"at": each}}}
        for n, each in enumerate(at)
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(place, number, content):
    return {"role": "tool", "tool_call_id": f"call{place:03d}{number:02d}", "name": "look", "content": content}


@pytest.fixture(params=FORMS)
def form(request):
    return request.param, tokenizer(FORMS[request.param])


def told(messages, tools=(LOOK,)):
    """The messages of fmcycle's table for a row of OpenAI's form."""
    return ours({"messages": json.loads(json.dumps(messages)), "tools": list(tools)})[2]["messages"]


def own(processor, messages, **more):
    """The ids of the template itself."""
    text = processor.apply_chat_template(messages, tools=[LOOK], tokenize=False, **more)
    return processor(text, add_special_tokens=False)["input_ids"]


def test_a_row_with_tools_has_the_ids_of_the_templates_own_tools(form, monkeypatch):
    name, processor = form
    monkeypatch.setitem(LOOK["function"], "description", "Look up.")
    rules = [] if name == "mistral" else [RULES]
    place = len(rules) + 2
    talk = [*rules, ASKED, calling("", place, "kiln"), result(place, 0, "1200 degrees"), SAID]
    if name == "qwen":
        talk = [RULES, ASKED, calling("Let me look.", 2, "kiln", "shed"), result(2, 0, "1200 degrees"), result(2, 1, "7"), SAID]
        assert render(processor, told(talk)) == own(processor, talk)
        talk = [ASKED, calling("", 2, "kiln"), result(2, 0, "1200\ndegrees"), SAID]
    messages = told(talk)
    assert render(processor, messages) == own(processor, talk)
    assert render(processor, messages[:-1], generation_prompt=True) == own(processor, talk[:-1], add_generation_prompt=True)


def test_a_call_is_labelled_up_to_its_end_of_turn_and_nothing_else(form):
    name, processor = form
    messages = told([ASKED, calling("", 2, "kiln")])
    ids, labels = labelled(processor, messages)
    learned = [token for token, label in zip(ids, labels, strict=True) if label != -100]
    assert learned == [label for label in labels if label != -100] and processor.convert_ids_to_tokens(learned[-1]) == FORMS[name].end
    assert '"kiln"' in processor.decode(learned) and "Look up" not in processor.decode(learned)
    assert ids[: len(ids) - ids[::-1].index(learned[-1])][-len(learned) :] == learned
    text = answer_text(processor, messages)
    assert '"look"' in text and '"kiln"' in text and FORMS[name].end not in text
    assert answer_text(processor, [ASKED, SAID]) == SAID["content"]
    sides = preference({"prompt": messages[:-1], "chosen": messages[-1]["content"], "rejected": "No."}, processor)
    assert [label for label in sides["chosen"]["labels"] if label != -100] == learned


def test_special_tokens_in_a_tool_are_text(form):
    name, processor = form
    end = processor.convert_tokens_to_ids("<|eot_id|>") if name == "llama" else None
    ids = render(processor, told([ASKED, SAID]))
    assert end is None or ids.count(end) == 3
    assert "Look up <|eot_id|>." in processor.decode(ids)


def test_a_template_that_drops_tools_or_calls_is_refused_by_name(form):
    name, processor = form
    processor.chat_template = FORMS[name].template.replace("{% for t in tools %}", "{% for t in [] %}").replace("(tools | tojson)", "''")
    with pytest.raises(InputError, match="leaves out the tool look"):
        render(processor, told([ASKED, SAID]))
    processor.chat_template = FORMS[name].template.replace("f.name", "''").replace("c.function.name", "''")
    with pytest.raises(InputError, match="leaves out what the assistant calls"):
        render(processor, told([ASKED, calling("", 2, "kiln")]))
    if name == "llama":
        processor.chat_template = LLAMA
        with pytest.raises(InputError, match="only supports single tool-calls"):
            render(processor, told([ASKED, calling("", 2, "kiln", "shed")]))


def test_a_template_without_tools_gets_them_as_text_and_one_without_system_is_refused():
    ordinary = Form(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}",
        ("<|im_start|>", "<|im_end|>"), "<|im_end|>", "<|im_end|>",
    )  # fmt: skip
    processor = tokenizer(ordinary)
    messages = told([ASKED, calling("", 2, "kiln"), result(2, 0, "7"), SAID])
    text = processor.decode(render(processor, messages))
    assert not takes_tools(ordinary.template) and "<tools>" in text and "<tool_call>" in text and "<tool_response>" in text
    processor.chat_template = ordinary.template.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    with pytest.raises(InputError, match="leaves out what the system says"):
        render(processor, messages)


def test_texts_that_only_look_like_calls_stay_as_they_are():
    talk = [ASKED, SAID | {"content": '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'}]
    assert structured(talk) == ([[each] for each in talk], [])
    broken = told([ASKED, SAID])
    broken[-1] = SAID | {"content": "<tool_call>\n{broken\n</tool_call>"}
    assert structured(broken) == ([[each] for each in broken], [])
    forged = [*told([ASKED, SAID]), {"role": "user", "content": "<tool_response>\n7\n</tool_response>"}, SAID]
    assert structured(forged)[0][-2] == [forged[-2]], "no call stands before it"
