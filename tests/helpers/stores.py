"""Stores that go away: a file that another process locks, and a PostgreSQL that is stopped, frozen and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

LOCK = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute('BEGIN EXCLUSIVE'); print(1, flush=True); input()"


@contextmanager
def locked(path):
    """Another process holds an SQLite file."""
    other = subprocess.Popen([sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    other.stdout.readline()
    try:
        yield
    finally:
        other.communicate("\n")


class Cluster:
    """A running PostgreSQL cluster of the tests' own on loopback; `url` is SQLAlchemy's."""

    def __init__(self):
        found = [Path(name) for name in (shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))) if name]
        if not found:
            pytest.skip("no PostgreSQL here: install it to run this test")
        pytest.importorskip("psycopg", reason="no psycopg here: install fmcycle[postgres] to run this test")
        # not below pytest's folder: another pytest that starts takes that away from the user `postgres`
        self.binaries, self.folder, user = found[0].resolve().parent, Path(tempfile.mkdtemp(prefix="fmcycle-postgres-")), {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            import pwd

            entry = pwd.getpwnam("postgres")
            user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.run = {"check": True, "cwd": self.folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **user}
        subprocess.run([self.binaries / "initdb", "-D", "data", "-A", "trust", "-U", "fmcycle", "-E", "UTF8", "--no-sync"], **self.run)
        self.start()
        self.url = f"postgresql://fmcycle@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        subprocess.run([self.binaries / "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start"], **self.run)

    def stop(self) -> None:
        """As a crash: without a word to anybody who is connected."""
        master, *others = self.processes()
        master.send_signal(signal.SIGQUIT)
        psutil.wait_procs([master, *others], timeout=20)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """The first is the one that started the others."""
        master = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().splitlines()[0]))
        return [master, *master.children(recursive=True)]
