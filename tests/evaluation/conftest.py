"""The model and processor of `material`, loaded once."""

import pytest

from fmcycle.model import store as model_store


@pytest.fixture(scope="session")
def assistant(material):
    """(model, processor)."""
    return model_store.load_model(material / "model")
