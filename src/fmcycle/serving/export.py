"""What the feedback store has to say, as immutable snapshots that `collect` reads and DVC versions."""

import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import yaml

from fmcycle import artifact, durable
from fmcycle.error import InputError
from fmcycle.guardrail.pii import Mask
from fmcycle.serving.store import Store

SNAPSHOTS = "feedback/snapshots"
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "answer_id": pl.String, "time": pl.String, "prompt": MESSAGES, "answer": pl.String, "rating": pl.Int64, "comment": pl.String,
    "corrected": pl.String, "preferred": pl.String, "role": pl.String, "model": pl.String, "processor": pl.String, "config": pl.String,
    "prompt_tokens": pl.Int64, "answer_tokens": pl.Int64, "latency": pl.Float64, "refused": pl.Boolean,
}  # fmt: skip


def export(root: str | Path = ".", store: Store | None = None) -> str:
    """Write what is new or changed since the last snapshot into feedback/snapshots, and put that under DVC; says what was done.

    Chats only: a plain completion is no conversation to learn from. Personal data is masked. The same store gives the same bytes.
    Raises InputError where snapshots that DVC knows are missing here: the next one would come to stand for all of them.
    """
    folder = Path(root) / SNAPSHOTS
    with durable.lock(Path(root) / "store/export"):  # not beside the snapshots, where DVC would see it
        _all_there(folder)
        files = sorted(folder.glob("*.parquet"))
        known = {row["answer_id"]: row for file in files for row in pl.read_parquet(file).to_dicts()}
        found = [masked(row) for row in (store or Store()).interactions() if row["kind"] == "chat"]
        new = [row for row in found if row != known.get(row["answer_id"])]
        if new:
            content = io.BytesIO()
            pl.DataFrame(new, schema=COLUMNS).write_parquet(content)
            number = max((int(file.name[:6]) for file in files), default=0) + 1
            # the number orders them, as a later row replaces an earlier one; the digest keeps two machines' snapshots apart
            name = f"{number:06}-{artifact.digest_of(new)[:12]}.parquet"
            durable.write_bytes(folder / name, content.getvalue())
            said = f"{folder / name}: {len(new)} interactions, {sum(bool(row['rating'] or row['corrected']) for row in new)} with feedback"
        else:
            said = f"{folder}: nothing new among {len(found)} interactions"
        if (new or files) and (Path(root) / ".dvc").is_dir():
            _track(Path(root))
    return said


def masked(row: dict) -> dict:
    """One interaction as a row of a snapshot, without personal data."""
    mask = Mask()
    prompt = [{"role": message["role"], "content": mask(message["content"])} for message in row["prompt"]]
    texts = {name: mask(row[name]) for name in ("answer", "comment", "corrected")}
    return {name: (row | texts | {"prompt": prompt})[name] for name in COLUMNS}


def _all_there(folder: Path) -> None:
    pointer = folder.with_name("snapshots.dvc")
    if not pointer.is_file():
        return
    expected = yaml.safe_load(pointer.read_text())["outs"][0].get("nfiles", 0)
    found = len(list(folder.glob("*.parquet")))
    if found < expected:
        raise InputError(f"{folder}: {found} of {expected} snapshots are here; run `dvc pull {pointer}` or `dvc checkout {pointer}` first")


def _track(root: Path) -> None:
    result = subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", SNAPSHOTS], cwd=root, capture_output=True, text=True)
    if result.returncode:
        why = result.stderr.strip()
        raise InputError(f"{SNAPSHOTS}: written, but `dvc add {SNAPSHOTS}` failed: {why}; run `fmcycle feedback export` again")
