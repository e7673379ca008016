"""Every engine answers on another device what it answers on the CPU, and answers in half precision there."""

import elsewhere
import families
import numpy as np
import pytest
import torch

from fmcycle.config.build import build
from fmcycle.engine import fit
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.processor import media

FAMILIES = (
    *("text_classifier", "image_classifier", "audio_classifier", "encoder", "clip", "masked_image", "seq2seq", "speech"),
    *("vision_language", "decoder", "pixel_decoder", "diffusion", "text_diffusion"),
)
DRAWS = ("pixel_decoder", "diffusion", "text_diffusion")  # step upon step, and into 256 levels
ITEMS = {
    "text": ["The bucket", "A user deletes what no other user needs."],
    "image": [families.PNG, families.OTHER_PNG],
    "audio": [families.WAV],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(family) -> the folder of its model."""
    made = {}
    return lambda family: made.get(family) or made.setdefault(family, families.save(family, tmp_path_factory.mktemp(family) / "model"))


def engine(folder, **where):
    return build({"_target_": fit.NAMES[fit.engine_of(folder)[1]]}, folder=str(folder), **where)


def answers(engine) -> list:
    """Whatever it can be asked: tokens, vectors, probabilities, pictures as numbers, a transcript."""
    engine.warm_up()
    found: list = []
    items = [item for kind in engine.takes for item in ITEMS[kind]]
    if "embed" in engine.tasks:
        found += engine.embed(items)[0].tolist()
    if "classify" in engine.tasks:
        found += [list(row.values()) for row in engine.classify(items)]
    if "generate_image" in engine.tasks:
        more = {} if fit.NAMES["pixel"].endswith(type(engine).__name__) else {"steps": 3}
        prompt = getattr(engine, "classes", None) or (["the bucket"] if engine.takes else [""])
        found += [(np.asarray(media.picture(png)) / 255).ravel().tolist() for png in engine.generate_image(prompt[0], n=2, seed=3, **more)]
    if "transcribe" in engine.tasks:
        found += [engine.transcribe(families.WAV)]
    if "completion" in engine.tasks:
        drawn = Sampling(max_tokens=6, temperature=1.0, seed=3, top_p=0.9, presence_penalty=0.5)
        found += map(tuple, generate(engine, [Request([5, 6, 7], sampling) for sampling in (Sampling(max_tokens=6), drawn)]))
    if "image" in engine.takes and "chat" in engine.tasks:
        question = [{"role": "user", "content": "name it", "images": 1}]
        from fmcycle.processor.chat import render

        ids = render(engine.processor, question, generation_prompt=True)
        found += map(tuple, generate(engine, [Request(ids, Sampling(max_tokens=3), [families.PNG])]))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_an_engine_answers_elsewhere_what_it_answers_here(folder, family):
    wanted = answers(engine(folder(family)))
    assert wanted
    with elsewhere.device() as device:
        there = engine(folder(family), device=device)
        assert {parameter.device for parameter in there.model.parameters()} == {torch.device("elsewhere", 0)}
        found = answers(there)
    for one, other in zip(wanted, found, strict=True):
        assert one == other if isinstance(one, str | tuple) else np.allclose(one, other, atol=0.004 + 1e-6 if family in DRAWS else 1e-4), (
            family
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_engine_answers_in_half_precision(folder, family):
    wanted = answers(engine(folder(family)))
    with elsewhere.device() as device:
        there = engine(folder(family), device=device, dtype=torch.bfloat16)
        assert {parameter.dtype for parameter in there.model.parameters()} == {torch.bfloat16}
        found = answers(there)
    assert len(found) == len(wanted)
    for one, other in zip(wanted, found, strict=True):
        if isinstance(one, list) and family not in DRAWS:
            assert np.allclose(one, other, atol=0.1), family
