"""Full fine-tuning: train every weight."""


def full(model):
    """Return `model` with all weights trainable."""
    return model.requires_grad_(True)
