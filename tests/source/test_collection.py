"""Raw data by name: every collection composes, and its sources are constructors that take what their yaml says."""

import pytest

from fmcycle.config import build, code_digest, compose, signature

COLLECTIONS = sorted(file.stem for file in (compose.conf_dir() / "collection").glob("*.yaml"))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_is_what_collect_reads_instead_of_its_sources(name):
    section = compose.compose(["stage=collect", f"collection={name}"]).section
    assert set(section["collection"]) == {name}
    assert section["collection"] != compose.compose(["stage=collect"]).section.get("collection")
    for target in code_digest.targets(section["collection"]):
        assert callable(build.resolve(target)) and signature.read(target)


def test_a_key_that_a_source_does_not_have_is_told():
    with pytest.raises(compose.ConfigError, match="tonez"):
        compose.compose(["stage=collect", "collection=emoji", "+collection.emoji.reader.tonez=false"])
    compose.compose(["stage=collect", "collection=emoji", "collection.emoji.reader.tones=false"])
