from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.licence.audit import permit
from fmcycle.licence.policy import Policy
from fmcycle.stage import train


@pytest.fixture
def mix(tmp_path):
    """mix(allow, data node): what `permit` takes, of two sources, the second not for commerce; its test rows are nobody's."""
    rows = [
        ("good", "MIT", "train"),
        ("bad", "CC-BY-NC-4.0", "train"),
        ("bad", "CC-BY-NC-4.0", "validation"),
        ("held", "CC-BY-ND-4.0", "test"),
    ]
    file = tmp_path / "documents.parquet"
    pl.DataFrame(rows, schema=["source", "licence", "split"], orient="row").write_parquet(file)

    def parts(allow, data):
        data = data if isinstance(data, dict) else {"_target_": "w"}
        return Policy(allow), {}, data, {"documents": str(file)}

    parts.file = str(file)
    return parts


def test_a_mix_that_breaks_the_policy_is_refused_with_its_sources(mix):
    with pytest.raises(InputError, match=r"2 rows of source bad under CC-BY-NC-4.0 \(non-commercial\)") as told:
        permit(*mix(["permissive"], None))
    assert "held" not in str(told.value) and "licence.allow" in str(told.value)
    permit(*mix(["permissive", "non-commercial"], None))
    permit(*mix(["permissive", "CC-BY-NC-4.0"], None))


def test_what_the_mix_leaves_out_is_not_asked(mix):
    good, bad = ({"_target_": "x", "documents": mix.file, "where": {"source": [name]}} for name in ("good", "bad"))
    permit(*mix(["permissive"], good))
    with pytest.raises(InputError, match="source bad"):
        permit(*mix(["permissive"], {"parts": {"one": {"data": good}, "two": {"data": bad}}}))


def test_a_table_without_licences_is_unknown(mix, tmp_path):
    pl.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "plain.parquet")
    permit(*mix(["unknown"], {"path": str(tmp_path / "plain.parquet")}))
    with pytest.raises(InputError, match="1 rows of source unknown under unknown"):
        permit(*mix(["permissive"], {"path": str(tmp_path / "plain.parquet")}))


def test_training_asks_before_it_does_anything(mix, tmp_path):
    with pytest.raises(InputError, match="source bad"):
        _, _, data, inputs = mix(["permissive"], None)
        licence = {"_target_": "fmcycle.licence.policy.Policy", "allow": ["permissive"]}
        train.run(SimpleNamespace(licence=licence, data=data, inputs=inputs))  # which has nothing else that a run needs
