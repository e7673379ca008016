"""Any folder of JSONL, Parquet and text files as our tables; what cannot be read is told, never lost."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fmcycle.error import InputError
from fmcycle.source.local import files
from fmcycle.source.table import SCHEMA

TEXT_FILES = {".txt", ".text", ".md", ".rst"}
DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
ROLES = {"system", "user", "assistant"}
CONTROL = bytes(range(9)) + bytes(range(14, 32))


@dataclass
class Reading:
    """Rows by table, what could not be read ({file, line, reason}), and how many rows or unreadable files there were."""

    rows: dict[str, list[dict]] = field(default_factory=lambda: {name: [] for name in SCHEMA})
    quarantine: list[dict] = field(default_factory=list)
    read: int = 0

    def table(self, name: str) -> pl.DataFrame:
        """The rows of one table with its columns, sorted by id; an id that is there twice gets "~2", "~3" ..."""
        frame = pl.DataFrame(self.rows[name], schema=SCHEMA[name]).sort("id", maintain_order=True)
        place = pl.int_range(1, pl.len() + 1).over("id")
        return frame.with_columns(id=pl.when(place > 1).then(pl.format("{}~{}", "id", place)).otherwise("id")).sort("id")


def read(folder: str | Path) -> Reading:
    """Read every file under `folder`. Missing ids are file and line, missing sources the folder, missing licences "unknown"."""
    folder, reading = Path(folder), Reading()
    for file in files(folder):
        name = file.relative_to(folder).as_posix()
        top = name.split("/")[0] if "/" in name else folder.resolve().name
        origin = {"source": top, "licence": licence_of(file.parent, folder)}
        if file.suffix == ".parquet":
            read_parquet(file, name, origin, reading)
        else:
            read_bytes(file.read_bytes(), name, origin, reading)
    return reading


def licence_of(folder: Path, root: Path) -> str:
    """The licence that the nearest licence.json names, in `folder` or above it up to `root`; "unknown" without one.

    Raises InputError for a record that cannot be read: whether a text may be used is not to be guessed.
    """
    record = folder / "licence.json"
    if not record.is_file():
        return "unknown" if folder == root else licence_of(folder.parent, root)
    try:
        return str(json.loads(record.read_text())["licence"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{record}: not a licence record ({error}); write {{"licence": "SPDX name"}} into it, or delete it') from error


def read_bytes(content: bytes, name: str, origin: dict, reading: Reading) -> None:
    """A JSONL file line by line, or a text file as one document."""
    suffix = Path(name).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                take_json(line, name, number, origin, reading)
    elif suffix in TEXT_FILES:
        take({"text": content}, name, None, origin, reading)
    else:
        refuse(name, None, f"{suffix or 'no suffix'}: not JSONL, Parquet or text ({', '.join(sorted(TEXT_FILES))})", reading)


def read_parquet(file: Path, name: str, origin: dict, reading: Reading) -> None:
    """The rows of a Parquet file; one with the columns file and content holds whole files."""
    try:
        rows = pl.read_parquet(file).to_dicts()
    except DAMAGE as error:
        refuse(name, None, f"not readable as Parquet: {(str(error) or 'damaged').splitlines()[0]}", reading)
        return
    if not rows or "answer_id" in rows[0]:  # the feedback record: its lessons stand beside it
        return
    for number, row in enumerate(rows, 1):
        if set(row) == {"file", "content"} and isinstance(row["content"], bytes):
            read_bytes(row["content"], f"{name.rpartition('/')[0] or '.'}/{row['file']}", origin, reading)
        else:
            take(row, name, number, origin, reading)


def take_json(line: bytes, name: str, number: int, origin: dict, reading: Reading) -> None:
    """One line of a JSONL file."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return refuse(name, number, f"invalid UTF-8 at byte {error.start}", reading)
    except (ValueError, RecursionError):
        return refuse(name, number, "not valid JSON: half-written?", reading)
    if not isinstance(row, dict):
        return refuse(name, number, "not a JSON object", reading)
    return take(row, name, number, origin, reading)


def take(row: dict, name: str, number: int | None, origin: dict, reading: Reading) -> None:
    """Put a row into the table that its columns tell, or into quarantine with the reason."""
    kind = kind_of(row)
    if kind is None:
        return refuse(name, number, "no column text, messages, or chosen and rejected", reading)
    base = {"id": name if number is None else f"{name}#{number}", "domain": "unknown", "task": "unknown", "document": "", **origin}
    known = {key: value for key, value in row.items() if key in SCHEMA[kind] and value is not None}
    filled = {key: value for key, value in (base | known).items() if key in SCHEMA[kind]}
    if kind in ("documents", "prompts"):
        problem, text = readable(row.get("text", row.get("content")))
        filled["text"] = text
    else:
        problem = conversation_problem(filled) if kind == "instructions" else pair_problem(filled)
    if problem:
        return refuse(name, number, problem, reading)
    filled = {key: value if key in ("messages", "prompt") else str(value) for key, value in filled.items()}
    filled.setdefault("group", filled["id"])
    reading.rows[kind].append(filled)
    reading.read += 1
    return None


def kind_of(row: dict) -> str | None:
    """The table that a row with these columns belongs to."""
    if "messages" in row:
        return "instructions"
    if "chosen" in row and "rejected" in row:
        return "preferences"
    if "text" in row and "kind" in row:
        return "prompts"
    return "documents" if "text" in row or "content" in row else None


def readable(value) -> tuple[str | None, str]:
    """(why it is no text, or None; the text)."""
    if isinstance(value, bytes):
        if b"\0" in value:
            return "binary", ""
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            return f"invalid UTF-8 at byte {error.start}", ""
    if not isinstance(value, str):
        return f"text is no string but {type(value).__name__}", ""
    if any("\ud800" <= character <= "\udfff" for character in value if character > "\ud7ff"):
        return "half of a surrogate pair", ""
    if not value.strip():
        return "empty", ""
    control = sum(map(value.count, CONTROL.decode()))
    return ("binary", "") if "\0" in value or control > len(value) / 10 else (None, value)


def messages_problem(messages) -> str | None:
    """Why `messages` is no list of {role, content}."""
    if not isinstance(messages, list) or not messages:
        return "messages is no list with something in it"
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES or readable(message.get("content"))[0]:
            return "a message without a role of system, user, assistant, or without content"
    return None


def conversation_problem(row: dict) -> str | None:
    """Why a row is no instruction."""
    return messages_problem(row["messages"]) or (
        None if row["messages"][-1]["role"] == "assistant" else "the last message is not the assistant's"
    )


def pair_problem(row: dict) -> str | None:
    """Why a row is no preference; a prompt that is a string becomes one message."""
    if isinstance(row.get("prompt"), str):
        row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    wrong = messages_problem(row.get("prompt")) or readable(row["chosen"])[0] or readable(row["rejected"])[0]
    return wrong or ("chosen and rejected are the same" if row["chosen"] == row["rejected"] else None)


def refuse(name: str, number: int | None, reason: str, reading: Reading) -> None:
    """Count a row or file that could not be read."""
    reading.quarantine.append({"file": name, "line": number, "reason": reason})
    reading.read += 1
