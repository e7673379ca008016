"""Exports the feedback store as immutable snapshots, which `collect` reads and DVC versions."""

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
    """Write interactions that are new or changed since the last snapshot into feedback/snapshots and run `dvc add`; return a report.

    Personal data in texts is masked. The bytes of an image or a sound go into media/, once, if a person confirmed or corrected its class or
    transcript. The same store gives the same bytes.
    Raises InputError if snapshots that DVC knows are missing here, because DVC would then drop them from the data.
    """
    folder = Path(root) / SNAPSHOTS
    store = store or Store()
    with atomic.lock(Path(root) / "store/export"):  # outside the snapshots, so that DVC does not track it
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
            # the number gives the order, in which later rows replace earlier ones; the digest tells the snapshots of two machines apart
            name = f"{number:06}-{artifact.digest_of(new)[:12]}.parquet"
            atomic.write_bytes(folder / name, content.getvalue())
            said = f"{folder / name}: {len(new)} interactions, {sum(bool(row['rating'] or row['corrected']) for row in new)} with feedback"
        else:
            said = f"{folder}: nothing new among {len(found)} interactions"
        if (new or files) and (Path(root) / ".dvc").is_dir():
            _track(Path(root))
    return said


def masked(row: dict) -> dict:
    """Return an interaction as a row of a snapshot, without personal data. For embeddings it leaves out the texts, maybe a whole corpus."""
    mask = Mask()
    asked = row["prompt"] if row["kind"] != "embedding" else []
    prompt = [{"role": each["role"], "content": each["content"] if "media" in each else mask(each["content"])} for each in asked]
    # labels, the answer of a classifier, hold no personal data
    said = ("comment", "corrected") if row["kind"] == "classification" else ("answer", "comment", "corrected")
    texts = {name: mask(row[name]) for name in said}
    media = [each["media"] for each in asked if "media" in each]
    return {name: (row | texts | {"prompt": prompt, "media": media})[name] for name in COLUMNS}


def is_named(row: dict) -> bool:
    """Return True if the row has one image or sound and a person confirmed or corrected its answer."""
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
