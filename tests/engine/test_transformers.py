"""The reference engine: greedy is what transformers' own generate gives, a seed repeats, and a stop token ends an answer."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.transformers import Transformers
from fmcycle.model import store as model_store
from fmcycle.processor.bpe import bpe


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    processor = bpe(["The bucket holds objects and the owner of the bucket."] * 20, vocab_size=300)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    folder = tmp_path_factory.mktemp("engine") / "model"
    model_store.save_model(LlamaForCausalLM(LlamaConfig(vocab_size=len(processor), **sizes)), processor, folder)
    return Transformers(str(folder))


def tokens(engine, **sampling):
    return generate(engine, [Request([5, 6, 7], Sampling(max_tokens=20, **sampling))])[0]


def test_greedy_equals_generate_of_transformers(engine):
    ids = torch.tensor([[5, 6, 7]])
    wanted = engine.model.generate(ids, max_new_tokens=20, min_new_tokens=20, do_sample=False, pad_token_id=1)[0, 3:].tolist()
    assert tokens(engine) == wanted


def test_a_seed_repeats_and_another_differs(engine):
    assert tokens(engine, temperature=1.0, seed=3) == tokens(engine, temperature=1.0, seed=3) != tokens(engine, temperature=1.0, seed=4)


def test_a_stop_token_ends_it_and_is_not_said(engine):
    said = tokens(engine)
    assert tokens(engine, stop_ids=frozenset([said[4]])) == said[: said.index(said[4])]
