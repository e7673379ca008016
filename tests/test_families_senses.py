"""Models that see, hear or compare, each by its experiment: a few steps through the real stages, saved, loaded again with the same outputs,
and asked. What is wrong with a row is said before the first step. The proofs run each at its stated size and hold it against its bar.
"""

import shutil
from pathlib import Path

import experiments
import families
import numpy as np
import polars as pl
import pytest
import shared
import torch
from experiments import FEW, ROOT, saved_and_loaded, train
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.config.compose import compose
from fmcycle.engine.classifier import Classifier
from fmcycle.engine.embedding import Embedding
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.speech import Speech
from fmcycle.engine.transformers import Transformers
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import media
from fmcycle.processor.bpe import bpe
from fmcycle.processor.chat import render
from fmcycle.runner.run import perform

COLOURS = ("black", "grey", "white")
WORDS = ("low", "middle", "high")


def png(place: int) -> bytes:
    light = (place % 3) - 1
    return media.as_png(np.random.default_rng(place).normal(light * 0.8, 0.1, (3, 16, 16)))


def wav(place: int) -> bytes:
    tone = np.sin(np.arange(4000) * (0.1, 0.4, 1.2)[place % 3] * (1 + place / 500))
    return media.as_wav(0.5 * tone, 8000)


def table(file: Path, make, names: tuple[str, ...], **changed) -> Path:
    """36 rows of three classes; `changed`: column to what row r3 has in it instead."""
    rows = []
    for place in range(36):
        name, number = names[place % 3], place // 3
        about = {"id": f"r{place}", "text": f"{name} {number % 2}: {name}", "media": make(place), "label": name, "domain": "x"}
        split = {5: "test", 7: "validation"}.get(number, "train")
        rows.append(about | {"split": split, "licence": "CC0-1.0", "source": "own", "group": f"g{place}"})
    rows[3] |= changed
    pl.DataFrame(rows).write_parquet(file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory, material) -> Path:
    """A project with small tables of pictures and sounds, a language model that sees nothing yet, and an encoder of texts."""
    made = experiments.project(tmp_path_factory.mktemp("senses"))
    table(made / "pictures.parquet", png, COLOURS)
    table(made / "sounds.parquet", wav, WORDS)
    torch.manual_seed(0)
    own = bpe(["black grey white"] * 9, vocab_size=300)
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 4, "tie_word_embeddings": True}
    model_store.save_model(LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=1024, **sizes)), own, made / "language")
    families.save("encoder", made / "encoder")
    shutil.copy(material / "instructions.parquet", made / "instructions.parquet")
    return made


PICTURES, SOUNDS = "inputs.examples=pictures.parquet", "inputs.examples=sounds.parquet"
SEES = ["inputs.language=language", "processor.tokenizer=language", "processor.vocab_size=301"]
COMPARES = ["inputs.model=encoder", "inputs.processor=null", "inputs.instructions=instructions.parquet", "data.where.task=[method,type]"]


def chat(model: str) -> bool:
    engine = Transformers(model)
    ids = render(engine.processor, [{"role": "user", "content": "What kind is this?", "images": 1}], generation_prompt=True)
    return all(token < 301 for token in generate(engine, [Request(ids, Sampling(max_tokens=3), [png(0)])])[0])


FAMILIES = {  # experiment: what makes it short, and one request of its kind
    "clip_emoji": ([PICTURES], lambda model: Embedding(model).embed([png(0), "black"])[0].shape == (2, 128)),
    "llava_emoji": ([PICTURES, *SEES], chat),
    "llava_names": ([PICTURES, *SEES], chat),
    "hear_spoken": ([SOUNDS, "model.num_labels=3"], lambda model: set(Classifier(model).classify([wav(0)])[0]) == set(WORDS)),
    "whisper_spoken": (
        [SOUNDS, "evaluation.exact_match.max_new_tokens=4"],
        lambda model: isinstance(Speech(model).transcribe(wav(0)), str),
    ),
    "minilm_answers": ([*COMPARES, "data.max_length=64"], lambda model: Embedding(model).embed(["a list"])[0].shape == (1, 32)),
}


def few(experiment: str) -> list[str]:
    given = [f"experiment={experiment}", *FEW, *FAMILIES[experiment][0]]
    return [*given, f"inputs.vision={perform(compose(few('clip_emoji')))}/model"] if experiment.startswith("llava") else given


