"""A model folder is loaded by its own library before it becomes an artifact, and says in one sentence why it can't be."""

import json
import shutil

import numpy as np
import pytest
import torch

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import store

DAMAGE = {
    "null architectures": {"architectures": None},
    "no architectures": {"architectures": []},
    "a number": {"architectures": [3]},
    "a function of transformers": {"architectures": ["pipeline"]},
    "nothing of transformers": {"architectures": ["os.system"]},
    "code of its own": {"auto_map": {"AutoModel": "evil.Model"}},
    "a width that is a text": {"hidden_size": "wide"},
    "a null width": {"hidden_size": None},
    "no heads": {"num_attention_heads": 0},
    "a huge width": {"hidden_size": 1 << 24},
    "another vocabulary": {"vocab_size": 7},
    "a negative size": {"intermediate_size": -5},
    "an unknown rope": {"rope_parameters": {"rope_type": "x"}},
    "a list": [],
}


@pytest.fixture
def folder(material, tmp_path):
    shutil.copytree(material / "model", tmp_path / "model")
    (tmp_path / "model" / artifact.MANIFEST).unlink()
    return tmp_path / "model"


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_a_damaged_config_is_one_sentence(folder, name):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | DAMAGE[name] if isinstance(DAMAGE[name], dict) else DAMAGE[name]))
    with pytest.raises(InputError, match=str(folder)):
        model_store.load_weights(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": "1.0"}', "null"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer_is_one_sentence(folder, name, content):
    (folder / name).write_text(content)
    try:
        assert store.load_processor(folder)  # an empty tokenizer_config.json is enough for one that has tokenizer.json
    except InputError as error:
        assert str(folder) in str(error)


def test_an_adapter_beside_whole_weights_is_never_put_on_in_silence(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(InputError, match="an adapter beside whole weights"):
        model_store.load_weights(folder)


def test_an_index_that_leads_out_is_refused(folder):
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"names \.\./outside.safetensors, which is not a file beside it"):
        model_store.load_weights(folder)


def test_what_its_library_does_not_load_becomes_no_artifact(material, tmp_path, monkeypatch):
    model, processor = model_store.load_model(material / "model")
    before = type(model).save_pretrained

    def cut(self, folder):
        before(self, folder)
        (folder / "model.safetensors").write_bytes(b"cut")

    monkeypatch.setattr(type(model), "save_pretrained", cut)
    with pytest.raises(InputError, match="can't be read"):
        model_store.save_model(model, processor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["PrefixTuningConfig", "PromptTuningConfig"])
def test_an_adapter_that_is_no_change_of_weights_goes_with_its_base(material, tmp_path, kind):
    import peft

    from fmcycle.engine import generate as batched
    from fmcycle.engine.protocol import Request, Sampling, generate
    from fmcycle.engine.transformers import Transformers
    from fmcycle.model import adapter

    base, processor = model_store.load_model(material / "model")
    torch.manual_seed(0)
    model = peft.get_peft_model(base, getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=3)).eval()
    assert not adapter.merges(model)
    model_store.save_model(model, processor, tmp_path / "model")
    artifact.verify(tmp_path / "model", whole=True)
    ids = torch.arange(20, 30)[None]
    with torch.no_grad():
        logits = model_store.load_weights(tmp_path / "model")(input_ids=ids).logits
        assert torch.allclose(logits, model(input_ids=ids).logits[:, -10:], atol=1e-6) and logits.shape[1] == 10
    request = Request(ids[0].tolist(), Sampling(max_tokens=4))
    wanted = model.generate(input_ids=ids, max_new_tokens=4, do_sample=False, eos_token_id=None)[0, -4:].tolist()
    assert generate(Transformers(str(tmp_path / "model")), [request]) == [wanted]
    loaded, padded = model_store.load_weights(tmp_path / "model"), [request, Request(request.ids[:4], request.sampling)]
    one, both = (batched.generate(loaded, padded, batch_size=size) for size in (1, 2))
    assert [answer.ids for answer in both] == [answer.ids for answer in one] and one[0].ids == wanted
    np.testing.assert_allclose([answer.log_probs for answer in both], [answer.log_probs for answer in one], atol=1e-4)
