"""A model of each well-known form of a chat is fine-tuned, written and asked: its answers end by themselves."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch
import transformers
from chat_forms import FORMS, tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from fmcycle.engine.protocol import generate
from fmcycle.engine.transformers import Transformers
from fmcycle.serving.pipeline import Pipeline
from fmcycle.stage import train

ASKED, LONGEST = 12, 100
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 256}
FAMILIES = {
    "qwen_2": "Qwen2",
    "qwen_2.5": "Qwen2",
    "qwen_3": "Qwen3",
    "gemma_2": "Gemma2",
    "gemma_3": "Gemma3",
    "mistral": "Mistral",
    "phi_3": "Phi3",
    "phi_4": "Phi3",
    "command_r": "Cohere",
    "granite": "Granite",
    "olmo_2": "Olmo2",
    "chatml": "GPTNeoX",
    "gpt_oss": "GptOss",
}  # all others are Llamas
OWN = {
    "Gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "Gemma3": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "Qwen3": {"head_dim": 8},
    "Cohere": {"logit_scale": 1.0},  # its own, 1/16, is for a width of thousands
    "GptOss": {"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
}


def question(number: int) -> dict:
    return {"role": "user", "content": f"What does gadget {number} do in the morning?"}


def row(number: int) -> dict:
    answer = {"role": "assistant", "content": f"Gadget {number} warms up for {number + 3} seconds."}
    return {"id": str(number), "messages": [question(number), answer], "split": "train" if number < 150 else "validation"}


def brought(folder, name):
    """A folder as a hub has it: random weights, the tokenizer, and what generation_config of that family says."""
    form, kind = FORMS[name], FAMILIES.get(name, "Llama")
    spoken = tokenizer(form)
    grouped = {} if kind in ("GPTNeoX", "Gemma2", "Gemma3") else {"num_key_value_heads": 2}
    ids = {"bos_token_id": spoken.bos_token_id, "eos_token_id": spoken.eos_token_id, "pad_token_id": spoken.pad_token_id}
    config = getattr(transformers, f"{kind}TextConfig" if kind == "Gemma3" else f"{kind}Config")
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config(vocab_size=len(spoken), **SIZES, **grouped, **ids, **OWN.get(kind, {})))
    stood = spoken.convert_tokens_to_ids(list(form.stood or [form.eos]))
    model.generation_config.eos_token_id = stood
    model.save_pretrained(folder)
    spoken.save_pretrained(folder)
    return kind, set(stood)


def tuned(folder, name, steps):
    """(the exported folder, the ids that ended a generation of the model that was brought)."""
    kind, stood = brought(folder / "brought", name)
    pl.DataFrame([row(number) for number in range(160)]).write_parquet(folder / "rows.parquet")
    (folder / "runs").mkdir()
    instruction = {"_target_": "fmcycle.processor.chat.instruction", "_partial_": True}
    cfg = SimpleNamespace(
        inputs={"model": str(folder / "brought"), "instructions": str(folder / "rows.parquet")},
        out=str(folder / "out"),
        runs=str(folder / "runs"),
        model={"_target_": "fmcycle.model.pretrained.pretrained", "path": str(folder / "brought"), "architecture": f"{kind}ForCausalLM"},
        objective={"_target_": "fmcycle.objective.sft.SFT"},
        strategy={"_target_": "fmcycle.strategy.full.full", "_partial_": True},
        data={"_target_": "fmcycle.data.table.Table", "path": str(folder / "rows.parquet"), "format": instruction},
        optimizer={"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 0.005},
        budget={"_target_": "fmcycle.training.budget.Budget", "max_steps": steps, "global_batch": 16, "validate_every": 0},
        trainer={"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1, "sample_every": 0},
        licence={"_target_": "fmcycle.licence.policy.Policy", "allow": ["permissive", "unknown"]},
        logger={},
        evaluation={},
    )
    train.run(cfg)
    return folder / "out/model", stood


def stops(folder, name, stood):
    """The ids that must end a generation of the written model."""
    spoken = AutoTokenizer.from_pretrained(folder)
    return sorted({*stood, spoken.convert_tokens_to_ids(FORMS[name].end), spoken.eos_token_id})


def ending(folder):
    """How many of ASKED answers end by themselves: (in our engine, in plain transformers). Both read the same prompts."""
    spoken, plain = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    engine = Transformers(str(folder))
    pipeline = Pipeline(engine)
    drafts = [pipeline.chat([question(number)], max_tokens=LONGEST) for number in range(ASKED)]
    own = sum(len(answer) < LONGEST for answer in generate(engine, [draft.request for draft in drafts]))
    others = 0
    for number, draft in enumerate(drafts):
        given = spoken.apply_chat_template([question(number)], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        assert given["input_ids"][0].tolist() == list(draft.request.ids)
        answer = plain.generate(**given, max_new_tokens=LONGEST, do_sample=False)[0][given["input_ids"].shape[1] :]
        others += int(answer[-1]) in plain.generation_config.eos_token_id
    return own, others


def test_a_model_that_is_brought_is_written_with_the_end_of_turn_beside_what_stood_there(tmp_path):
    folder, stood = tuned(tmp_path, "phi_4", 0)
    assert GenerationConfig.from_pretrained(folder).eos_token_id == stops(folder, "phi_4", stood)


@pytest.mark.prove
@pytest.mark.parametrize("name", FORMS)
def test_answers_end_by_themselves(name, tmp_path):
    folder, stood = tuned(tmp_path, name, 250)
    assert GenerationConfig.from_pretrained(folder).eos_token_id == stops(folder, name, stood)
    own, others = ending(folder)
    assert own >= 11 and others >= 11, (own, others)
