"""Rows of a dataset on the hub, streamed through `datasets`, which runs no script of a repository: one JSON Lines file a split."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson

from fmcycle.artifact import atomic, hub, hub_files
from fmcycle.artifact import folder as artifact
from fmcycle.artifact.hub import Reference
from fmcycle.errors import InputError, suggest

ADDRESS = re.compile(r"\w+://\S+")
FORMATS = ("csv", "json", "parquet", "arrow", "text")  # builders of datasets that read rows and load nothing else
PLAIN = {"Value", "ClassLabel", "List", "LargeList", "Sequence", "Json", "Translation", "TranslationVariableLanguages", "Features"}
SETTINGS = ("README.md", ".huggingface.yaml")  # where a repository tells datasets which files to read


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
    described = [name for name in files if name in SETTINGS or ("/" not in name and hub_files.TEXT.fullmatch(name))]
    start = hub_files.download(asked, "dataset", described, files) if described else Path()
    if described:
        settled(asked, start)
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(asked.repo, config_of(asked), revision=asked.revision)
        within(asked, builder)
        splits = builder.as_streaming_dataset()
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


def settled(asked: Reference, start: Path) -> None:
    """Raise InputError if the settings of a dataset can't be read, or name a file elsewhere: datasets would read it from this machine,
    or ask another server for it."""
    for name in SETTINGS:
        content = hub_files.head(start) if name == "README.md" else hub_files.mapping(start / name)
        if content is None:
            raise InputError(f"{asked}: its {name} has no readable YAML, which names its files and licence; ask its owner")
        for text in texts(content.get("configs")):
            if "://" in text or "::" in text or "\\" in text or text.startswith(("/", "~")) or ".." in text.split("/"):
                raise InputError(f"{asked}: its {name} names {ADDRESS.sub('...', text)[:80]!r}, which lies outside the repository")


def texts(node) -> Iterator[str]:
    """Yield every string of a plain value, keys apart."""
    if isinstance(node, str):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from texts(item)


def within(asked: Reference, builder) -> None:
    """Raise InputError if datasets would read another format than rows, or a file of another place than the repository at its commit."""
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in FORMATS:
        raise InputError(f"{asked}: is of the format {kind}, which hub: does not read; download it and name its folder")
    start = f"hf://datasets/{asked.repo}@{asked.revision}/"
    for files in (builder.config.data_files or {}).values():
        if wrong := next((file for file in map(str, files) if not file.rpartition("::")[2].startswith(start)), None):
            raise InputError(f"{asked}: would read {wrong.rpartition('/')[2]}, which lies outside the repository")


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
    features = split.features or {}
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", repr(features))
    if held := {*re.findall(r"\b([A-Z]\w*)\(", unquoted)} - PLAIN:  # also inside lists: a column of images opens the paths that it names
        raise InputError(f"{asked}: holds {', '.join(sorted(held))}, which hub: does not read; download it and name its folder")
    labels = {name: feature for name, feature in features.items() if type(feature).__name__ == "ClassLabel"}
    count = 0
    with open(file, "wb") as out:
        for row in islice(split, asked.rows):
            row |= {name: labels[name].int2str(row[name]) for name in labels if row[name] is not None and row[name] >= 0}
            out.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count
