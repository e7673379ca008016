"""Fine-tuning that reads documents again forgets less of them, at the same number of steps."""

import polars as pl
import pytest
import torch
import yaml

from fmcycle.config.build import build
from fmcycle.data import token_shards
from fmcycle.evaluation.bits_per_byte import BitsPerByte
from fmcycle.model import store as model_store
from fmcycle.objective.sft import SFT
from fmcycle.processor import store
from fmcycle.stage.tokens import encoded

STEPS, ROWS = 60, 4


@pytest.fixture
def rows(material, tmp_path, root, monkeypatch):
    """share -> the training rows of conf/data/instructions_replay.yaml with so much replay; 0: conversations alone."""
    monkeypatch.chdir(tmp_path)
    processor, documents = store.load_processor(material / "processor"), pl.read_parquet(material / "documents.parquet")
    train = documents.filter(pl.col("split") == "train")
    token_shards.write(tmp_path / "tokens/train", encoded(train, processor), vocab_size=len(processor))
    text = (root / "conf/data/instructions_replay.yaml").read_text()
    for name, path in (("instructions", material / "instructions.parquet"), ("tokens", tmp_path / "tokens")):
        text = text.replace(f"${{inputs.{name}}}", str(path))
    node = yaml.safe_load(text.replace("${data.max_length}", "128")) | {"max_length": 128}

    def made(share: float):
        if share:
            node["parts"]["replay"]["share"], node["parts"]["instructions"]["share"] = share, 1 - share
            return build(node)("train", processor)
        return build(node["parts"]["instructions"]["data"])("train", processor)

    return made


def pretrained(material, documents):
    """The model of `material` after it has read the training documents: there must be something to forget."""
    model, processor = model_store.load_model(material / "model")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        batch = documents.collate([documents[(step * ROWS + place) % len(documents)] for place in range(ROWS)])
        out = SFT(normalize_by="token")(model.train(), batch)
        (out["loss"] / out["count"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, processor


def finetuned(folder, rows):
    model = model_store.load_model(folder)[0].train()
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for step in range(STEPS):
        chosen = rows.step(0, step, ROWS) if hasattr(rows, "step") else [(step * ROWS + place) % len(rows) for place in range(ROWS)]
        out = SFT(normalize_by="answer")(model, rows.collate([rows[int(index)] for index in chosen]))
        (out["loss"] / out["count"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(out["loss"] / out["count"]))
    return model.eval(), losses


def test_replay_lowers_the_rise_of_bits_per_byte_at_the_same_steps(rows, material, tmp_path):
    mixed = rows(0.5)
    model, processor = pretrained(material, mixed.parts[1])
    model_store.save_model(model.eval(), processor, tmp_path / "base")
    measure = BitsPerByte(str(material / "documents.parquet"), reference=str(tmp_path / "base"), split="train", limit=60, resamples=200)
    rise = {}
    for share, data in ((0.0, rows(0)), (0.5, mixed)):
        tuned, losses = finetuned(tmp_path / "base", data)
        assert losses[-1] < losses[0]
        rise[share] = measure(tuned, processor)
    assert rise[0.0]["bits_per_byte_rise/low"] > 0, "fine-tuning alone forgets"
    assert rise[0.5]["bits_per_byte_rise/high"] < rise[0.0]["bits_per_byte_rise/low"], rise


def test_a_document_weighs_as_one_answer_or_by_its_tokens(rows, material):
    """What the objective counts in a mixed batch is what conf says: conversations and documents, or all their targets."""
    mixed = rows(0.5)
    batch = mixed.collate([mixed[0], mixed[len(mixed.parts[0])]])
    model = model_store.load_model(material / "model")[0]
    targets, starts = batch["labels"][:, 1:] != -100, batch["position_ids"] == 0
    with torch.no_grad():
        by_answer, by_token = (SFT(normalize_by=unit)(model, batch)["count"] for unit in ("answer", "token"))
    assert by_token == targets.sum() and starts[:, 1:].sum() <= by_answer <= starts.sum()
    assert targets[1].sum() > targets[0].sum(), "a document's every token is a target, and of a conversation the answer's"
