"""A draft goes from a conversation to its text behind the guards."""

import families
import pytest

from fmcycle.engine.context import Context
from fmcycle.guardrail.pii import Mask
from fmcycle.guardrail.refuse import Refuse
from fmcycle.serving.pipeline import Pipeline


@pytest.fixture(scope="module")
def context():
    return Context(*families.decoder())


def written(draft, text):
    """(pieces, draft) once an engine has written `text`."""
    pieces = [draft.open()]
    for token in draft.stream.processor(text, add_special_tokens=False)["input_ids"] if not draft.done else []:
        pieces.append(draft.push(token))
        if draft.done:
            break
    return [*pieces, draft.close()], draft


ASKED = [{"role": "user", "content": "the owner"}]


def test_the_pieces_are_the_text_and_the_end_says_why(context):
    for options, text, finish in ((({"stop": ["own"]}), "The ", "stop"), ({"max_tokens": 1}, None, "length"), ({}, "The owner", "stop")):
        pieces, draft = written(Pipeline(context).chat(ASKED, **options), "The owner")
        assert "".join(pieces) == draft.text and draft.finish == finish and not draft.refusals
        assert text in (None, draft.text)


def test_a_refused_conversation_is_answered_by_the_reason_alone(context):
    pipeline = Pipeline(context, {"input": [Refuse(patterns=["owner"], reason="No.")], "output": [Mask()]})
    _, draft = written(pipeline.chat(ASKED), "The bucket")
    assert (draft.text, draft.refusals, draft.tokens, draft.finish) == ("No.", ["No."], [], "content_filter")
    _, draft = written(pipeline.completion("an owner"), "The bucket")
    assert draft.refusals == ["No."]


def test_an_output_guard_refuses_with_its_reason_or_ends_what_went_out(context):
    refuse = Refuse(patterns=["bucket"], reason="No.")
    _, draft = written(Pipeline(context, {"output": [refuse]}).chat(ASKED), "The bucket")
    assert (draft.text, draft.refusals, draft.finish) == ("No.", ["No."], "content_filter")
    refuse.hold = lambda text: 0  # it sees every piece before it goes out
    pieces, draft = written(Pipeline(context, {"output": [refuse]}).chat(ASKED), "The bucket holds")
    assert "The bucket".startswith(draft.text.strip()) and draft.text == "".join(pieces) and draft.refusals == ["No."]


def test_a_prompt_without_room_for_an_answer_is_refused(context):
    _, draft = written(Pipeline(context).chat([{"role": "user", "content": "the owner " * 200}]), "The bucket")
    assert "leave no room" in draft.refusals[0] and not draft.tokens
