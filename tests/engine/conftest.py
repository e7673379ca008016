"""Engines over tiny models of each family."""

import families
import pytest

from fmcycle.config.build import build
from fmcycle.engine import fit


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """(family) -> the engine that fits its model; each is made once."""
    made = {}

    def make(family):
        if family not in made:
            folder = families.save(family, tmp_path_factory.mktemp("engine") / family)
            made[family] = build({"_target_": fit.NAMES[fit.engine_of(folder)[1]]}, folder=str(folder))
        return made[family]

    return make
