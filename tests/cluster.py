"""A PostgreSQL cluster of the tests' own on loopback, that can be stopped, frozen and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest


class Cluster:
    """A running cluster in `folder`; `url` is SQLAlchemy's."""

    def __init__(self, folder: Path):
        found = [Path(name) for name in (shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))) if name]
        if not found:
            pytest.skip("no PostgreSQL here: install it to run this test")
        pytest.importorskip("psycopg", reason="no psycopg here: install fmcycle[postgres] to run this test")
        self.binaries, self.folder, user = found[0].resolve().parent, folder, {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            import pwd

            entry = pwd.getpwnam("postgres")
            user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            for place in (folder, *list(folder.parents)[:2]):
                place.chmod(0o755)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **user}
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

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """The first is the one that started the others."""
        master = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().splitlines()[0]))
        return [master, *master.children(recursive=True)]
