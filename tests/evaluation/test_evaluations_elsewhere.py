"""Every evaluation of conf/evaluation finds on another device what it finds on the CPU, for a tiny model of each family that it is for."""

from pathlib import Path

import elsewhere
import families
import numpy as np
import polars as pl
import pytest
import torch
import transformers
import yaml
from omegaconf import OmegaConf

from fmcycle.config.build import build
from fmcycle.model import store as model_store
from fmcycle.processor import media, multimodal
from fmcycle.processor.image import image

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF / "evaluation").glob("*.yaml"))
SAID = ("The bucket holds objects.", "The owner may list them all.", "A user deletes it.", "What no other user needs.")
WHERE = {"parts": {"domain": {"data": {"where": {"source": ["here"]}}}}}


def masked_decoder():
    processor = families.tokenizer()
    return transformers.BertForMaskedLM(transformers.BertConfig(**families.text_config(processor))), processor


def drawing():
    return families.diffusion()[0], image([], size=8, channels=1)


def drawing_from_text():
    return families.text_diffusion()[0], multimodal.clip([families.TEXT] * 20, size=8, vocab_size=320)


# option: [(family, the option of conf/data or what stands for it, what is smaller here than in the yaml)]
TRIED = {
    "accuracy": [
        ("image_classifier", {"images": {"classes": "label"}}, {"baseline": 0}),
        ("text_classifier", {"text_classes": {}}, {"baseline": 0}),
        ("audio_classifier", {"audio": {}}, {"baseline": 0}),
    ],
    "bits_per_byte": [("decoder", None, {"context": 32, "limit": 4, "batch_size": 2})],
    "bits_per_dimension": [("pixel_decoder", {"pixels": {"format": {"count": 4}}}, {})],
    "generated_images": [
        ("drawing", {"images": {"classes": "label"}}, {"each": 1, "steps": 2}),
        ("drawing_from_text", {"captions": {"classes": "label"}}, {"each": 1, "steps": 2}),
    ],
    "fidelity": [("decoder", None, {"limit": 4})],
    "instruction": [("decoder", None, {"per_task": 4, "max_new_tokens": 6})],
    "masked": [("masked_decoder", None, {"context": 16})],
    "exact_match": [
        ("vision_language", {"picture_questions": {}}, {"max_new_tokens": 4}),
        ("speech", {"transcripts": {}}, {"max_new_tokens": 4}),
    ],
    "seq2seq": [("seq2seq", {"seq2seq_pairs": {}}, {"max_new_tokens": 6})],
    "preference": [("decoder", None, {"limit": 4})],
    "probe": [("masked_image", {"images": {"classes": "label"}}, {}), ("image_classifier", {"images": {"classes": "label"}}, {})],
    "image_text_retrieval": [("clip", {"captions": {}}, {})],
    "safety": [("decoder", None, {"per_kind": 2, "max_new_tokens": 6})],
    "domain_shift": [("decoder", WHERE, {"context": 32, "limit": 4})],
    "sentence_retrieval": [("encoder", {"text_pairs": {}}, {})],
    "pretraining": [("decoder", None, {"context": 32, "limit": 4})],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, str]:
    """{input: file} of what evaluations read, a dozen rows of each split."""
    folder, rows = tmp_path_factory.mktemp("tables"), []
    random = np.random.default_rng(0)
    for number in range(24):
        text, label = SAID[number % 4], ("cat", "dog", "owl")[number % 3]
        rows.append(
            {
                "id": f"r/{number}",
                "split": ("train", "test")[number // 3 % 2],
                "group": str(number),
                "source": ("here", "there")[number % 2],
            }
        )
        rows[-1] |= {"text": text, "label": label, "domain": label, "task": label, "kind": ("harmful", "harmless", "toxic")[number % 3]}
        ask = [{"role": "user", "content": f"name it {number}"}]
        rows[-1] |= {"messages": [*ask, {"role": "assistant", "content": text}], "prompt": ask, "chosen": text, "rejected": text[::-1]}
        rows[-1] |= {"picture": media.as_png(random.uniform(-1, 1, (3, 16, 16))), "sound": families.WAV}
    frame = pl.DataFrame(rows)
    found = {
        name: str(folder / f"{name}.parquet") for name in ("documents", "instructions", "preferences", "prompts", "examples", "sounds")
    }
    for name in ("documents", "instructions", "preferences", "prompts"):
        frame.drop("picture", "sound").write_parquet(found[name])
    for name, column in (("examples", "picture"), ("sounds", "sound")):
        frame.select("id", "split", "group", "text", "label", "domain", media=pl.col(column)).write_parquet(found[name])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(family) -> the folder of its model."""
    made: dict = {}

    def make(family: str) -> Path:
        if family not in made:
            torch.manual_seed(0)
            model, processor = (globals().get(family) or getattr(families, family))()
            made[family] = tmp_path_factory.mktemp(family) / "model"
            model_store.save_model(model, processor, made[family])
        return made[family]

    return make


def evaluations(option: str, data, smaller: dict, model: Path, tables: dict) -> dict:
    """What conf/evaluation/OPTION.yaml builds over `tables`."""
    if data is not WHERE and data is not None:
        ((name, changed),) = data.items()
        data = OmegaConf.merge(yaml.safe_load((CONF / f"data/{name}.yaml").read_text()), changed)
        tables = tables | ({"examples": tables["sounds"]} if name in ("audio", "transcripts") else {})
    inputs = tables | dict.fromkeys(("reference", "model"), str(model)) | {"domain_documents": tables["documents"]}
    node = yaml.safe_load((CONF / f"evaluation/{option}.yaml").read_text())
    first = next(iter(node))
    node[first] |= smaller
    whole = {"inputs": inputs, "data": data or {"max_length": 16}, "budget": {"max_steps": 1, "global_batch": 2, "seed": 0}}
    plain = OmegaConf.to_container(OmegaConf.create(whole | {"evaluation": node}), resolve=True)["evaluation"]
    windows = lambda: [np.arange(8, 200) % 97]  # noqa: E731  (what was trained on is no matter of the model's device)
    for each in plain.values():
        each.pop("windows", None)
    return {name: build(each, **({"windows": windows} if name in ("ngram", "masked") else {})) for name, each in plain.items()}


CASES = [(option, *case) for option, cases in TRIED.items() for case in cases]


@pytest.mark.parametrize(("option", "family", "data", "smaller"), CASES, ids=lambda case: case if isinstance(case, str) else "")
def test_an_evaluation_finds_elsewhere_what_it_finds_here(option, family, data, smaller, folder, tables, monkeypatch):
    loaded, load = [], model_store.load_model
    monkeypatch.setattr(model_store, "load_model", lambda *where: loaded.append(where[1:]) or load(*where))
    for name, evaluation in evaluations(option, data, smaller, folder(family), tables).items():
        wanted = evaluation(*model_store.load_model(folder(family)))
        assert any("/" not in key for key in wanted), wanted
        with elsewhere.device() as device:
            found = evaluation(*model_store.load_model(folder(family), device))
        assert found == pytest.approx(wanted, abs=2e-4), name
        assert all(torch.device(where[0]).type == "elsewhere" for where in loaded[-1:]), loaded  # a reference model too
        with elsewhere.device() as device:
            half = evaluation(*model_store.load_model(folder(family), device, torch.bfloat16))
        assert half.keys() == wanted.keys() and loaded[-1][1] == torch.bfloat16
        assert all(half[key] == wanted[key] for key in half if key.endswith("/n"))


def test_every_option_is_tried():
    assert set(TRIED) == {file.stem for file in FILES}
