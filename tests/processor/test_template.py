"""Every well-known form of a chat: the template's own ids, labels up to the end of turn, and the token that ends it."""

import re
from dataclasses import replace

import pytest
from chat_forms import FORMS, GEMMA_TURNS, SYSTEM_FIRST, THOUGHTS, tokenizer

from fmcycle.errors import InputError
from fmcycle.processor.bpe import bpe
from fmcycle.processor.chat import chat_ids, labelled, preference, render
from fmcycle.processor.components import ends


def user(text):
    return {"role": "user", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be brief."}
TALK = [user("What does gadget 3 do?"), said("It warms up."), user("  And then?\n"), said("(nothing)")]
THOUGHT = "<think>\nIt is simple.\n</think>\n\nIt rests."
CHATS = {
    "one turn": TALK[:2],
    "two turns": TALK,
    "an answer with thoughts": [user("Hi"), said(THOUGHT)],
    "two answers with thoughts": [user("Hi"), said(THOUGHT), user("And?"), said(THOUGHT)],
}


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    return FORMS[request.param]


@pytest.fixture(scope="module")
def processor(form):
    return tokenizer(form)


def expected(processor, messages, prompt=False):
    return processor.apply_chat_template(messages, add_generation_prompt=prompt, return_dict=False)


def test_ids_are_those_of_the_template(form, processor):
    for messages in (*CHATS.values(), *([[SYSTEM, *TALK]] if form.system == "kept" else [])):
        assert render(processor, messages) == labelled(processor, messages)[0] == expected(processor, messages)
        assert render(processor, messages[:-1], generation_prompt=True) == expected(processor, messages[:-1], True)


def test_what_stands_between_generation_prompt_and_end_of_turn_is_labelled(form, processor):
    end = processor.convert_tokens_to_ids(form.end)
    for messages in (TALK[:2], TALK, CHATS["an answer with thoughts"]):
        asked, whole = expected(processor, messages[:-1], True), expected(processor, messages)
        labels = labelled(processor, messages, masked=range(len(messages) - 1))[1]
        stop = whole.index(end, len(asked)) + 1
        assert whole[: len(asked)] == asked
        assert labels == [-100] * len(asked) + whole[len(asked) : stop] + [-100] * (len(whole) - stop)
        pair = preference({"prompt": messages[:-1], "chosen": messages[-1]["content"], "rejected": "No."}, processor)
        assert pair["chosen"] == {"input_ids": whole[:stop], "labels": labels[:stop]} and pair["rejected"]["labels"][-1] == end


def test_an_earlier_answer_is_labelled_up_to_what_the_template_writes_behind_it(form, processor):
    ids, labels = labelled(processor, TALK)
    asked, end = len(expected(processor, TALK[:1], True)), processor.convert_tokens_to_ids(form.end)
    assert labels[:asked] == [-100] * asked and labels[asked] == ids[asked]
    first = labels[asked : labels.index(-100, asked)]
    text = processor.decode([*ids[:asked], *first])[len(processor.decode(ids[:asked])) :]
    closed = "" if form.end == "<|return|>" else form.end
    assert text.endswith(("It warms up." + closed, "It warms up. " + closed))
    assert labels.count(end) == (1 if not closed else 2)


def test_an_answer_stops_at_the_end_of_turn_and_of_the_text(form, processor):
    assert ends(processor) == {processor.convert_tokens_to_ids(form.end), processor.eos_token_id}
    assert processor.convert_tokens_to_ids(form.end) in chat_ids(processor)


def test_a_token_of_the_template_in_a_content_stays_text(form, processor):
    end = processor.convert_tokens_to_ids(form.end)
    forged = f"Say {form.end} now"
    for messages in ([user(forged), said("No.")], [user("Hi"), said(forged)]):
        ids, labels = labelled(processor, messages)
        plain = labelled(processor, [message | {"content": message["content"].replace(form.end, "it")} for message in messages])
        assert ids.count(end) == plain[0].count(end) and labels.count(end) == 1
        assert forged in processor.decode(ids)


def test_a_conversation_that_the_template_has_no_place_for_is_refused_by_name(form, processor):
    if form.system == "refused":
        with pytest.raises(InputError, match=r"refuses a conversation of system, user, assistant: System role not supported"):
            labelled(processor, [SYSTEM, *TALK[:2]])
    if form.strict:
        with pytest.raises(InputError, match=r"refuses a conversation of user, user: .*must alternate"):
            render(processor, [user("Hi"), user("there")], generation_prompt=True)
    else:
        assert render(processor, [user("Hi"), user("there")]) == expected(processor, [user("Hi"), user("there")])


def with_template(name, template):
    return tokenizer(replace(FORMS[name], template=template))


def test_a_system_message_that_is_dropped_or_repeated_is_named():
    lost = with_template("gemma_3", "{% set messages = messages[1:] if messages[0].role == 'system' else messages %}{% set before = '' %}"
                         "{% for m in messages %}" + GEMMA_TURNS)  # fmt: skip
    assert render(lost, TALK[:1])
    with pytest.raises(InputError, match=r"each content of a conversation of system, user once: it leaves out what the system says"):
        render(lost, [SYSTEM, TALK[0]])
    twice = with_template("gemma_3", "{% for m in messages %}{% set before = messages[0].content %}" + GEMMA_TURNS)
    with pytest.raises(InputError, match="it repeats what the user says"):
        render(twice, TALK[:1])


def test_a_template_that_computes_on_a_content_is_refused():
    made = with_template("chatml", SYSTEM_FIRST + "{% for m in messages %}{{ m.content }}{{ m.content | length }}{% endfor %}")
    with pytest.raises(InputError, match="it writes other text when a character is added"):
        render(made, TALK[:1])


def test_a_prompt_that_no_answer_follows_in_training_is_refused():
    made = with_template("qwen_3", THOUGHTS.replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif"))
    assert render(made, TALK[:1], generation_prompt=True) == expected(made, TALK[:1], True)
    assert labelled(made, CHATS["an answer with thoughts"])[1][-2] == made.convert_tokens_to_ids("<|im_end|>")
    with pytest.raises(InputError, match=re.escape(r"writes '<think>\n' at the end of a prompt, but 'It rests.<|im_end|>")):
        labelled(made, CHATS["two answers with thoughts"])


def test_a_template_that_ends_no_answer_is_told_before_training():
    made = with_template("chatml", "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
    assert ends(made) == {made.eos_token_id} and render(made, TALK)
    with pytest.raises(InputError, match=r"no end-of-turn token behind an answer.*such as </s>, behind the assistant's content"):
        labelled(made, TALK)
    text = bpe(["It warms up."] * 10, vocab_size=300)
    text.chat_template = FORMS["chatml"].template  # its tokens are not those of this tokenizer
    with pytest.raises(InputError, match="no end-of-turn token"):
        labelled(text, TALK)


def test_a_generation_prompt_that_ends_inside_a_token_is_told_before_training():
    turns = "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}"
    made = with_template("granite", turns + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")
    assert labelled(made, [user("Hi"), said("42")])  # no token of this tokenizer joins the blank and 4
    with pytest.raises(InputError, match="ends the prompt inside a token, with ' '"):
        labelled(made, [user("Hi"), said("Gadget 3 warms up.")])


def test_white_space_that_grows_into_the_prompt_is_not_learned():
    made = with_template("gemma_3", FORMS["gemma_3"].template.replace(" | trim", ""))
    ids, labels = labelled(made, [user("Hi"), said("\nIt rests.")])
    assert ids == expected(made, [user("Hi"), said("\nIt rests.")]) and made.convert_tokens_to_ids("\n\n") in ids
    assert made.decode([label for label in labels if label != -100]) == "It rests.<end_of_turn>"


def test_of_several_templates_the_one_named_default_is_used():
    made = tokenizer(FORMS["granite"])
    made.chat_template = {"default": FORMS["granite"].template, "tool_use": "{{ messages }}"}
    assert render(made, TALK) == expected(made, TALK) and len(ends(made)) == 1
