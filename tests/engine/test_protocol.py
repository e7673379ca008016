"""One contract for every engine of conf/engine, and what is said to one of a user's that does not keep it."""

import asyncio
import re
import sys
import types
from dataclasses import replace

import families
import pytest
import torch
import yaml

from fmcycle.config import signature
from fmcycle.config.build import build
from fmcycle.config.nouns import NOUNS, problem
from fmcycle.engine import fit, protocol
from fmcycle.engine.decoding import choose
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.errors import InputError
from fmcycle.processor.chat import render
from fmcycle.serving.probe import answers

ENGINES = {
    "transformers": ("decoder", "vision_language"),
    "seq2seq": ("seq2seq",),
    "embedding": ("encoder", "clip", "masked_image"),
    "classifier": ("text_classifier", "image_classifier", "audio_classifier"),
    "diffusion": ("diffusion", "text_diffusion"),
    "pixel": ("pixel_decoder",),
    "speech": ("speech",),
}
TOKENS = ("decoder", "vision_language", "seq2seq")


def test_every_engine_of_conf_is_here(root):
    assert set(ENGINES) == {file.stem for file in (root / "conf/engine").glob("*.yaml")}


@pytest.mark.parametrize(("name", "family"), [(name, family) for name, some in ENGINES.items() for family in some])
def test_it_is_what_the_protocol_says_and_answers(engine, root, name, family):
    one = engine(family)
    assert fit.NAMES[name].endswith(f".{type(one).__name__}")
    protocol.check(one)
    answers(one, [])
    options = yaml.safe_load((root / f"conf/engine/{name}.yaml").read_text())
    assert set(options) - {"_target_", "_partial_"} <= set(signature.read(options["_target_"]).parameters)


def requests(engine) -> list[Request]:
    """Nine that differ in length, sampling and, if the model sees, their picture."""
    drawn = Sampling(max_tokens=9, temperature=1.0, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.2)
    found = [Request(engine.begin([5, 6, 7][: 1 + seed % 3]), replace(drawn, seed=seed, max_tokens=5 + seed)) for seed in range(7)]
    found += [Request(engine.begin([9, 4]), Sampling(max_tokens=12)), Request(engine.begin([8]), replace(drawn, temperature=0.3))]
    if "image" not in engine.takes:
        return found
    ids = render(engine.processor, [{"role": "user", "content": "name it", "images": 1}], generation_prompt=True)
    return [
        *found[2:],
        *(Request(ids, each.sampling, [image]) for each, image in zip(found, (families.PNG, families.OTHER_PNG), strict=False)),
    ]


@torch.inference_mode()
def plain(engine, request: Request) -> list[int]:
    """The ids of an answer by the model alone: no engine, no cache, no other request."""
    generator, found = torch.Generator().manual_seed(request.sampling.seed), []
    ids, config = torch.tensor([request.ids]), engine.model.config
    counts = torch.zeros(config.get_text_config().vocab_size)
    more = {}
    if request.images:
        from fmcycle.engine.inputs import pictures

        more = pictures(engine.processor, request.images)
    while len(found) < request.sampling.max_tokens:
        said = torch.tensor([found], dtype=torch.long)
        if config.is_encoder_decoder:
            given = {"input_ids": ids, "decoder_input_ids": torch.cat([torch.tensor([[config.decoder_start_token_id]]), said], 1)}
        else:
            given = {"input_ids": torch.cat([ids, said], 1)}
        logits = engine.model(**given, **more, use_cache=False).logits[0, -1]
        found.append(choose(logits, counts, request.sampling, generator))
        counts[found[-1]] += 1
    return found


@pytest.mark.parametrize("family", TOKENS)
def test_an_answer_is_the_models_own_alone_and_beside_eight_others(engine, family):
    one = engine(family)
    asked = requests(one)
    together = generate(one, asked)
    assert together == [plain(one, request) for request in asked]
    assert together == [generate(one, [request])[0] for request in asked]
    assert len(asked) == 9 and len({tuple(ids) for ids in together}) > 5


@pytest.mark.parametrize("family", TOKENS)
def test_an_abort_ends_one_and_leaves_the_others(engine, family):
    one = engine(family)
    asked = [replace(each, sampling=replace(each.sampling, max_tokens=20)) for each in requests(one)[:3]]
    wanted = generate(one, asked)

    async def main():
        handles = [await one.submit(request) for request in asked]
        streams = [one.stream(handle) for handle in handles]
        first = [await anext(streams[0])]
        await one.abort(handles[0])
        first += [token async for token in streams[0]]
        others = [[token async for token in stream] for stream in streams[1:]]
        await one.abort(handles[1])  # has ended
        return first, others

    first, others = asyncio.run(main())
    assert others == wanted[1:] and first == wanted[0][: len(first)] and len(first) < 20


