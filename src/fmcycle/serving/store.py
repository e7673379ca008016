"""The feedback store: every answer and people's feedback on it; SQLite by default, PostgreSQL by URL."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from fmcycle.artifact.folder import digest_of
from fmcycle.errors import InputError

DEFAULT = "store/feedback.db"
# seconds after which PostgreSQL counts as down
AWAY = {"connect_timeout": 2, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
metadata = sa.MetaData()

ANSWERS = sa.Table(
    "answers",
    metadata,
    sa.Column("answer_id", sa.String(64), primary_key=True),
    sa.Column("time", sa.String(32), nullable=False),  # ISO 8601, UTC
    sa.Column("kind", sa.String(16), nullable=False),  # chat, image_chat, completion, embedding, classification, image, transcription
    sa.Column("prompt", sa.Text, nullable=False),  # messages as JSON; `media` of a message is the sha256 of its file
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("finish", sa.String(16), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("processor", sa.String(64), nullable=False),
    sa.Column("config", sa.String(64), nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("answer_tokens", sa.Integer, nullable=False),
    sa.Column("latency", sa.Float, nullable=False),  # seconds
    sa.Column("refused", sa.Boolean, nullable=False),
)
FEEDBACK = sa.Table(
    "feedback",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("answer_id", sa.ForeignKey("answers.answer_id"), nullable=False, index=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("rating", sa.Integer, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("corrected", sa.Text, nullable=False),
    sa.Column("preferred", sa.String(16), nullable=False),
    sa.Column("role", sa.String(64), nullable=False),
    sa.Column("key", sa.String(255), unique=True),  # Idempotency-Key
    sa.Column("content", sa.String(64), nullable=False),  # digest of the feedback, to tell a repeat from a reused key
)
MEDIA = sa.Table(
    "media",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
PROBE = sa.Table(
    "probe",  # one row, which a test write updates
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(32), nullable=False),
)
UNSAID = {"rating": 0, "comment": "", "corrected": "", "preferred": "", "role": ""}  # the feedback of an answer that has none
NEVER = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.NotSupportedError)  # errors of the row itself, which a retry can't mend


class StoreDown(Exception):
    """The store can't be written at the moment: locked, full or down. The message says why and holds no text of a user."""


class UnknownAnswer(KeyError):
    """No answer has this id."""


class SeveralInputs(ValueError):
    """A correction of an answer to as many inputs: which of them is meant?"""


class KeyReused(ValueError):
    """An Idempotency-Key came back with other content."""


