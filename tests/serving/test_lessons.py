"""From an answer of any kind to what the next model learns from: asked, corrected, exported, collected and curated, in this process."""

import base64
from functools import partial
from types import SimpleNamespace

import families
import numpy as np
import polars as pl
import pytest
import yaml

from fmcycle.data.table import Table
from fmcycle.processor import audio, image, media, text
from fmcycle.serving.export import export
from fmcycle.source import erase
from fmcycle.source.feedback import feedback
from fmcycle.stage import curate


def given(content, kind):
    return {"media_type": kind, "data": base64.b64encode(content).decode()}


@pytest.fixture
def learnt(tmp_path, root):
    """(Served) -> the folder of its feedback after export, the source and curation; every group is of the train split."""
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/a.txt").write_text("A text beside it.")

    def learn(served):
        export(tmp_path, served.assistant.store)
        feedback(tmp_path / "data/feedback", path=str(tmp_path / "feedback"))
        steps = {name: yaml.safe_load((root / f"conf/curation/{name}.yaml").read_text()) for name in ("labelled", "conversation")}
        config = {"curation": steps["labelled"], "conversation": steps["conversation"], "max_bad_rows": None, "source": {}}
        config["order"] = {name: list(config[name]) for name in ("curation", "conversation")}
        config["split"] = {"_target_": "fmcycle.curation.split.by_group", "_partial_": True, "validation": 0.0, "test": 0.0}
        config["executor"] = yaml.safe_load((root / "conf/executor/local.yaml").read_text())
        paths = {"inputs": {"data": str(tmp_path / "data")}, "out": str(tmp_path / "curate"), "runs": str(tmp_path / "runs")}
        curate.run(SimpleNamespace(**paths, **config))
        return tmp_path

    return learn


def row(folder, name, answer):
    """The row of a curated table that an answer became; none: {}."""
    file = folder / f"curate/{name}.parquet"
    found = pl.read_parquet(file).filter(pl.col("id") == f"feedback/{answer}").to_dicts() if file.is_file() else []
    return found[0] if found else {}


def say(served, answer, **said):
    response = served.http.post("/v1/feedback", json={"id": answer, **said})
    assert response.status_code == 201, response.text


def rows_of(path, processor, **about):
    """What training reads of a curated table."""
    return Table(path=str(path), **about)("train", processor)


PICTURES = {"image_classifier": (families.PNG, "image/png", "image"), "audio_classifier": (families.WAV, "audio/wav", "speech")}


@pytest.mark.parametrize("family", PICTURES)
def test_a_corrected_class_of_a_picture_or_a_sound_is_an_example_with_that_label(served, learnt, family):
    content, kind, called = PICTURES[family]
    answer = served(family).http.post("/classify", json={"input": given(content, kind)}).json()
    right = next(each["label"] for each in answer["data"][0]["labels"][::-1])
    say(served(family), answer["id"], rating=-1, corrected=right)
    folder = learnt(served(family))
    found = row(folder, "examples", answer["id"])
    assert (found["label"], found["media"], found["type"], found["text"]) == (right, content, called, "")
    assert (found["source"], found["licence"], found["origin"], found["split"]) == (
        "feedback",
        "LicenseRef-feedback",
        "proprietary",
        "train",
    )
    reads = image.pixels if family == "image_classifier" else audio.features
    train = rows_of(folder / "curate/examples.parquet", served(family).assistant.engine.processor, format=reads, classes="label")
    assert train.classes == [right] and len(train) == 1
    assert len(list((folder / "feedback/snapshots/media").iterdir())) == 1


