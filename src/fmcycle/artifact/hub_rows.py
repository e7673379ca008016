"""Rows of a dataset on the hub, streamed through `datasets`, which runs no script of a repository: one JSON Lines file a split."""

import re
from itertools import islice
from pathlib import Path, PurePosixPath

import orjson

from fmcycle.artifact import atomic, hub, hub_files
from fmcycle.artifact import folder as artifact
from fmcycle.artifact.hub import Reference
from fmcycle.errors import InputError, suggest

ADDRESS = re.compile(r"\w+://\S+")
MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti")  # features of datasets that hold files, not text


def rows(asked: Reference, files: dict) -> Path:
    """Write the rows of a pinned dataset into the cache, with its card and licence texts; return the folder.

    Raises InputError for a dataset that needs a script of its own, has several configs and none named, or can't be read.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(f"{asked}: rows of the hub need the package datasets: run `pip install 'fmcycle[hub]'`") from None
    if (script := f"{asked.repo.rpartition('/')[2]}.py") in files:
        converted = asked.at("refs/convert/parquet")
        raise InputError(f"{asked}: has its script {script} read the rows, and no code of a repository is run; try {converted}, as Parquet")
    described = [name for name in files if "/" not in name and (name == "README.md" or hub_files.TEXT.fullmatch(PurePosixPath(name).name))]
    start = hub_files.download(asked, "dataset", described, files) if described else Path()
    if "README.md" in described and hub_files.head(start) is None:
        raise InputError(f"{asked}: its card README.md has no readable YAML at its head, which names its files and licence; ask its owner")
    datasets.disable_progress_bars()
    try:
        splits = datasets.load_dataset(asked.repo, config_of(asked), revision=asked.revision, streaming=True)
        with artifact.create(hub.place(asked, "dataset"), ours=True) as partial:
            inner = partial / asked.repo.replace("/", "--")
            inner.mkdir()
            counts = {name: written(inner / f"{name}.jsonl", split, asked) for name, split in splits.items()}
            if not sum(counts.values()):
                raise InputError(f"{asked}: holds no rows; name another config or revision")
            for name in described:
                hub_files.link((start / name).resolve(), inner / name)
            about = {"config": asked.part, "rows": counts, "limit": asked.rows}
            atomic.write_json(partial / hub.RECORD, {"kind": "dataset", "repository": asked.repo, "commit": asked.revision} | about)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each format has errors of its own
        why = ADDRESS.sub("...", str(error).strip().partition("\n")[0])[:200]
        raise InputError(f"{asked}: datasets can't read it ({type(error).__name__}: {why}); check its page on the hub") from None
    return hub.place(asked, "dataset")


def config_of(asked: Reference) -> str | None:
    """Return the name of the config to read, None for a dataset without any. Raises InputError for a wrong name, or if none of several is
    named and the card has no default."""
    import datasets

    names = datasets.get_dataset_config_names(asked.repo, revision=asked.revision)
    if asked.part and asked.part not in names:
        raise InputError(f"{asked}: has no config {asked.part}{suggest(asked.part, names)}")
    chosen = asked.part or datasets.get_dataset_default_config_name(asked.repo, revision=asked.revision)
    if not chosen and len(names) > 1:
        named = ", ".join(str(Reference(asked.repo, name, asked.revision, asked.rows)) for name in names[:4])
        raise InputError(f"{asked}: has {len(names)} configs; name one: {named}{' ...' if len(names) > 4 else ''}")
    return chosen


def written(file: Path, split, asked: Reference) -> int:
    """Write the first `asked.rows` rows of a split, all without a limit; return how many. Labels become their names."""
    features = dict(split.features or {})
    if held := [name for name, feature in features.items() if type(feature).__name__ in MEDIA]:
        raise InputError(f"{asked}: {held[0]} holds images or sound, which hub: does not read; download it and name its folder")
    labels = {name: feature for name, feature in features.items() if type(feature).__name__ == "ClassLabel"}
    count = 0
    with open(file, "wb") as out:
        for row in islice(split, asked.rows):
            row |= {name: labels[name].int2str(row[name]) for name in labels if row[name] is not None and row[name] >= 0}
            out.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count
