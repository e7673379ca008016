"""Vectors, classes, pictures and transcripts through OpenAI's client, and what is refused, over tiny models of each family, in process."""

import base64
import io
import json

import families
import numpy as np
import pytest
import soundfile
from PIL import Image

from fmcycle.processor import media
from fmcycle.processor.chat import render


def url(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def given(content, kind):
    return {"media_type": kind, "data": base64.b64encode(content).decode()}


def test_embeddings_come_as_numbers_and_as_bytes_and_have_length_one(served):
    client = served("encoder").openai
    numbers = client.embeddings.create(model="fmcycle", input=["the bucket", "an owner"], encoding_format="float")
    packed = client.embeddings.create(model="fmcycle", input="the bucket", encoding_format="base64").data[0].embedding
    first = np.array(numbers.data[0].embedding)
    assert np.allclose(first, np.frombuffer(base64.b64decode(packed), "<f4"), atol=1e-6) and np.isclose(np.linalg.norm(first), 1)
    assert len(numbers.data) == 2 and numbers.usage.prompt_tokens == numbers.usage.total_tokens > 4
    row = served("encoder").kept()[-2]
    assert (row["kind"], row["answer"], row["prompt"][1]["content"]) == ("embedding", "2 vectors of 32 numbers", "an owner")


def test_a_clip_embeds_texts_and_pictures_into_one_space(served):
    answer = served("clip").http.post("/v1/embeddings", json={"input": ["bucket", given(families.PNG, "image/png")]}).json()
    assert [len(row["embedding"]) for row in answer["data"]] == [24, 24]
    assert "sha256" in served("clip").kept()[-1]["prompt"][1]["content"]


INPUTS = {
    "text_classifier": "the bucket",
    "image_classifier": given(families.PNG, "image/png"),
    "audio_classifier": given(families.WAV, "audio/wav"),
}


@pytest.mark.parametrize("family", INPUTS)
def test_classes_come_with_probabilities_the_most_probable_first(served, family):
    answer = served(family).http.post("/classify", json={"input": INPUTS[family]})
    row = answer.json()["data"][0]
    probabilities = [each["probability"] for each in row["labels"]]
    assert answer.status_code == 200 and sorted(probabilities, reverse=True) == probabilities and np.isclose(sum(probabilities), 1)
    assert row["label"] == row["labels"][0]["label"] and {each["label"] for each in row["labels"]} == {"cat", "dog", "owl"}
    kept = served(family).kept()[-1]
    assert json.loads(kept["answer"]) == [row["label"]] and kept["answer_id"] == answer.json()["id"]


def test_pictures_have_the_models_size_and_the_same_seed_draws_them_again(served):
    client = served("diffusion").openai
    ask = {"model": "fmcycle", "prompt": "Cat", "n": 2, "size": "8x8", "response_format": "b64_json"}
    first = client.images.generate(**ask, extra_body={"seed": 3, "steps": 2})
    again = client.images.generate(**ask, extra_body={"seed": 3, "steps": 2})
    other = client.images.generate(**ask, extra_body={"seed": 4, "steps": 2})
    images = [[each.b64_json for each in answer.data] for answer in (first, again, other)]
    assert images[0] == images[1] != images[2] and len(set(images[0])) == 2
    assert Image.open(io.BytesIO(base64.b64decode(images[0][0]))).size == (8, 8)
    assert served("diffusion").kept()[-1]["kind"] == "image"


def test_a_transcript_comes_as_json_and_as_text_with_personal_data_masked(served, monkeypatch):
    speech = served("speech")
    monkeypatch.setattr(speech.assistant.engine, "transcribe", lambda sound: "write to bob@example.com")
    said = speech.openai.audio.transcriptions.create(model="fmcycle", file=("a.wav", families.WAV))
    plain = speech.openai.audio.transcriptions.create(model="fmcycle", file=("a.wav", families.WAV), response_format="text")
    assert said.text == plain == "write to <email>"
    row = speech.kept()[-1]
    assert (row["kind"], row["answer"]) == ("transcription", "write to <email>") and f"{len(families.WAV)} bytes" in row["prompt"][0][
        "content"
    ]


def test_an_encoder_decoder_completes(served):
    answer = served("seq2seq").openai.completions.create(model="fmcycle", prompt="the bucket", max_tokens=4)
    assert answer.usage.completion_tokens <= 4 and answer.id.startswith("ans-")


def picture(content, text):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url(content)}}, {"type": "text", "text": text}]}]