def test_a_corrected_class_of_a_text_is_a_document_with_that_label(served, learnt):
    classifier = served("text_classifier")
    answer = classifier.http.post("/classify", json={"input": "write to the owner, jo@example.com"}).json()["id"]
    say(classifier, answer, corrected="complaint")
    folder = learnt(classifier)
    found = row(folder, "documents", answer)
    assert (found["text"], found["label"]) == ("write to the owner, <email>", "complaint")
    assert found["licence"] == "LicenseRef-feedback"
    words = partial(text.document, longest=16)
    read = rows_of(folder / "curate/documents.parquet", classifier.assistant.engine.processor, format=words, classes="label")
    assert "complaint" in read.classes, "a class that the model that was asked does not know"
    assert erase.erase(folder / "data", erase.Erased(digests={erase.digest("write to the owner, <email>")})) == 1


def test_a_corrected_transcript_is_an_example_with_that_text(served, learnt, monkeypatch):
    speech = served("speech")
    monkeypatch.setattr(speech.assistant.engine, "transcribe", lambda sound: "the pocket")
    answer = speech.http.post("/v1/audio/transcriptions", files={"file": ("a.wav", families.WAV)}).json()["id"]
    say(speech, answer, rating=-1, corrected="the bucket")
    folder = learnt(speech)
    found = row(folder, "examples", answer)
    assert (found["text"], found["media"], found["type"], found["label"]) == ("the bucket", families.WAV, "speech", "")
    read = rows_of(folder / "curate/examples.parquet", speech.assistant.engine.processor, format=audio.transcript)
    assert speech.assistant.tokenizer.decode(read[0]["decoder_labels"], skip_special_tokens=True) == "the bucket"
    assert erase.erase(folder / "data", erase.Erased(digests={erase.digest("the bucket")})) == 1


def test_a_thumb_up_confirms_the_class_and_a_thumb_down_teaches_nothing(served, learnt):
    classifier = served("image_classifier")
    up, down = (
        classifier.http.post("/classify", json={"input": given(content, "image/png")}).json()
        for content in (families.OTHER_PNG, media.as_png(np.zeros((3, 20, 24))))
    )
    say(classifier, up["id"], rating=1)
    say(classifier, down["id"], rating=-1, comment="no")
    folder = learnt(classifier)
    assert row(folder, "examples", up["id"])["label"] == up["data"][0]["label"]
    assert not row(folder, "examples", down["id"])


def test_vectors_and_drawn_pictures_are_told_of_and_teach_nothing(served, learnt):
    drawn = served("diffusion").http.post("/v1/images/generations", json={"prompt": "cat"}).json()["id"]
    vectors = served("encoder").http.post("/v1/embeddings", json={"input": "the bucket"}).json()["id"]
    for family, answer in (("diffusion", drawn), ("encoder", vectors)):
        say(served(family), answer, rating=1, comment="good")
        folder = learnt(served(family))
        told = pl.read_parquet(folder / "data/feedback/feedback.parquet").filter(pl.col("answer_id") == answer).to_dicts()[0]
        assert (told["rating"], told["comment"]) == (1, "good")
        for name in ("documents", "examples", "instructions", "preferences"):
            assert not row(folder, name, answer)


def test_a_chat_about_a_picture_is_told_of_and_teaches_nothing(served, learnt):
    client = served("vision_language")
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(families.PNG).decode()}"}}
    message = {"role": "user", "content": [picture, {"type": "text", "text": "name it"}]}
    answer = client.http.post("/v1/chat/completions", json={"messages": [message]}).json()["id"]
    say(client, answer, corrected="C")
    folder = learnt(client)
    assert not any(row(folder, name, answer) for name in ("documents", "examples", "instructions", "preferences"))


def test_a_correction_of_several_inputs_is_refused_and_a_rating_is_taken(served, learnt):
    classifier = served("text_classifier")
    answer = classifier.http.post("/classify", json={"input": ["the bucket", "an owner"]}).json()["id"]
    refused = classifier.http.post("/v1/feedback", json={"id": answer, "corrected": "dog"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "corrected"
    assert "of one input, and this answer holds 2" in refused.json()["error"]["message"]
    say(classifier, answer, rating=1)
    assert not row(learnt(classifier), "documents", answer)
