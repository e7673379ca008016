"""Loads the processor of a folder and identifies its tokenizer by digest."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmcycle.artifact.folder import read_json, sha256
from fmcycle.errors import InputError

# files of a processor: a change in one of them makes it another processor
PARTS = ("processor_config.json", "preprocessor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
PROCESSOR_FILES = (*TOKENIZER_FILES, *PARTS)


def tokenizer_digest(folder: str | Path) -> str | None:
    """Return the sha256 of the tokenizer in a processor or model folder; None if it has none."""
    file = Path(folder) / "tokenizer.json"
    return sha256(file) if file.is_file() else None


def load_processor(folder: str | Path):
    """Return the processor of a processor or model folder: a tokenizer or another kind; `verify` the folder first.

    Raises InputError if transformers can't load it.
    """
    import transformers

    folder = Path(folder)
    Loader: Any = transformers.AutoTokenizer
    if (folder / PARTS[0]).is_file() or ((folder / PARTS[1]).is_file() and (folder / "tokenizer_config.json").is_file()):
        Loader = transformers.AutoProcessor
    elif (folder / PARTS[1]).is_file():  # AutoProcessor would invent a tokenizer if the model's architecture has one
        sees = "image_processor_type" in read_json(folder / PARTS[1])
        Loader = transformers.AutoImageProcessor if sees else transformers.AutoFeatureExtractor
    with library(f"{folder}: its processor"):
        return Loader.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


@contextmanager
def library(what: str):
    """Turn any error of a library that reads files into an InputError that begins with `what`; let out-of-memory errors pass."""
    import torch

    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{what} can't be read ({type(error).__name__}: {first}); fetch or make the folder again") from error
