"""Deployment: only what passed and is what was evaluated is served, and a bad candidate changes nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fmcycle.artifact import atomic, digest_cache
from fmcycle.artifact import folder as artifact
from fmcycle.config import build, code_digest
from fmcycle.errors import GateError, InputError
from fmcycle.gate.bound import Bound, judge
from fmcycle.model import store as model_store
from fmcycle.serving import deploy
from fmcycle.serving.probe import ask, probe

ENGINE = {"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True}


@pytest.fixture(autouse=True)
def asked_here(request, monkeypatch):
    """The question that a candidate is asked, in this process: a child imports torch anew. Tests of the child itself take it as it is."""
    if "child" not in request.keywords:
        monkeypatch.setattr(deploy, "probe", ask)


@pytest.fixture
def package(material):
    """package(root, weights=, passed=, engine=, extra=): a package folder as stage/package.py writes it, around the tiny model."""

    def make(root, weights=1.0, passed=True, engine=ENGINE, extra=(), guardrail=None):
        shutil.rmtree(root / "source", ignore_errors=True)
        shutil.rmtree(root / "package", ignore_errors=True)
        with artifact.create(root / "source") as inside:
            shutil.copytree(material / "model", inside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifact.MANIFEST))
            for name in extra:
                (inside / name).write_text("{}")
            tensors = load_file(inside / "model.safetensors")
            save_file({name: tensor * weights for name, tensor in tensors.items()}, inside / "model.safetensors", {"format": "pt"})
        served = {"engine": engine, "guardrail": guardrail or {}}
        verdict = judge({"bits_per_byte": Bound(max=2.0, of="high")}, {"bits_per_byte/high": 1.9 if passed else 2.25})
        with artifact.create(root / "package") as inside:
            content = artifact.tagged(
                model_store.describe(root / "source") | served | {"config": artifact.digest_of(served), "code": code_digest.own(served)}
            )
            atomic.write_json(inside / "package.json", content)
            atomic.write_json(inside / "gate.json", verdict)
            if passed:
                shutil.copytree(root / "source", inside / "model")
        return root / "package"

    return make


def corrupt(file):
    file.write_bytes(b"X" + file.read_bytes()[1:])


def test_a_passing_package_becomes_the_deployed_model(package, tmp_path):
    made = deploy.deploy(package(tmp_path), tmp_path)
    folder, served = deploy.current(tmp_path)
    assert folder == made == tmp_path / "deployed" / served["tag"]


def test_a_refused_candidate_leaves_the_old_model_and_says_what_failed(package, tmp_path):
    old = deploy.deploy(package(tmp_path), tmp_path)
    with pytest.raises(GateError, match=r"bits_per_byte/high is 2.25, max 2: misses by 0.25"):
        deploy.deploy(package(tmp_path, 1.1, passed=False), tmp_path)
    assert "misses by 0.25" in deploy.refresh(tmp_path / "package", tmp_path)
    assert deploy.current(tmp_path)[0] == old


def test_history_is_kept_and_the_same_package_twice_is_one_entry(package, tmp_path):
    first = deploy.deploy(package(tmp_path), tmp_path).name
    deploy.deploy(tmp_path / "package", tmp_path)
    second = deploy.deploy(package(tmp_path, 1.2), tmp_path).name
    state = json.loads((tmp_path / "deployed.json").read_text())
    assert [entry["tag"] for entry in state["history"]] == [first, second] and state["current"] == second
    assert {folder.name for folder in (tmp_path / "deployed").iterdir() if not folder.name.startswith(".")} == {second, "old"}
    deploy.deploy(tmp_path / "deployed/old" / first, tmp_path)
    assert deploy.current(tmp_path)[1]["tag"] == first
    assert "deployed before" in deploy.refresh(tmp_path / "package", tmp_path)


def test_a_corrupt_deployed_model_is_named_with_its_repair_and_deploy_repairs_it(package, tmp_path):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    corrupt(tmp_path / "deployed" / tag / "model/model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors: sha256 .* run `fmcycle deploy`"):
        deploy.current(tmp_path)
    deploy.deploy(tmp_path / "package", tmp_path)
    assert deploy.current(tmp_path)[1]["tag"] == tag


def test_the_deployed_model_shares_no_bytes_with_the_package(package, tmp_path):
    deployed = deploy.deploy(package(tmp_path), tmp_path)
    corrupt(tmp_path / "package/model/model.safetensors")
    folder, _ = deploy.current(tmp_path)  # verifies every byte
    assert folder.resolve() == deployed.resolve()


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.json", "model.safetensors"])
def test_what_differs_from_what_was_evaluated_is_refused_even_with_fresh_manifests(package, tmp_path, name):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    folder = tmp_path / "deployed" / tag
    (folder / "model" / name).write_text("other")
    atomic.write_json(folder / "model/manifest.json", artifact.listing(folder / "model"))
    atomic.write_json(folder / "manifest.json", artifact.listing(folder))
    with pytest.raises(InputError, match="was evaluated"):
        deploy.current(tmp_path)


@pytest.mark.parametrize(
    "target",
    ["os.system", "fmcycle.artifact.atomic.write_bytes", "fmcycle.stage.package.run", "transformers.LlamaForCausalLM", "peft.LoraConfig"],
)
def test_a_package_may_name_engines_guardrails_and_retrievers_only(package, tmp_path, target):
    with pytest.raises(InputError, match=target):
        deploy.deploy(package(tmp_path, engine=ENGINE | {"inner": [{"_target_": target}]}), tmp_path)


def test_a_pickle_inside_a_model_is_refused(package, tmp_path):
    with pytest.raises(InputError, match=r"pytorch_model.bin"):
        deploy.deploy(package(tmp_path, extra=["pytorch_model.bin"]), tmp_path)


def test_nothing_deployed_names_the_command(package, tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        deploy.current(tmp_path)


def test_a_kill_between_copy_and_switch_leaves_the_old_model(package, tmp_path, monkeypatch):
    old = deploy.deploy(package(tmp_path), tmp_path)
    new = package(tmp_path, 1.2)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deploy.deploy(new, tmp_path)
    assert deploy.current(tmp_path)[0] == old
    deploy.deploy(new, tmp_path)
    assert deploy.current(tmp_path)[0] != old


DROPPED = {
    "model/adapter_config.json": '{"peft_type": "LORA"}',
    "model/adapter_model.safetensors": "x",
    "model/1_Pooling/config.json": '{"pooling_mode_cls_token": true}',
    "model/quantization.json": "{}",
    "model/additional_chat_templates/other.jinja": "x",
    "model/model.safetensors.index.json": '{"weight_map": {"x": "../../../evil.safetensors"}}',
    "model/generation_config.json.bak": "x",
    "model/config": "x",
    "extra.txt": "x",
    "model/sub/manifest.json": "[]",
}


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_a_file_that_no_manifest_lists_is_refused_in_a_deployed_folder(package, tmp_path, name):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    file = tmp_path / "deployed" / tag / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(DROPPED[name])
    with pytest.raises(InputError, match=r"not in .*manifest.json, and a library might load it.* run `fmcycle deploy`"):
        deploy.current(tmp_path)
    deploy.deploy(tmp_path / "package", tmp_path)
    assert deploy.current(tmp_path)[1]["tag"] == tag and not file.exists()


def test_a_link_that_leads_out_is_refused(package, tmp_path):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    file = tmp_path / "deployed" / tag / "model/model.safetensors"
    shutil.copy(file, tmp_path / "outside.safetensors")
    file.unlink()
    file.symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(InputError, match="a link that leads out"):
        deploy.current(tmp_path)


def test_every_byte_is_read_when_a_model_is_served(package, tmp_path, monkeypatch):
    folder = deploy.deploy(package(tmp_path), tmp_path)
    reads, read = [], digest_cache.read
    monkeypatch.setattr(digest_cache, "LARGE", 1)  # every file counts as one that is remembered
    monkeypatch.setattr(digest_cache, "read", lambda path: reads.append(Path(path).name) or read(path))
    for _ in range(2):
        reads.clear()
        deploy.current(tmp_path)
        assert reads.count("model.safetensors") >= 2 and {file.name for file in (folder / "model").iterdir()} <= {*reads, "manifest.json"}


HOSTILE = [b"[]", b"null", b"3", b'"x"', b"{}", b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"current": "../../x", "history": []}']
HOSTILE += [b'{"current": null, "history": null}', b'{"model": 3}', b'{"passed": "yes", "checks": 3}', b'{"x": {"size": 1}}']
METADATA = ["deployed.json", "manifest.json", "package.json", "gate.json", "model/manifest.json", "model/config.json"]
HOSTILE += [b'{"../x": {"size": 1, "sha256": "' + b"0" * 64 + b'"}}', b'{"engine": [], "guardrail": null}', b'{"architectures": null}']


@pytest.mark.parametrize("name", METADATA)
def test_damaged_metadata_is_one_sentence_that_names_file_and_repair(package, tmp_path, name):
    """Each of the files in each of the states, with and without manifests that vouch for it: no other error than ours."""
    made = package(tmp_path)
    tag = deploy.deploy(made, tmp_path).name
    refused = 0
    for content in HOSTILE:
        for root in [tmp_path] if name == "deployed.json" else [tmp_path / "deployed" / tag, tmp_path / "package"]:
            for vouched in (False, True):
                file = root / name
                before = {path: path.read_bytes() for path in root.rglob("*.json")}
                file.write_bytes(content)
                if vouched and not name.endswith("manifest.json") and root != tmp_path:
                    for folder in (root / "model", root):
                        atomic.write_json(folder / "manifest.json", artifact.listing(folder))
                for verb in (
                    lambda: deploy.current(tmp_path),
                    lambda: deploy.deploy(made, tmp_path),
                    lambda: deploy.refresh(made, tmp_path),
                ):
                    try:
                        verb()
                    except (InputError, GateError) as error:
                        refused += 1
                        assert "; " in str(error) and "/" in str(error), error
                for path, was in before.items():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(was)
    assert refused > len(HOSTILE)


@pytest.mark.child
def test_an_engine_with_the_call_alone_is_refused_and_the_old_model_stays(package, tmp_path, monkeypatch):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.fmcycle]\npackages = ["acme"]\n')
    (tmp_path / "acme/engine.py").write_text(
        "class Bare:\n    def __init__(self, folder):\n        pass\n    def __call__(self, requests):\n        yield 0, 1\n"
    )
    (tmp_path / "acme/guard.py").write_text("class Loud:\n    def __call__(self, text):\n        return text.upper()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    build.user_packages.cache_clear()
    try:
        old = deploy.deploy(package(tmp_path), tmp_path)
        with pytest.raises(InputError, match=r"`tasks` is None; an engine names what it does"):
            deploy.deploy(package(tmp_path, 1.1, engine={"_target_": "acme.engine.Bare", "_partial_": True}), tmp_path)
        assert deploy.current(tmp_path)[0] == old
        loud = {"output": [{"_target_": "acme.guard.Loud"}]}
        made = package(tmp_path, 1.2, guardrail=loud)
        content = artifact.read_json(made / "package.json")
        assert set(content["code"]) == {"acme.guard/guard.py"}
        assert deploy.deploy(made, tmp_path).name == content["tag"]
        (tmp_path / "acme/guard.py").write_text("class Loud:\n    def __call__(self, text):\n        return text\n")
        with pytest.raises(InputError, match=r"guard.py is not the code that was packaged"):
            deploy.current(tmp_path)
    finally:
        build.user_packages.cache_clear()


@pytest.mark.child
def test_weights_that_are_no_numbers_are_refused_before_they_replace_any(package, tmp_path):
    old = deploy.deploy(package(tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"can't be served.*not finite"):
        deploy.deploy(package(tmp_path, float("nan")), tmp_path)
    assert deploy.current(tmp_path)[0] == old


def test_a_model_that_takes_too_long_is_refused(package, tmp_path):
    with pytest.raises(InputError, match="no answer within 1 s"):
        probe(package(tmp_path) / "model", {"engine": ENGINE, "guardrail": {}}, seconds=1)
