"""What the feedback store has to say, as immutable snapshots that `collect` reads and DVC versions."""

import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import yaml

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.guardrail.pii import Mask
from fmcycle.serving.store import Store
from fmcycle.source.feedback import COLUMNS, read

SNAPSHOTS = "feedback/snapshots"


def export(root: str | Path = ".", store: Store | None = None) -> str:
    """Write what is new or changed since the last snapshot into feedback/snapshots, and put that under DVC; says what was done.

    Personal data in texts is masked. The bytes of a picture or sound go into media/ beside, once, where somebody confirmed or corrected
    what the model made of it. The same store gives the same bytes.
    Raises InputError where snapshots that DVC knows are missing here: the next one would come to stand for all of them.
    """
    folder = Path(root) / SNAPSHOTS
    store = store or Store()
    with atomic.lock(Path(root) / "store/export"):  # not beside the snapshots, where DVC would see it
        _all_there(folder)
        files = sorted(folder.glob("*.parquet"))
        known = {row["answer_id"]: row for file in files for row in read(file).to_dicts()}
        found = [masked(row) for row in store.interactions()]
        new = [row for row in found if row != known.get(row["answer_id"])]
        for file in {folder / "media" / row["media"][0] for row in new if is_named(row)}:
            if not file.is_file() and (medium := store.media(file.name)):
                atomic.write_bytes(file, medium)
        if new:
            content = io.BytesIO()
            pl.DataFrame(new, schema=COLUMNS).write_parquet(content)
            number = max((int(file.name[:6]) for file in files), default=0) + 1
            # the number orders them, as a later row replaces an earlier one; the digest keeps two machines' snapshots apart
            name = f"{number:06}-{artifact.digest_of(new)[:12]}.parquet"
            atomic.write_bytes(folder / name, content.getvalue())
            said = f"{folder / name}: {len(new)} interactions, {sum(bool(row['rating'] or row['corrected']) for row in new)} with feedback"
        else:
            said = f"{folder}: nothing new among {len(found)} interactions"
        if (new or files) and (Path(root) / ".dvc").is_dir():
            _track(Path(root))
    return said


def masked(row: dict) -> dict:
    """One interaction as a row of a snapshot, without personal data; of vectors without the texts, of which there may be a whole corpus."""
    mask = Mask()
    asked = row["prompt"] if row["kind"] != "embedding" else []
    prompt = [{"role": each["role"], "content": each["content"] if "media" in each else mask(each["content"])} for each in asked]
    said = ("comment", "corrected") if row["kind"] == "classification" else ("answer", "comment", "corrected")  # labels are the model's own
    texts = {name: mask(row[name]) for name in said}
    media = [each["media"] for each in asked if "media" in each]
    return {name: (row | texts | {"prompt": prompt, "media": media})[name] for name in COLUMNS}


def is_named(row: dict) -> bool:
    """Is it about one picture or sound, and did somebody say what that is?"""
    return len(row["media"]) == 1 and bool(row["rating"] > 0 or row["corrected"])


def _all_there(folder: Path) -> None:
    pointer = folder.with_name("snapshots.dvc")
    if not pointer.is_file():
        return
    expected = yaml.safe_load(pointer.read_text())["outs"][0].get("nfiles", 0)
    found = sum(file.is_file() for file in folder.rglob("*"))
    if found < expected:
        raise InputError(f"{folder}: {found} of {expected} files are here; run `dvc pull {pointer}` or `dvc checkout {pointer}` first")


def _track(root: Path) -> None:
    result = subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", SNAPSHOTS], cwd=root, capture_output=True, text=True)
    if result.returncode:
        why = result.stderr.strip()
        raise InputError(f"{SNAPSHOTS}: written, but `dvc add {SNAPSHOTS}` failed: {why}; run `fmcycle feedback export` again")