def test_a_chat_with_a_picture_says_what_the_model_says_of_this_picture(served):
    client = served("vision_language").openai
    said = [
        client.chat.completions.create(model="fmcycle", messages=picture(each, "name it")) for each in (families.PNG, families.OTHER_PNG)
    ]
    assert [answer.choices[0].message.content for answer in said] == list(families.NAMES)
    row = served("vision_language").kept()[-1]
    assert row["kind"] == "image_chat" and f"{len(families.OTHER_PNG)} bytes" in row["prompt"][0]["content"]
    assert row["prompt"][1] == {"role": "user", "content": "name it"}


def test_an_image_token_that_a_user_writes_is_text(served):
    processor = served("vision_language").assistant.engine.processor
    messages = [{"role": "user", "content": "<image> name it"}]
    ids = render(processor, messages, generation_prompt=True)
    answer = served("vision_language").openai.chat.completions.create(model="fmcycle", messages=messages, max_tokens=1)
    assert processor.image_token_id not in ids and answer.usage.prompt_tokens == len(ids)


def test_a_damaged_picture_in_a_chat_is_named(served):
    body = {"messages": picture(CUT, "name it"), "stream": True}
    answer = served("vision_language").http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400 and "picture 1 is a damaged picture" in answer.json()["error"]["message"]


def test_feedback_on_every_kind_of_answer_is_taken(served):
    name = served("text_classifier").http.post("/classify", json={"input": "the owner"}).json()["id"]
    said = served("text_classifier").http.post("/v1/feedback", json={"id": name, "rating": -1, "corrected": "dog"})
    assert said.status_code == 201 and served("text_classifier").kept()[-1]["corrected"] == "dog"


def test_a_refused_prompt_draws_nothing_and_is_kept(served):
    answer = served("diffusion").http.post("/v1/images/generations", json={"prompt": "dog"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "content_policy_violation"
    assert served("diffusion").kept()[-1]["refused"]


JSON = {
    "/v1/embeddings": {"input": "x"},
    "/classify": {"input": "x"},
    "/v1/images/generations": {"prompt": "x"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/completions": {"prompt": "x"},
}


@pytest.mark.parametrize(("family", "route", "can"), [("encoder", "/v1/embeddings", "gives vectors"), ("speech", "", "writes down speech")])
def test_every_other_route_says_what_the_model_can_do(served, family, route, can):
    for path, body in JSON.items():
        answer = served(family).http.post(path, json=body)
        assert (answer.status_code == 404 and can in answer.json()["error"]["message"]) or path == route
    answer = served("encoder").http.post("/v1/audio/transcriptions", files={"file": ("a.wav", families.WAV)})
    assert answer.status_code == 404 and "gives vectors at /v1/embeddings" in answer.json()["error"]["message"]


CUT = families.PNG[: len(families.PNG) // 2]
BAD = {
    "no such field": ("encoder", "/v1/embeddings", {"input": "x", "inputs": "x"}, "did you mean input"),
    "dimensions": ("encoder", "/v1/embeddings", {"input": "x", "dimensions": 8}, "dimensions"),
    "nothing": ("encoder", "/v1/embeddings", {"input": []}, "at least 1"),
    "too many": ("encoder", "/v1/embeddings", {"input": ["x"] * 300}, "at most 256"),
    "too long": ("encoder", "/v1/embeddings", {"input": "bucket " * 200}, "this model reads 64"),
    "picture to an encoder": ("encoder", "/v1/embeddings", {"input": given(families.PNG, "image/png")}, "reads texts"),
    "text to a picture model": ("masked_image", "/v1/embeddings", {"input": "x"}, "reads pictures"),
    "text to a picture classifier": ("image_classifier", "/classify", {"input": "x"}, "classifies images only"),
    "picture to a text classifier": ("text_classifier", "/classify", {"input": given(families.PNG, "image/png")}, "texts only"),
    "cut picture": ("image_classifier", "/classify", {"input": given(CUT, "image/png")}, "damaged picture"),
    "no picture": ("image_classifier", "/classify", {"input": given(b"text", "image/png")}, "not a readable image"),
    "no base64": ("image_classifier", "/classify", {"input": {"media_type": "image/png", "data": "???"}}, "base64"),
    "cut sound": ("audio_classifier", "/classify", {"input": given(families.WAV[:-40], "audio/wav")}, "cut short"),
    "no sound": ("audio_classifier", "/classify", {"input": given(families.PNG, "audio/wav")}, "not a readable audio file"),
    "another size": ("diffusion", "/v1/images/generations", {"prompt": "cat", "size": "256x256"}, "8x8 only"),
    "a link": ("diffusion", "/v1/images/generations", {"prompt": "cat", "response_format": "url"}, "b64_json"),
    "no such class": ("diffusion", "/v1/images/generations", {"prompt": "horse"}, "cat, dog, owl"),
    "picture to a text model": (
        "decoder",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url(families.PNG)}}]}]},
        "reads no pictures",
    ),
    "a link in a chat": (
        "decoder",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}]}]},
        "fetches nothing",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_why_and_not_kept(served, name):
    family, path, body, why = BAD[name]
    before = len(served(family).kept())
    answer = served(family).http.post(path, json=body)
    assert answer.status_code == 400 and why in answer.json()["error"]["message"]
    assert len(served(family).kept()) == before


