"""Every guard in conf/guardrail: its own sample is rewritten or refused, what it wrote it leaves, and plain text passes."""

from pathlib import Path

import pytest
import yaml

from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.errors import Refused

FILES = sorted((Path(__file__).parents[2] / "conf/guardrail").glob("*.yaml"))
GUARDS = [
    pytest.param(node, id=f"{file.stem}.{side}.{place}")
    for file in FILES
    for side, nodes in yaml.safe_load(file.read_text()).items()
    for place, node in enumerate(nodes)
]


@pytest.mark.parametrize("node", GUARDS)
def test_a_guard_acts_on_its_sample_and_on_nothing_plain(node):
    guard = build(node)
    plain, text = example.guardrail()["text"], example.of("guardrail", node["_target_"])["text"]
    assert guard(plain) == plain
    try:
        written = guard(text)
    except Refused as refused:
        assert refused.reason and text not in refused.reason
        return
    assert isinstance(written, str) and written != text and guard(written) == written


@pytest.mark.parametrize("node", GUARDS)
def test_a_stream_holds_back_no_more_than_there_is(node):
    guard, text = build(node), example.of("guardrail", node["_target_"])["text"]
    for end in range(len(text)) if hasattr(guard, "hold") else ():
        assert 0 <= guard.hold(text[:end]) <= end
