"""The store: what was acknowledged is on disk, once, in SQLite and in PostgreSQL."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from fmcycle.errors import InputError
from fmcycle.serving.store import ANSWERS, FEEDBACK, KeyReused, SeveralInputs, Store, StoreDown, UnknownAnswer

SAID = {"rating": 1, "comment": "", "corrected": "", "preferred": "", "role": "user"}


def answer(name, **changes):
    prompt = [{"role": "user", "content": "é?"}]
    row = {"answer_id": name, "time": f"2026-01-01T00:00:0{name[-1]}", "kind": "chat", "prompt": prompt, "answer": "Yes."}
    row |= {"finish": "stop", "model": "m", "processor": "p", "config": "c", "prompt_tokens": 3, "answer_tokens": 2}
    return row | {"latency": 0.5, "refused": False} | changes


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path}/store/feedback.db" if request.param == "sqlite" else request.getfixturevalue("postgres").url
    store = Store(url)
    with store.engine.begin() as connection:
        for table in ("feedback", "answers", "media"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    yield store
    store.close()


def test_an_answer_comes_back_with_its_merged_feedback(store):
    store.add_answer(answer("ans-1"))
    store.add_answer(answer("ans-2"))
    store.add_feedback("ans-1", "t1", SAID | {"comment": "good", "role": "expert"})
    store.add_feedback("ans-1", "t2", SAID | {"rating": -1, "corrected": "No."})
    first, second = store.interactions()
    assert (first["rating"], first["comment"], first["corrected"], first["role"]) == (-1, "good", "No.", "user")
    assert first["prompt"] == [{"role": "user", "content": "é?"}] and second["rating"] == 0


def test_an_unknown_answer_is_said_so(store):
    with pytest.raises(UnknownAnswer):
        store.add_feedback("ans-9", "t", SAID)


def test_the_same_key_twice_is_one_row_and_other_content_is_refused(store):
    store.add_answer(answer("ans-1"))
    first = store.add_feedback("ans-1", "t1", SAID, key="k")
    again = store.add_feedback("ans-1", "t2", SAID, key="k")
    assert first == (again[0], True) and not again[1]
    with pytest.raises(KeyReused):
        store.add_feedback("ans-1", "t3", SAID | {"rating": -1}, key="k")
    assert [row["rating"] for row in store.interactions()] == [1]


def test_the_bytes_of_a_file_are_kept_once_under_their_digest(store):
    content = b"\0RIFF\xff" * 1000
    name = hashlib.sha256(content).hexdigest()
    for each in ("ans-1", "ans-2"):
        store.add_answer(answer(each), [content])
    assert store.media(name) == content and store.media("0" * 64) is None
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM media").scalar() == 1


def test_a_correction_of_several_classes_is_refused(store):
    prompt = [{"role": "user", "content": text} for text in ("one", "two")]
    store.add_answer(answer("ans-1", kind="classification", prompt=prompt))
    with pytest.raises(SeveralInputs):
        store.add_feedback("ans-1", "t", SAID | {"corrected": "dog"})
    assert store.add_feedback("ans-1", "t", SAID)[1]


def test_a_store_of_before_takes_files_too(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        for table in (ANSWERS, FEEDBACK):
            connection.execute(str(sa.schema.CreateTable(table)))
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.add_answer(answer("ans-1"), [b"bytes"])
    assert store.media(hashlib.sha256(b"bytes").hexdigest()) == b"bytes"


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////proc/none/a.db", "postgresql://u:secret@127.0.0.1:1/x", "nosuch://x/y"])
def test_a_store_that_can_not_be_opened_is_named_without_its_password(url):
    with pytest.raises(InputError, match="FMCYCLE_STORE") as refused:
        Store(url)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_an_answer_that_was_kept_may_be_kept_again(store):
    for _ in range(2):
        store.add_answer(answer("ans-1"))
    assert len(list(store.interactions())) == 1


def test_nothing_is_acknowledged_into_a_file_that_was_removed(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.add_answer(answer("ans-1"))
    (tmp_path / "a.db").unlink()
    with pytest.raises(UnknownAnswer):
        store.add_feedback("ans-1", "t", SAID)
    store.add_answer(answer("ans-2"))
    assert [row["answer_id"] for row in Store(f"sqlite:///{tmp_path}/a.db").interactions()] == ["ans-2"]


def test_a_full_store_says_so_and_takes_what_fits_later(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.add_answer(answer("ans-1"))
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(StoreDown, match="full"):
        store.add_answer(answer("ans-2", answer="x" * 100_000))
    store.engine.dispose()  # the bound is of the connection
    store.add_answer(answer("ans-2", answer="x" * 100_000))
    assert len(list(store.interactions())) == 2


def test_sqlite_writes_ahead_and_waits_for_the_disk(tmp_path):
    with Store(f"sqlite:///{tmp_path}/a.db").engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "a.db").write_text("not a database, by far" * 100)
    with pytest.raises(InputError, match=r"a\.db.*FMCYCLE_STORE"):
        Store(f"sqlite:///{tmp_path}/a.db")


WRITER = """
import sys
from fmcycle.serving.store import Store
store = Store(sys.argv[1])
for number in range(100_000):
    store.add_feedback("ans-1", "t", {"rating": 1, "comment": str(number), "corrected": "", "preferred": "", "role": ""}, key=str(number))
    print(number, flush=True)
"""


def test_kill_9_while_feedback_is_written_loses_nothing_acknowledged(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    Store(url).add_answer(answer("ans-1"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True, env=environment)
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        with Store(url).engine.connect() as connection:
            kept = {int(row[0]) for row in connection.exec_driver_sql("SELECT comment FROM feedback")}
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert set(acknowledged) <= kept


def test_prompts_are_kept_as_plain_json(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.add_answer(answer("ans-1"))
    with store.engine.connect() as connection:
        assert json.loads(connection.exec_driver_sql("SELECT prompt FROM answers").scalar()) == answer("ans-1")["prompt"]


def test_the_same_file_in_many_requests_at_once_is_kept_once(store):
    content = b"x" * 100_000

    def ask(part):
        for number in range(10):
            store.add_answer(answer(f"ans-{part}-{number}"), [content + bytes([number])])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    with store.engine.connect() as connection:
        counts = [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in ("answers", "media")]
    assert counts == [80, 10]
