"""The model and processor of `material`, loaded once."""

import pytest

from fmcycle import artifact


@pytest.fixture(scope="session")
def assistant(material):
    """(model, processor)."""
    return artifact.load_model(material / "model")
