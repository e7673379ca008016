import pytest

from fmcycle.config import build, code_digest
from fmcycle.errors import ConfigError


@pytest.mark.parametrize(
    "target", ["pathlib.Path.write_text", "builtins.open", "os.system", "urllib.request.urlopen", "fmcycle_evil.x", "torch.load"]
)
def test_a_config_can_not_name_what_is_not_on_the_list(target):
    with pytest.raises(ConfigError, match=target):
        build.build({"_target_": target})


def test_nodes_are_built_depth_first_and_partials_wait():
    node = {"_target_": "fmcycle.config.build.build", "node": [1, {"a": {"_target_": "fmcycle.config.build.build", "node": 2}}]}
    assert build.build(node) == [1, {"a": 2}]
    waiting = build.build({"_target_": "fmcycle.config.build.allowed", "_partial_": True})
    assert waiting("torch.optim.AdamW") and not waiting("os.system")


def test_a_code_digest_sees_what_the_targets_reach_and_nothing_else(monkeypatch, tmp_path):
    section = {"_target_": "fmcycle.stage.train.run", "objective": {"_target_": "fmcycle.objective.dpo.DPO"}}
    reached = set()
    monkeypatch.setattr(code_digest, "_reached_from", lambda module, read=code_digest._reached_from: reached.add(module) or read(module))
    code_digest.digest(section)
    assert {"fmcycle.stage.train", "fmcycle.objective.dpo", "fmcycle.artifact.folder", "fmcycle.artifact.atomic"} <= reached
    assert "fmcycle.objective.sft" not in reached and "fmcycle.config.compose" not in reached
