"""Deployment: only what passed and is what was evaluated is served, and a bad candidate changes nothing."""

import json
import shutil

import pytest

from fmcycle import artifact, durable
from fmcycle.error import GateError, InputError
from fmcycle.serving import deploy
from fmcycle.stage.package import Bound, judge

ENGINE = {"_target_": "fmcycle.engine.transformers.Transformers"}


def package(root, weights="weights", passed=True, engine=ENGINE, extra=()):
    """A package folder as stage/package.py writes it, around files that no test loads."""
    shutil.rmtree(root / "source", ignore_errors=True)
    with artifact.create(root / "source") as partial:
        for name in ("config.json", "tokenizer.json", "chat_template.jinja", *extra):
            (partial / name).write_text("{}")
        (partial / "model.safetensors").write_text(weights)
    served = {"engine": engine, "guardrail": {}}
    verdict = judge({"bits_per_byte": Bound(max=2.0, of="high")}, {"bits_per_byte/high": 1.9 if passed else 2.25})
    with artifact.create(root / "package") as partial:
        content = artifact.tagged(artifact.describe(root / "source") | served | {"config": artifact.digest_of(served)})
        durable.write_json(partial / "package.json", content)
        durable.write_json(partial / "gate.json", verdict)
        if passed:
            shutil.copytree(root / "source", partial / "model")
    return root / "package"


def corrupt(file):
    file.write_bytes(b"X" + file.read_bytes()[1:])


def test_a_passing_package_becomes_the_deployed_model(tmp_path):
    made = deploy.deploy(package(tmp_path), tmp_path)
    folder, served = deploy.current(tmp_path)
    assert folder == made == tmp_path / "deployed" / served["tag"]


def test_a_refused_candidate_leaves_the_old_model_and_says_what_failed(tmp_path):
    old = deploy.deploy(package(tmp_path), tmp_path)
    with pytest.raises(GateError, match=r"bits_per_byte/high is 2.25, max 2: misses by 0.25"):
        deploy.deploy(package(tmp_path, "worse", passed=False), tmp_path)
    assert "misses by 0.25" in deploy.refresh(tmp_path / "package", tmp_path)
    assert deploy.current(tmp_path)[0] == old


def test_history_is_kept_and_the_same_package_twice_is_one_entry(tmp_path):
    first = deploy.deploy(package(tmp_path), tmp_path).name
    deploy.deploy(tmp_path / "package", tmp_path)
    second = deploy.deploy(package(tmp_path, "better"), tmp_path).name
    state = json.loads((tmp_path / "deployed.json").read_text())
    assert [entry["tag"] for entry in state["history"]] == [first, second] and state["current"] == second
    assert {folder.name for folder in (tmp_path / "deployed").iterdir() if not folder.name.startswith(".")} == {second, "old"}
    deploy.deploy(tmp_path / "deployed/old" / first, tmp_path)
    assert deploy.current(tmp_path)[1]["tag"] == first
    assert "deployed before" in deploy.refresh(tmp_path / "package", tmp_path)


def test_a_corrupt_deployed_model_is_named_with_its_repair_and_deploy_repairs_it(tmp_path):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    corrupt(tmp_path / "deployed" / tag / "model/model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors: sha256 .* run `fmcycle deploy`"):
        deploy.current(tmp_path)
    deploy.deploy(tmp_path / "package", tmp_path)
    assert deploy.current(tmp_path)[1]["tag"] == tag


def test_the_deployed_model_shares_no_bytes_with_the_package(tmp_path):
    deployed = deploy.deploy(package(tmp_path), tmp_path)
    corrupt(tmp_path / "package/model/model.safetensors")
    folder, _ = deploy.current(tmp_path)  # verifies every byte
    assert folder.resolve() == deployed.resolve()


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.json", "model.safetensors"])
def test_what_differs_from_what_was_evaluated_is_refused_even_with_fresh_manifests(tmp_path, name):
    tag = deploy.deploy(package(tmp_path), tmp_path).name
    folder = tmp_path / "deployed" / tag
    (folder / "model" / name).write_text("other")
    durable.write_json(folder / "model/manifest.json", artifact.listing(folder / "model"))
    durable.write_json(folder / "manifest.json", artifact.listing(folder))
    with pytest.raises(InputError, match="was evaluated"):
        deploy.current(tmp_path)


@pytest.mark.parametrize("target", ["os.system", "fmcycle.durable.write_bytes", "fmcycle.stage.package.run"])
def test_a_package_may_name_engines_guardrails_and_retrievers_only(tmp_path, target):
    with pytest.raises(InputError, match=target):
        deploy.deploy(package(tmp_path, engine={"_target_": "fmcycle.engine.x", "inner": [{"_target_": target}]}), tmp_path)


def test_a_pickle_inside_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"pytorch_model.bin"):
        deploy.deploy(package(tmp_path, extra=["pytorch_model.bin"]), tmp_path)


def test_nothing_deployed_names_the_command(tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        deploy.current(tmp_path)


def test_a_kill_between_copy_and_switch_leaves_the_old_model(tmp_path, monkeypatch):
    old = deploy.deploy(package(tmp_path), tmp_path)
    new = package(tmp_path, "better")
    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deploy.deploy(new, tmp_path)
    assert deploy.current(tmp_path)[0] == old
    deploy.deploy(new, tmp_path)
    assert deploy.current(tmp_path)[0] != old
