"""Columns as the datasets library types them: names of classes instead of their numbers, an image or a sound instead of {bytes, path}."""

import json
from dataclasses import dataclass, field

import pyarrow as pa

from fmcycle.source.column import ANSWERED, ASKED, TALKS, usual

KINDS = {"Image": "image", "Audio": "speech"}
SPOKEN = ("text", "caption", "transcript", "transcription", "sentence")  # columns with a file's caption or transcript


@dataclass(frozen=True)
class Features:
    """classes: {column: names of its classes}; media: (column, "image" or "speech"); caption: the column with its text."""

    classes: dict[str, list[str]] = field(default_factory=dict)
    media: tuple[str, str] | None = None
    caption: str | None = None

    def columns(self, names: list[str]) -> list[str]:
        """The names of the columns of `plain`."""
        if self.media is None:
            return names
        renamed = {self.media[0]: "media", self.caption: "text"}
        return [*(renamed.get(name, name) for name in names if name == self.media[0] or name != "type"), "type"]

    def plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with names of classes and the bytes of its media; a class that the feature does not name is null."""
        arrays = {name: batch.column(name) for name in batch.schema.names}
        for name, known in ((name, known) for name, known in self.classes.items() if name in arrays):
            found = (known[each] if each is not None and 0 <= each < len(known) else None for each in arrays[name].to_pylist())
            arrays[name] = pa.array(found, pa.string())
        if self.media is not None:
            arrays[self.media[0]] = arrays[self.media[0]].field("bytes")
            arrays["type"] = pa.array([self.media[1]] * batch.num_rows, pa.string())
        names = self.columns(batch.schema.names)
        own = [name for name in arrays if name != "type"] + (["type"] if "type" in arrays else [])
        return pa.RecordBatch.from_arrays([arrays[name] for name in (own if self.media is not None else arrays)], names=names)


def of(schema: pa.Schema) -> Features:
    """The features of a file's columns. An image beside a question or a conversation stays as it is: fmcycle has no such table."""
    said = told(schema)
    classes = {
        name: [str(each) for each in kind["names"]]
        for name, kind in said.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
    }
    classes = {name: known for name, known in classes.items() if name in schema.names and pa.types.is_integer(schema.field(name).type)}
    names = {usual(name): name for name in schema.names}
    if names.keys() & {*TALKS, *ASKED, *ANSWERED, "chosen", "media"}:
        return Features(classes)
    media = next(((column.name, kind_of(column.name, said)) for column in schema if is_media(column.type)), None)
    return Features(classes, media, next((names[name] for name in SPOKEN if name in names), None) if media else None)


def told(schema: pa.Schema) -> dict:
    """{column: feature} that the datasets library wrote into a file; {} if it wrote none."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_media(kind: pa.DataType) -> bool:
    """True for a column of {bytes, path}."""
    return (
        pa.types.is_struct(kind)
        and {inner.name for inner in kind} == {"bytes", "path"}
        and (pa.types.is_binary(kind.field("bytes").type) or pa.types.is_large_binary(kind.field("bytes").type))
    )


def kind_of(name: str, said: dict) -> str:
    """The type of the rows of a media column: by its feature, else by its name."""
    feature = said.get(name)
    if isinstance(feature, dict) and feature.get("_type") in KINDS:
        return KINDS[feature["_type"]]
    return "speech" if any(word in name.lower() for word in ("audio", "sound", "speech")) else "image"
