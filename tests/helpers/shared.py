"""Development data beside the repository, as folders that a person would have: sound with a metadata file, labelled lines."""

import gzip
import json
from pathlib import Path
from typing import Literal

import numpy as np

from fmcycle.processor.media import as_wav

DATA = Path(__file__).parents[3] / "shared/data"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MISSING = "no development data beside the repository"


def spoken_digits(folder: Path, group: Literal["take", "speaker"] = "take") -> Path:
    """750 WAV files and metadata.jsonl: transcript, label = digit, domain = speaker.

    group: "take", a recording is held out and its speaker known; "speaker", all of a speaker are held out.
    """
    folder.mkdir(parents=True)
    content = np.load(DATA / "audio/fsdd-spoken-digits/fsdd.npz")
    audio, offsets = content["audio"], content["offsets"]  # each is unpacked whole whenever it is asked for
    lines = []
    for line in (DATA / "audio/fsdd-spoken-digits/meta.jsonl").read_text().splitlines():
        about = json.loads(line)
        name = f"{about['digit']}_{about['speaker']}_{about['take']}"
        start, end = offsets[about["i"] : about["i"] + 2]
        (folder / f"{name}.wav").write_bytes(as_wav(audio[start:end] / 32768, about["rate"]))
        told = {"file_name": f"{name}.wav", "transcript": NAMES[about["digit"]], "label": str(about["digit"]), "domain": about["speaker"]}
        lines.append(json.dumps(told | {"group": name if group == "take" else about["speaker"], "licence": "CC-BY-SA-4.0"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def banking77(folder: Path) -> Path:
    """10,003 questions to a bank with one of 77 intents as label."""
    lines = gzip.decompress((DATA / "labelled/banking77/train.jsonl.gz").read_bytes()).decode().splitlines()
    return _labelled(folder, [(row["text"], row["category"]) for row in map(json.loads, lines)], "CC-BY-4.0")


def clinc150(folder: Path) -> Path:
    """18,200 requests with one of 150 intents, or "oos" for none of them, as label."""
    parts = json.loads(gzip.decompress((DATA / "labelled/clinc150/data_full_without_test.json.gz").read_bytes()))
    return _labelled(folder, [(text, label) for name in sorted(parts) for text, label in parts[name]], "CC-BY-3.0")


def _labelled(folder: Path, rows: list[tuple[str, str]], licence: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"text": text, "label": label, "licence": licence}) for text, label in rows))
    return folder