@pytest.mark.parametrize("experiment", FAMILIES)
def test_a_few_steps_are_saved_loaded_and_asked(experiment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = few(experiment)
    shutil.rmtree(perform(compose(given)).parent)  # of another test; made anew, so that the model is here to be compared
    out, _ = saved_and_loaded(given, monkeypatch)
    assert FAMILIES[experiment][1](str(out / "model"))


def test_what_sees_begins_with_the_weights_of_both_parts(folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = few("llava_emoji")
    out = perform(compose([*given, "budget.max_steps=0"]))
    own, vision = (model_store.load_model(path)[0].state_dict() for path in (out / "model", given[-1].split("=")[1]))
    language = model_store.load_model("language")[0].state_dict()
    assert torch.equal(own["model.language_model.embed_tokens.weight"][:300], language["model.embed_tokens.weight"])
    assert torch.equal(own["model.language_model.layers.5.mlp.down_proj.weight"], language["model.layers.5.mlp.down_proj.weight"])
    name = "encoder.layers.3.mlp.fc1.weight"
    assert torch.equal(own[f"model.vision_tower.{name}"], vision[f"vision_model.{name}"])
    with pytest.raises(InputError, match=r"inputs\.language: language is no language part for this model: .* another shape"):
        perform(compose([*given, "budget.max_steps=0", "model.text_config.intermediate_size=32"]))


BAD = {
    "no picture": ("clip_emoji", png, COLOURS, {"media": None}, r"row 3 of train \(r3\): no image in it"),
    "a picture cut short": ("clip_emoji", png, COLOURS, {"media": png(0)[:90]}, r"row 3 of train \(r3\): a damaged picture"),
    "a sound cut short": ("hear_spoken", wav, WORDS, {"media": wav(0)[:90]}, r"row 3 of train \(r3\): a sound that is cut short"),
    "a picture for a sound": ("whisper_spoken", wav, WORDS, {"media": png(0)}, r"row 3 of train \(r3\): not a readable audio file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_row_that_cannot_be_used_is_named_before_the_first_step(kind, folder, monkeypatch):
    monkeypatch.chdir(folder)
    experiment, make, names, changed, message = BAD[kind]
    table(folder / "bad.parquet", make, names, **changed)
    with pytest.raises(InputError, match=message):
        perform(compose([f"experiment={experiment}", *FEW, "inputs.examples=bad.parquet"]))


@pytest.mark.parametrize("choice", [["processor=bpe", "model=llama_tiny"], ["model=llama_tiny"]])
def test_a_model_of_text_is_given_no_pictures(choice, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=r"the processor has no image processor|the rows hold pixel_values"):
        perform(compose(["experiment=clip_emoji", *FEW, PICTURES, *choice]))


BARS = {
    "clip_emoji": lambda found: found["text_recall@5"] >= 10 * found["baseline/chance_recall@5"],
    "llava_emoji": lambda found: found["exact_match/low"] > found["baseline/most_frequent_exact_match"],
    "llava_names": lambda found: found["exact_match/low"] > found["baseline/most_frequent_exact_match/high"],
    "hear_spoken": lambda found: found["accuracy"] >= 0.9,
    "whisper_spoken": lambda found: found["exact_match"] >= 0.9,
    "minilm_answers": lambda found: found["recall@1/low"] > found["baseline/words_recall@1"],
}


@pytest.fixture(scope="module")
def proof(tmp_path_factory) -> Path:
    """A project in which what experiments share is made once; what the pipeline has made is there too."""
    made = experiments.project(tmp_path_factory.mktemp("proof"))
    (made / "artifacts").symlink_to(ROOT / "artifacts")
    return made


@pytest.mark.prove
@pytest.mark.parametrize("experiment", BARS)
def test_an_experiment_reaches_what_its_head_says(experiment, proof, monkeypatch, fmcycle):
    monkeypatch.chdir(proof)
    if experiment.endswith("spoken") and not Path("recordings").is_dir():
        if not shared.DATA.is_dir():
            pytest.skip(shared.MISSING)
        shared.spoken_digits(Path("recordings"))
    if experiment in ("llava_emoji", "llava_names", "minilm_answers") and not Path("artifacts/pretrain/model").is_dir():
        pytest.skip("no language model and no data of the pipeline: dvc repro pretrain")
    tables = [f"inputs.{name}=artifacts/curate/{name}.parquet" for name in ("documents", "instructions")]
    found = train(fmcycle, f"experiment={experiment}", *(tables if experiment == "minilm_answers" else []))
    assert BARS[experiment](found), found