def test_roles_that_the_template_refuses_are_told_why(served, monkeypatch):
    template = "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    tokenizer = served("decoder").assistant.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", template + "{{ message.content }}{% endfor %}")
    body = {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]}
    answer = served("decoder").http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400 and "no system here" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("kind", "media_type"), [("FLAC", "audio/flac"), ("OGG", "audio/ogg"), ("MP3", "audio/mpeg")])
def test_sounds_of_every_kind_are_served(served, kind, media_type):
    out = io.BytesIO()
    soundfile.write(out, *soundfile.read(io.BytesIO(families.WAV)), format=kind)
    answer = served("speech").http.post("/v1/audio/transcriptions", files={"file": (f"a.{kind.lower()}", out.getvalue())})
    assert answer.status_code == 200 and answer.json()["text"] == "the bucket"
    answer = served("audio_classifier").http.post("/classify", json={"input": given(out.getvalue(), media_type)})
    assert answer.status_code == 200
    cut = served("speech").http.post("/v1/audio/transcriptions", files={"file": ("a", out.getvalue()[:-40])})
    assert cut.status_code == 400 and cut.json()["error"]["message"].startswith("file: ")


def test_a_bad_form_is_told_why(served):
    http, long = served("speech").http, media.as_wav(np.zeros(9000), 8000)
    wav = {"file": ("a.wav", families.WAV)}
    for body, why in (
        ({"data": {"model": "fmcycle"}, "files": {"sound": wav["file"]}}, "file: send one file"),
        ({"files": {"file": ("a.wav", b"RIFF")}}, "not a readable audio file"),
        ({"files": {"file": ("a.wav", long)}}, "at most 1 s are heard"),
        ({"files": wav, "data": {"language": "en"}}, "language"),
        ({"files": wav, "data": {"response_format": "srt"}}, "'json' or 'text'"),
        ({"files": wav, "data": {"modle": "fmcycle"}}, "did you mean model"),
    ):
        answer = http.post("/v1/audio/transcriptions", **body)
        assert answer.status_code == 400 and why in answer.json()["error"]["message"], answer.text
    assert http.post("/v1/audio/transcriptions", json={}).status_code == 415
    broken = http.post("/v1/audio/transcriptions", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 400 and "form" in broken.json()["error"]["message"]
    assert http.post("/v1/audio/transcriptions", files={"file": ("a.wav", b"x" * (9 << 20))}).status_code == 413


def test_the_models_say_what_they_can(served):
    told = served("diffusion").openai.models.list().data[0]
    assert (told.tasks, told.size, told.classes) == (["generate_image"], "8x8", ["cat", "dog", "owl"])