class Store:
    """Answers and feedback. What a method has returned from is on disk."""

    def __init__(self, url: str | None = None, *, folder: str | Path = ".", patience: float = 30):
        """`url`: SQLAlchemy's; else the environment's FMCYCLE_STORE, else SQLite at store/feedback.db in `folder`.

        patience: seconds to wait for another process that writes. Raises InputError where there is no store and none can be made.
        """
        url = url or os.environ.get("FMCYCLE_STORE") or f"sqlite:///{Path(folder) / DEFAULT}"
        where = "FMCYCLE_STORE"
        try:
            place = sa.engine.make_url(url)
            where = place.render_as_string(hide_password=True)
            if place.drivername == "postgresql":
                place = place.set(drivername="postgresql+psycopg")
            lite = place.drivername.startswith("sqlite")
            self.file = Path(place.database) if lite and place.database and place.database != ":memory:" else None
            self.opened: tuple[int, int] | None = None  # the file that the connections are of
            self.engine = sa.create_engine(place, connect_args={"timeout": patience} if lite else AWAY, pool_pre_ping=not lite)
            if lite:
                sa.event.listen(self.engine, "connect", self._durable)
            if self.file:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            metadata.create_all(self.engine)
        except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
            why = str(getattr(error, "orig", error)).partition("\n")[0]
            raise InputError(f"{where}: the feedback store can't be opened ({why}); name another with FMCYCLE_STORE=URL") from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that is on disk when the block ends. Raises StoreDown, or one of NEVER."""
        try:
            # if the file was moved or removed, writes to it would be lost
            if self.file and self.opened and _identity(self.file) != self.opened:
                self.engine.dispose()
                metadata.create_all(self.engine)
            with self.engine.begin() as connection:
                yield connection
        except NEVER:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise StoreDown(str(getattr(error, "orig", error)).partition("\n")[0][:200]) from error

    def probe(self) -> None:
        """Write a row without content. Raises StoreDown."""
        row = {"number": 1, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._writing() as connection:
            if not connection.execute(PROBE.update(), row).rowcount:
                connection.execute(PROBE.insert(), row)

    def add_answer(self, row: dict, media: Iterable[bytes] = ()) -> None:
        """Store an answer, once. row: the columns of `answers`, `prompt` as a list of messages; media: the files that the messages name.

        Raises StoreDown.
        """
        for content in media:
            self._add_media(content)
        try:
            with self._writing() as connection:
                connection.execute(ANSWERS.insert(), row | {"prompt": json.dumps(row["prompt"], ensure_ascii=False)})
        except sa.exc.IntegrityError:  # an earlier attempt stored it and was cut off before it knew
            with self._writing() as connection:
                if connection.scalar(sa.select(ANSWERS.c.answer_id).where(ANSWERS.c.answer_id == row["answer_id"])) is None:
                    raise

    def _add_media(self, content: bytes) -> None:
        row = {"sha256": sha256(content), "content": content}
        try:
            with self._writing() as connection:
                if connection.scalar(sa.select(MEDIA.c.sha256).where(MEDIA.c.sha256 == row["sha256"])) is None:
                    connection.execute(MEDIA.insert(), row)
        except sa.exc.IntegrityError:  # another request has stored the same file meanwhile
            pass

    def media(self, sha256: str) -> bytes | None:
        """Return the bytes of a file, or None if the store does not have it."""
        with self.engine.connect() as connection:
            return connection.scalar(sa.select(MEDIA.c.content).where(MEDIA.c.sha256 == sha256))

    def add_feedback(self, answer_id: str, time: str, said: dict, key: str | None = None) -> tuple[int, bool]:
        """Store feedback; return (number of the row, True if it is new). said: {"rating", "comment", "corrected", "preferred", "role"}.

        The same `key` with the same content returns the existing row. Raises UnknownAnswer, SeveralInputs, KeyReused, StoreDown.
        """
        content = digest_of([answer_id, said])
        try:
            with self._writing() as connection:
                known = sa.select(ANSWERS.c.kind, ANSWERS.c.prompt).where(ANSWERS.c.answer_id == answer_id)
                if (answer := connection.execute(known).one_or_none()) is None:
                    raise UnknownAnswer(answer_id)
                inputs = len(json.loads(answer.prompt)) if answer.kind == "classification" else 1
                if said["corrected"] and inputs > 1:
                    raise SeveralInputs(inputs)
                row = {"answer_id": answer_id, "time": time, "key": key, "content": content, **said}
                key_of_row = connection.execute(FEEDBACK.insert(), row).inserted_primary_key
                assert key_of_row is not None
                return key_of_row[0], True
        except sa.exc.IntegrityError:
            with self._writing() as connection:
                there = connection.execute(sa.select(FEEDBACK.c.number, FEEDBACK.c.content).where(FEEDBACK.c.key == key)).one()
            if there.content != content:
                raise KeyReused(key) from None
            return there.number, False

    def interactions(self) -> Iterator[dict]:
        """Yield every answer with its merged feedback (the latest non-empty value of each field), oldest first."""
        with self.engine.connect() as connection:
            said: dict[str, dict] = {}
            for row in connection.execute(FEEDBACK.select().order_by(FEEDBACK.c.number)).mappings():
                merged = said.setdefault(row["answer_id"], dict(UNSAID))
                merged |= {name: row[name] for name in merged if row[name]}
            for row in connection.execute(ANSWERS.select().order_by(ANSWERS.c.time, ANSWERS.c.answer_id)).mappings():
                yield dict(row) | {"prompt": json.loads(row["prompt"])} | said.get(row["answer_id"], UNSAID)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _durable(self, connection, _record) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        self.opened = _identity(self.file) if self.file else None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def trace(content: str | bytes) -> str:
    """Return the content of a message in the store: the text itself, or the size and digest of a file."""
    return content if isinstance(content, str) else f"[{len(content)} bytes, sha256 {sha256(content)}]"


def sha256(content: bytes) -> str:
    """Return the sha256 of a file's content, which names it."""
    return hashlib.sha256(content).hexdigest()
