"""Methods of compression: (source folder, folder) -> None; each writes a model folder."""

from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.model import store as model_store


def none(source: Path, folder: Path) -> None:
    """The same model: every file as it is."""
    artifact.copy(source, folder)


def int8(source: Path, folder: Path) -> None:
    """The model with its matrices in 8 bits; see fmcycle.model.int8. Half the size on disk; its layers multiply integers on the CPU."""
    from fmcycle.model import int8

    model, processor = model_store.load_model(source)
    with artifact.create(folder) as partial:
        int8.round_weights(model).save_pretrained(partial)
        processor.save_pretrained(partial)
        atomic.write_json(partial / int8.FILE, int8.SCHEME)