def test_a_request_that_can_not_be_read_fails_alone(engine):
    one = engine("vision_language")
    good, bad = requests(one)[-1], Request([5], Sampling(max_tokens=3), [b"no picture"])

    async def main():
        handle = await one.submit(good)
        with pytest.raises(InputError, match="not a readable image"):
            await one.submit(bad)
        return [token async for token in one.stream(handle)]

    assert asyncio.run(main()) == plain(one, good)
    with pytest.raises(InputError, match="not a readable image"):
        generate(one, [good, bad])


def test_the_example_of_contributing_takes_the_likeliest_token(engine, root, tmp_path, monkeypatch):
    text = (root / "CONTRIBUTING.md").read_text()
    source = re.search(r"^`src/fmcycle/engine/greedy\.py`\n```python\n(.*?)^```", text, re.M | re.S)[1]
    module = types.ModuleType("fmcycle.engine.greedy")
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "fmcycle.engine.greedy", module)
    greedy = build({"_target_": "fmcycle.engine.greedy.Greedy"}, folder=str(families.save("decoder", tmp_path / "model")))
    protocol.check(greedy)
    draw = Request([5, 6, 7], Sampling(max_tokens=8, temperature=2.0, seed=1))
    likeliest = replace(draw, sampling=Sampling(max_tokens=8))
    assert generate(greedy, [draw]) == generate(engine("decoder"), [likeliest]) != generate(engine("decoder"), [draw])


class Whole:
    """An engine of a user's, in every part as it should be."""

    tasks, takes, processor, max_tokens, positions = ("completion",), ("text",), None, 8, 64

    def warm_up(self): ...
    def room(self, ids): ...
    def begin(self, ids): ...
    async def submit(self, request): ...
    async def stream(self, handle):
        yield 0

    async def abort(self, handle): ...


async def coroutine(self, *_): ...


WRONG = {
    "tasks": (("sing",), "`tasks` is .*some of chat, completion"),
    "takes": (("smell",), "`takes` is .*some of text, image, audio"),
    "submit": (lambda self, request: None, r"submit must be an `async def`"),
    "stream": (coroutine, r"stream must not be an `async def` that returns"),
    "abort": (3, "abort is 3, not a method"),
    "room": (lambda self: 0, r"room must take \(ids\)"),
    "begin": (lambda self, ids, more: 0, r"begin must take \(ids\)"),
}


def test_an_engine_in_the_protocols_form_is_taken():
    protocol.check(Whole())


@pytest.mark.parametrize("part", WRONG)
def test_a_part_in_another_form_is_named(monkeypatch, part):
    value, why = WRONG[part]
    monkeypatch.setattr(Whole, part, value)
    with pytest.raises(InputError, match=why):
        protocol.check(Whole())


@pytest.mark.parametrize("part", [*protocol.parts(protocol.TokenEngine)])
def test_a_part_that_is_not_there_is_named(monkeypatch, part):
    monkeypatch.delattr(Whole, part)
    with pytest.raises(InputError, match=f"`{part}` is None" if part == "tasks" else f"completion has {part} too"):
        protocol.check(Whole())


@pytest.mark.parametrize(("task", "part"), [("embed", "embed"), ("classify", "classify"), ("transcribe", "transcribe")])
def test_each_task_has_its_own_method(monkeypatch, task, part):
    monkeypatch.setattr(Whole, "tasks", (task,))
    with pytest.raises(InputError, match=f"does {task} has {part} too"):
        protocol.check(Whole())


def test_an_image_engine_takes_the_numbers_of_a_request(monkeypatch):
    monkeypatch.setattr(Whole, "tasks", ("generate_image",))
    monkeypatch.setattr(Whole, "size", "8x8", raising=False)
    monkeypatch.setattr(Whole, "generate_image", lambda self, prompt, *, n, seed: [], raising=False)
    with pytest.raises(InputError, match=r"generate_image must take \(prompt, \*, n, seed, steps, guidance\)"):
        protocol.check(Whole())


class Draws:
    """An engine of pictures that takes what the protocol says, and leaves nothing out."""

    tasks, takes, processor, size = ("generate_image",), (), None, "8x8"

    def warm_up(self): ...
    def generate_image(self, prompt, *, n, seed, steps, guidance):
        self.drawn = [families.PNG] * n
        return self.drawn


def test_an_image_engine_without_defaults_is_asked_once():
    answers(engine := Draws(), [])
    assert engine.drawn == [families.PNG]


@pytest.mark.parametrize("name", ["protocol.Sampling", "protocol.TokenEngine", "protocol.Engine", "worker.Worker", "context.Context"])
def test_what_stands_inside_the_room_is_no_engine_of_a_config(name):
    assert "internal class" in problem(f"fmcycle.engine.{name}", {"_partial_": True}, NOUNS["engine"])
