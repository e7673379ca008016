"""A draft goes from a conversation to its text behind the guards, in an evaluation as in the server."""

import families
import pytest
from starlette.testclient import TestClient

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.engine.context import Context
from fmcycle.evaluation.generate import answers
from fmcycle.guardrail.pii import Mask
from fmcycle.guardrail.refuse import Refuse
from fmcycle.model import store as model_store
from fmcycle.serving import routes
from fmcycle.serving.assistant import Assistant
from fmcycle.serving.pipeline import Pipeline
from fmcycle.serving.store import Store


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


def user(text):
    return [{"role": "user", "content": text}]


REFUSE = {"_target_": "fmcycle.guardrail.refuse.Refuse", "patterns": ["dog"], "reason": "No dogs."}
GUARDS = {
    "none": {},
    "both": {"input": [REFUSE], "output": [{"_target_": "fmcycle.guardrail.pii.Mask"}]},
    "output": {"output": [{"_target_": "fmcycle.guardrail.pii.Mask"}, REFUSE | {"patterns": ["<email>"], "reason": "No addresses."}]},
}
TOLD = [
    user("What is a bucket?"),
    user("What is a dog?"),
    [{"role": "system", "content": "Be brief."}, *user("a dog"), {"role": "assistant", "content": "No."}, *user("What is a bucket?")],
    user("The owner"),
]


@pytest.fixture(scope="module")
def serve(tiny_model, tmp_path_factory):
    """(guards) -> (the server's client, its assistant) over the tiny model."""

    def make(guards):
        engine = {"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True}
        package = artifact.tagged(model_store.describe(tiny_model) | {"engine": engine, "guardrail": guards, "config": "c" * 64})
        folder, app = tmp_path_factory.mktemp("served"), routes.create()
        (folder / "model").symlink_to(tiny_model)
        app.state.assistant = Assistant(folder / "model", package, Store(f"sqlite:///{folder}/feedback.db"))
        return TestClient(app, base_url="http://test/"), app.state.assistant

    return make


@pytest.mark.parametrize("stop", [[], [" owner"]])
@pytest.mark.parametrize("guards", GUARDS)
def test_an_evaluation_judges_what_the_server_answers(serve, tiny_model, guards, stop, monkeypatch):
    """Its text, its tokens and its refusals, for conversations and for texts to go on with; greedy."""
    client, assistant = serve(GUARDS[guards])
    model, processor = model_store.load_model(tiny_model)
    prompts = [*TOLD, "The bucket", "Write to a dog"]
    found = answers(model, processor, prompts, guardrail=build(GUARDS[guards]), stop=stop, max_new_tokens=40, batch_size=3)
    for prompt, draft in zip(prompts, found, strict=True):
        said, stream, text = [], assistant.engine.stream, isinstance(prompt, str)
        monkeypatch.setattr(assistant.engine, "stream", lambda handle, said=said, stream=stream: kept(stream(handle), said))
        body = {"temperature": 0, "max_tokens": 40, "stop": stop, "prompt" if text else "messages": prompt}
        served = client.post("/v1/completions" if text else "/v1/chat/completions", json=body).json()
        monkeypatch.undo()
        choice = served["choices"][0]
        assert draft.text == (choice["text"] if text else choice["message"]["content"])
        assert draft.tokens == said and draft.finish == choice["finish_reason"]
        assert bool(draft.refusals) == (choice["finish_reason"] == "content_filter")
        assert len(draft.request.ids) == served["usage"]["prompt_tokens"] and len(said) == served["usage"]["completion_tokens"]
    texts = [draft.text for draft in found]
    assert ("<email>" in texts[0]) == (guards == "both" and not stop) and ("No dogs." in texts) == (guards == "both")
    assert ("No addresses." in texts) == (guards == "output" and not stop)
    assert not stop or found[0].finish == "stop"


async def kept(tokens, said):
    """`tokens`, each of which is added to `said`."""
    async for token in tokens:
        said.append(token)
        yield token
