"""Finds the engine that serves a model, by the architecture that the model folder names; the model is not loaded."""

from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor.store import PARTS

# {end of an architecture's name: the option of conf/engine that serves it}; the first match counts
ENGINES = {
    "ForSequenceClassification": "classifier",
    "ForImageClassification": "classifier",
    "ForAudioClassification": "classifier",
    "ForCausalLM": "transformers",
    "LMHeadModel": "transformers",
    "LlavaForConditionalGeneration": "transformers",
    "WhisperForConditionalGeneration": "speech",
    "ForConditionalGeneration": "seq2seq",
    "ForMaskedLM": "embedding",
    "ForPreTraining": "embedding",
    "Model": "embedding",
}
NAMES = {
    "transformers": "fmcycle.engine.transformers.Transformers",
    "seq2seq": "fmcycle.engine.seq2seq.Seq2Seq",
    "embedding": "fmcycle.engine.embedding.Embedding",
    "classifier": "fmcycle.engine.classifier.Classifier",
    "speech": "fmcycle.engine.speech.Speech",
    "diffusion": "fmcycle.engine.diffusion.Diffusion",
    "pixel": "fmcycle.engine.pixel.Pixel",
}


def engine_of(folder: str | Path) -> tuple[str, str | None]:
    """Return (architecture, its option in conf/engine, or None if no engine serves it) for a model folder."""
    folder = Path(folder)
    if (folder / "model_index.json").is_file():
        return "diffusion pipeline", "diffusion"
    file = folder / "config.json"
    if not file.is_file():
        raise InputError(f"{file}: not there, so the architecture of this model is unknown")
    names = artifact.read_json(file).get("architectures")
    architecture = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    engine = next((engine for end, engine in ENGINES.items() if architecture.endswith(end)), None)
    if engine == "transformers" and not (folder / "tokenizer_config.json").is_file() and any((folder / name).is_file() for name in PARTS):
        return f"{architecture} over pixels", "pixel"
    return architecture, engine


def check(folder: str | Path, target: str) -> None:
    """Raise InputError if `target` is an engine of fmcycle and another engine of fmcycle serves the model in `folder`."""
    architecture, engine = engine_of(folder)
    if engine and target in NAMES.values() and target != NAMES[engine]:
        asked = next(name for name, known in NAMES.items() if known == target)
        raise InputError(f"{folder} is a {architecture}, which engine={asked} does not serve: take engine={engine}")
