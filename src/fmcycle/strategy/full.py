"""Every weight moves."""


def full(model):
    """`model`, all of its weights trained."""
    return model.requires_grad_(True)
