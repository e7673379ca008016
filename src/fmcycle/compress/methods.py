"""Methods of compression, (source folder, folder) -> None; each writes a model folder."""

from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.model import store as model_store


def none(source: Path, folder: Path) -> None:
    """Copy the model unchanged."""
    artifact.copy(source, folder)


def int8(source: Path, folder: Path) -> None:
    """Write the model with its matrices in 8 bits (fmcycle.model.int8): half the size on disk, integer products on the CPU."""
    from fmcycle.model import int8

    model, processor = model_store.load_model(source)
    with artifact.create(folder) as partial:
        int8.round_weights(model).save_pretrained(partial)
        processor.save_pretrained(partial)
        atomic.write_json(partial / int8.FILE, int8.SCHEME)


def example() -> dict:
    """Return a model and its processor, to be written as the folder `source`."""
    from fmcycle.config.example import decoder
    from fmcycle.processor import chat

    return {"model": decoder(), **chat.example()}
