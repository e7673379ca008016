"""Pinned wheels from PyPI as a source: downloaded once, checked by sha256, read without running their code."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fmcycle.artifact.wheel import Archive, licence_text, obtain
from fmcycle.source.local import write_record
from fmcycle.tables import schema

Reader = Callable[..., dict[str, list[dict]]]


def package(folder: str | Path, *, wheels: dict, licence: str, reader: Reader, url: str = "", note: str = "") -> None:
    """Write the tables that `reader` makes of the wheels, and `licence.json`, into `folder`.

    wheels: {label: {"name", "version", "sha256"}}; `reader(label=Archive, ...)` returns {table: rows}.
    note: further terms that a reader of the licence should know (those of the text itself).
    Raises InputError if a wheel cannot be downloaded, has another digest or a bad member.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        archives = {label: stack.enter_context(Archive(obtain(**wheel))) for label, wheel in wheels.items()}
        tables = reader(**archives)
        text = "\n\n".join(dict.fromkeys(licence_text(archive) for archive in archives.values()))
    schema.write(folder, tables, source=folder.name, licence=licence, time=max(archive.date for archive in archives.values()))
    write_record(folder, licence, "public", packages=list(wheels.values()), url=url, note=note, text=text)
