"""Checks before a worker starts, in the process that starts it. A failed check ends it with exit code 2 and one sentence."""

import atexit
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fmcycle.errors import InputError
from fmcycle.serving import deploy
from fmcycle.serving.access import check_address

log = logging.getLogger("bentoml.serve")
READY = "FMCYCLE_READY"  # names the folder in which a worker writes its process id once it can serve
LIVES = 3  # workers in a row that may end before they can serve
SOURCE = Path(__file__).parents[2]


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an InputError into its message and exit code."""
    try:
        yield
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def check(root: Path, home: Path) -> None:
    """Check the address, deploy a new candidate that passed, and load the deployed model in another process."""
    with refusing():
        host, port = _address()
        if loud := check_address(host, port):
            log.warning(loud)
        check_port(host, port)
        settle(root)
        _name_store()
        _try(root, home)
    os.environ[READY] = tempfile.mkdtemp(prefix="fmcycle-")
    atexit.register(shutil.rmtree, os.environ[READY], ignore_errors=True)


def settle(root: Path) -> dict:
    """Deploy a new candidate that passed, verify the deployed package and return its package.json. Raises InputError."""
    try:
        log.info(deploy.refresh(root / "artifacts/package", root))
    except OSError as error:
        log.warning("candidate not deployed: %s", error)
    try:
        folder, package = deploy.current(root)
    except OSError as error:
        raise InputError(f"{root / 'deployed'}: what is deployed can't be read ({error!r}); run `fmcycle deploy`") from error
    log.info("fmcycle:%s is deployed, in %s", package["tag"], folder)
    return package


def _name_store() -> None:
    """Make the file in FMCYCLE_STORE absolute, because a worker of a Bento runs in another folder."""
    if found := re.fullmatch(r"(sqlite[^:]*:///)([^/:?].*)", os.environ.get("FMCYCLE_STORE", "")):
        os.environ["FMCYCLE_STORE"] = f"{found[1]}{Path(found[2]).absolute()}"


def _address() -> tuple[str, int]:
    """Return (host, port) that `bentoml serve` will listen on."""
    import click
    from bentoml._internal.configuration.containers import BentoMLContainer

    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    port = given.get("port")
    return given.get("host") or BentoMLContainer.http.host.get(), BentoMLContainer.http.port.get() if port is None else port


def check_port(host: str, port: int) -> None:
    """Raise InputError if a server can't listen on `port` of `host`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why, choose = getattr(error, "strerror", error), "end what listens there, or choose another with --port N"
            raise InputError(f"port {port} on {host}: {why}; {choose}") from None


def _try(root: Path, home: Path) -> None:
    """Load and warm up the deployed model as a worker does, in a process that may fail in any way."""
    environment = os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "fmcycle.serving.load", str(root), str(home)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return
    said = done.stdout.strip()
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        said = f"{root / 'deployed'}: the process that loaded the model was ended by {name}; most often there is too little memory"
    raise InputError(said or f"{root / 'deployed'}: the process that loaded the model ended with exit code {done.returncode}")


class Ends:
    """Decides when the end of a worker ends the server; without it BentoML would restart workers for ever."""

    def __init__(self):
        self.early = 0  # number of workers in a row that ended before they could serve

    def __call__(self, arbiter, process_pid: int, exit_code: int, **_) -> None:
        """A hook of circus, with which BentoML starts workers. Exits with 2 if another worker would end the same way."""
        served = READY in os.environ and (Path(os.environ[READY]) / str(process_pid)).is_file()
        self.early = 0 if served or exit_code in (0, -signal.SIGTERM) else self.early + 1
        if exit_code != 2 and self.early < LIVES:
            return
        if exit_code != 2:
            print(f"{LIVES} workers in a row ended before they could serve, the last with {exit_code}; the log says why", file=sys.stderr)
        arbiter.exit_stack.close()
        raise SystemExit(2)


def can_serve() -> None:
    """Record that this process, a worker, can serve."""
    if folder := os.environ.get(READY):
        (Path(folder) / str(os.getpid())).touch()
