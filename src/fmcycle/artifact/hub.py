"""What a `hub:` reference names: found in the cache, else fetched by a process of its own, so that no stage has the network open."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from fmcycle.artifact import atomic, wheel
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError

Kind = Literal["model", "dataset"]
HUB = "hub:"
FORM = re.compile(
    r"hub:(?P<repo>[\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:/(?P<part>[^@:\s]+))?(?:@(?P<revision>[^@:\s]+))?(?::(?P<rows>[1-9]\d*))?", re.ASCII
)
COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"
SET = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")  # with one of them a user closes the hub
CLOSED = "FMCYCLE_CLOSED_HUB"  # marks an HF_HUB_OFFLINE that fmcycle set, not the user
RECORD = "hub.json"  # in a fetched model: repository and commit, which so enter its digest


@dataclass(frozen=True)
class Reference:
    """hub:OWNER/NAME[/PART][@REVISION][:ROWS]. part: a dataset's config, or a model's GGUF file or inner folder; rows: at most so many of
    each split."""

    repo: str
    part: str | None = None
    revision: str | None = None
    rows: int | None = None

    def __str__(self) -> str:
        rest = (f"/{self.part}" if self.part else "", f"@{self.revision}" if self.revision else "", f":{self.rows}" if self.rows else "")
        return f"{HUB}{self.repo}{''.join(rest)}"

    @property
    def pinned(self) -> bool:
        """True if the revision is a commit, which never moves."""
        return bool(self.revision and COMMIT.fullmatch(self.revision))

    def at(self, commit: str) -> "Reference":
        """This reference with its revision pinned."""
        return replace(self, revision=commit)


def is_reference(value) -> bool:
    """True if a config's value is meant as a reference to the hub."""
    return isinstance(value, str) and value.startswith(HUB)


def fault(value) -> str | None:
    """Return why a value is no reference; None if it is one."""
    return None if isinstance(value, str) and FORM.fullmatch(value) else f"must be hub:OWNER/NAME@REVISION (docs/hub.md), not {value!r}"


def parse(text: str) -> Reference:
    """Return the parts of a reference. Raises InputError if `text` has another form."""
    found = FORM.fullmatch(text)
    if not found or any(".." in (name or "") for name in found.groups()) or "--" in found["repo"]:
        raise InputError(f"{text}: not of the form hub:OWNER/NAME@REVISION (docs/hub.md has the whole form)")
    return Reference(found["repo"], found["part"], found["revision"], int(found["rows"]) if found["rows"] else None)


def fetched(reference: str, kind: Kind) -> Path:
    """Return the folder in the cache that holds `reference`, or the GGUF file that it names; fetches it unless it is there.

    A branch or tag is resolved to its commit, which is printed. Raises InputError if the reference is wrong, the hub refuses it, or it is
    not in the cache and this process may not fetch.
    """
    asked = parse(reference)
    return here(asked, kind) or _fetch(asked, kind)


def here(asked: Reference, kind: Kind) -> Path | None:
    """Return what a reference names if the cache has it; None if it must be fetched. Raises InputError if this process may not fetch it."""
    closed = offline()
    commit = asked.revision if asked.pinned else known(asked, kind) if closed else None
    if os.environ.get("DVC_STAGE") and not asked.pinned:
        raise InputError(unpinned(asked, kind))
    if commit and (found := cached(asked.at(commit), kind)):
        return found
    if closed:
        command = f"`fmcycle fetch {kind} {asked}`"
        raise InputError(f"{asked}: not in the cache, and {closed}; run {command} where the hub can be reached, then this again")
    return None


def problem(reference: str, kind: Kind) -> str | None:
    """Return why a reference can't be had, as far as it shows without asking the hub; None if it can."""
    try:
        here(parse(reference), kind)
    except InputError as error:
        return str(error)
    return None


def offline() -> str | None:
    """Return why this process fetches nothing; None if it may fetch."""
    if os.environ.get("DVC_STAGE"):
        return "a stage of the pipeline fetches nothing"
    named = [name for name in SET if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")]
    return f"{named[0]} is set" if named and not (named == [SET[0]] and os.environ.get(CLOSED)) else None


def close() -> None:
    """Let no library of this process ask the hub. `fetched` still may, in a process of its own."""
    if not offline():
        os.environ |= {SET[0]: "1", CLOSED: "1"}


def unpinned(asked: Reference, kind: Kind) -> str:
    """Return the refusal of a revision that may move, with the commit to pin if the cache knows it."""
    commit = known(asked, kind)
    way = f"write {asked.at(commit)}" if commit else f"`fmcycle fetch {kind} {asked}` prints the commit to write behind @"
    return f"{asked}: {asked.revision or MAIN} may move, and the pipeline takes commits alone; {way}"


def home(asked: Reference, kind: Kind) -> Path:
    """Return the folder of a repository in the cache."""
    return wheel.cache().parent / "hub" / kind / asked.repo.replace("/", "--")


def place(asked: Reference, kind: Kind) -> Path:
    """Return the folder of a pinned reference in the cache."""
    more = [quote(asked.part, safe="")] if asked.part else []
    return home(asked, kind) / "-".join([str(asked.revision), *more, *([str(asked.rows)] if asked.rows else [])])


def cached(asked: Reference, kind: Kind) -> Path | None:
    """Return what a pinned reference names if it is in the cache, unchanged; None if not."""
    folder = place(asked, kind)
    try:
        if not folder.is_dir() or not artifact.read_json(folder / artifact.MANIFEST):
            return None
        artifact.verify(folder)
    except InputError:
        return None  # damaged: fetched again
    named = folder / str(asked.part)
    return named if kind == "model" and asked.part and named.exists() else folder


def ref(asked: Reference, kind: Kind) -> Path:
    """Return the file that remembers the commit of a branch or tag."""
    return home(asked, kind) / "refs" / quote(asked.revision or MAIN, safe="")


def known(asked: Reference, kind: Kind) -> str | None:
    """Return the commit that a branch or tag had when it was last fetched."""
    file = ref(asked, kind)
    commit = file.read_text().strip() if file.is_file() else ""
    return commit if COMMIT.fullmatch(commit) else None


def _fetch(asked: Reference, kind: Kind) -> Path:
    """Fetch into the cache; print what it was."""
    with atomic.lock(home(asked, kind)):
        answer = ask("hub_fetch", str(asked), kind)
    print(answer["said"], flush=True)
    return Path(answer["path"])


def ask(module: str, reference: str, *arguments: str) -> dict:
    """Return what a module of this room answers in a process of its own, which reads HF_ENDPOINT and HF_TOKEN as huggingface_hub does.

    Raises InputError with the process's own, or if it was killed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in (*SET, CLOSED)}
    environment |= {"HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}  # ask the hub for the files, and nobody for more
    environment |= {"USE_TORCH": "0", "USE_TF": "0", "USE_JAX": "0"}  # datasets would import them, for tensors that no row becomes
    source = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [environment.get("PYTHONPATH")])])
    command = [sys.executable, "-m", f"fmcycle.artifact.{module}", reference, *arguments]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        answer = json.loads(run.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise InputError(f"{reference}: {module} ended with {run.returncode}, see above; run the same command again") from None
    if "error" in answer:
        raise InputError(answer["error"])
    return answer
