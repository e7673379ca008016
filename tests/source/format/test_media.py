import io
import json
import wave

import numpy as np
import pytest
from PIL import Image

from fmcycle.source.local import local
from fmcycle.source.reader import read


def picture(colour):
    out = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(out, "PNG")
    return out.getvalue()


def sound(seconds=0.1, rate=8000):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(int(seconds * rate)) / 5) * 9000).astype("<i2").tobytes())
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Pictures with a metadata file, pictures with texts beside them, and sound with transcripts."""
    root = tmp_path / "mine"
    for name in ("rows", "beside", "speech"):
        (root / name).mkdir(parents=True)
    for name in ("red", "green", "blue"):
        (root / f"rows/{name}.png").write_bytes(picture(name))
        (root / f"beside/{name}.jpg").write_bytes(picture(name) if name == "blue" else b"\xff\xd8\xff" + name.encode())
    lines = [
        {"file_name": "red.png", "text": "A red square.", "label": "red", "licence": "CC0-1.0"},
        {"file_name": "red.png", "text": "Ein rotes Quadrat."},
        {"file_name": "none.png", "text": "Nothing."},
        {"file_name": "../beside/red.jpg", "text": "Elsewhere."},
        {"file_name": "green.png", "text": 7},
    ]
    (root / "rows/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"half')
    (root / "beside/red.txt").write_text("Red, it says.\n")
    (root / "beside/notes.txt").write_text("A text of its own.")
    (root / "speech/metadata.csv").write_text("file_name,transcription\na.wav,Hello there.\nb.wav,Not a sound.\n")
    (root / "speech/a.wav").write_bytes(sound())
    (root / "speech/b.wav").write_bytes(sound()[:30])
    (root / "speech/c.wav").write_bytes(sound(0))
    return root


ROWS = [
    ("beside/green.jpg", "", "image", ""),
    ("beside/red.jpg", "Red, it says.", "image", ""),
    ("rows/red.png", "A red square.", "image", "red"),
    ("rows/red.png", "Ein rotes Quadrat.", "image", ""),
    ("rows/blue.png", "", "image", ""),
    ("speech/a.wav", "Hello there.", "speech", ""),
]
WRONG = {
    ("beside/blue.jpg", None): "not a .jpg file: its first bytes are those of another format",
    ("rows/metadata.jsonl", 3): "no file beside it has the name in file_name or file or image or audio or path",
    ("rows/metadata.jsonl", 4): "no file beside it has the name in file_name or file or image or audio or path",
    ("rows/green.png", None): "text is not a string but int",
    ("rows/metadata.jsonl", 6): "not valid JSON: half-written?",
    ("speech/metadata.csv", 3): "a damaged sound (Error in WAV file. No 'data' chunk marker.)",
    ("speech/c.wav", None): "a file without sound",
}


def check(reading, folder, top=""):
    frame = reading.table("examples")
    assert frame.select("id", "text", "type", "label").rows() == [(top + row[0], *row[1:]) for row in ROWS]
    assert {(entry["file"], entry["line"]): entry["reason"] for entry in reading.quarantine} == {
        (top + file, line): reason for (file, line), reason in WRONG.items()
    }
    assert reading.table("documents")["text"].to_list() == ["A text of its own."]
    assert reading.read == len(ROWS) + len(WRONG) + 1
    for name, media in zip(frame["id"], frame["media"], strict=True):
        assert media == (folder / name.removeprefix(top)).read_bytes()
    rows = reading.tables["examples"]["row"]
    assert rows.is_sorted() and rows.n_unique() == len(rows)


def test_a_picture_has_what_is_said_of_it_and_its_bytes(folder):
    check(read(folder), folder)


def test_collected_they_are_one_file_and_read_the_same(folder, tmp_path):
    local(tmp_path / "data/mine", path=str(folder))
    assert sorted(file.name for file in (tmp_path / "data/mine").iterdir()) == ["files.zip", "licence.json"]
    check(read(tmp_path / "data"), folder, "mine/")
