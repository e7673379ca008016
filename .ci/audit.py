"""Refuse a lock or an environment with known-bad releases, pins without a hash, or unknown files that run when Python starts.

Run as `python -I -S .ci/audit.py`: standard library only, so that no code of the audited environment runs.
Exit 0: nothing found; 2: one line for each problem on standard error.
"""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 12):
    sys.exit(f"This is Python {sys.version_info[0]}.{sys.version_info[1]}; fmcycle needs 3.11 or 3.12: `PYTHON=python3.12 make setup`")

import argparse
import hashlib
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;,]+)( ;.*?)?((?: --hash=sha256:[0-9a-f]{64})*)")
FOREIGN = {"torch"}  # comes from the user's own index, where each build has its own hash
FIRST = {"pip", "setuptools"}  # .ci/install needs them before the rest


def canonical(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def known() -> tuple[dict[str, list[str]], dict[str, str], dict[str, str]]:
    """The three tables of .ci/supply.toml: malware, floor, startup."""
    file = ROOT / ".ci/supply.toml"
    try:
        malware, floor, startup = (tomllib.loads(file.read_text())[table] for table in ("malware", "floor", "startup"))
    except (tomllib.TOMLDecodeError, KeyError) as error:
        sys.exit(f"{file}: {error}: mend it, or take it from git")
    wrong = [name for name, each in malware.items() if not isinstance(each, list)]
    wrong += [name for name, each in [*floor.items(), *startup.items()] if not isinstance(each, str)]
    if wrong:
        sys.exit(
            f'{file}: {wrong[0]}: [malware] takes lists of versions, NAME = ["1.0", "1.1"]; the other tables take one text, NAME = "..."'
        )
    return {canonical(name): each for name, each in malware.items()}, {canonical(name): each for name, each in floor.items()}, startup


def order(version: str) -> tuple:
    """A key that orders releases: a pre-release comes before its release, a local part (+cpu) does not count."""
    found = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)([^+]*)", version.strip().lower())
    if not found:
        return (), False, version
    return tuple(map(int, re.sub(r"(\.0+)+$", "", found[1]).split("."))), not re.match(r"[-_.]?(a|b|c|rc|pre|dev)", found[2]), found[2]


def audit_releases(where: str, installed: list[tuple[str, str]], cure: str) -> list[str]:
    """Problems with releases: malware and known vulnerabilities."""
    problems = []
    for name, version in installed:
        floor = FLOOR.get(canonical(name))
        if order(version) in map(order, MALWARE.get(canonical(name), [])):
            problems.append(f"{where}: {name} {version} carried malware; {cure}. docs/security.md says what else to do")
        elif floor and order(version) < order(floor):
            problems.append(f"{where}: {name} {version} has a known vulnerability, {floor} has not; {cure}")
    return problems


def audit_lock(file: Path) -> list[str]:
    """Problems of a lock: lines that are no pin with hashes, and known-bad releases."""
    if not file.is_file():
        return [f"{file} is missing; take it from git"]
    problems, pins = [], []
    for line in re.sub(r"\s*\\\n\s*", " ", file.read_text()).splitlines():
        line = line.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        pin = PIN.fullmatch(line)
        if not pin:
            problems.append(f"{file}: `{line[:80]}` is not NAME==VERSION with sha256 hashes; run `make lock`")
            continue
        name, version, _, hashes = pin.groups()
        pins.append((name, version))
        if canonical(name) in FOREIGN and (hashes or "+" in version):
            problems.append(f"{file}: `{line[:80]}` names one build of {name}; write {name}=={version.partition('+')[0]}")
        elif canonical(name) not in FOREIGN and not hashes:
            problems.append(f"{file}: {name}=={version} has no hash; run `make lock`")
    needed = FIRST | FOREIGN if file.name == "requirements.lock" else set()
    missing = sorted(needed - {canonical(name) for name, _ in pins}) or ([] if pins else ["everything"])
    problems += [f"{file}: {name} is missing; take the file from git" for name in missing]
    return problems + audit_releases(str(file), pins, "change pyproject.toml and run `make lock`")


def site_packages(environment: Path) -> list[Path]:
    """The folders in which a virtual environment keeps its packages."""
    return sorted({folder.resolve() for folder in environment.glob("lib*/python*/site-packages")})


def distributions(environment: Path) -> list[tuple[str, str]]:
    """(name, version) of everything that is installed in a virtual environment."""
    found = metadata.distributions(path=list(map(str, site_packages(environment))))
    return [(each.name, each.version) for each in found if each.name and each.version]


def audit_startup(file: Path) -> list[str]:
    """Problems of a file that runs whenever Python starts: its content must be one that somebody has read."""
    if not file.is_file():
        return [f"{file}: runs whenever Python starts, and is a folder; docs/security.md says what to do"]
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    editable = file.name == "_editable_impl_fmcycle.pth" and content.decode(errors="replace").strip() == str(ROOT / "src")
    if editable or STARTUP.get(file.name) == digest:  # an editable install is one path, and runs nothing
        return []
    return [
        f'{file}: runs whenever Python starts, and is not known. Read it in an editor. Harmless: add `"{file.name}" = "{digest}"` '
        f"to [startup] in .ci/supply.toml; else: docs/security.md says what to do"
    ]


def audit_environment(environment: Path) -> list[str]:
    """Problems of a virtual environment: start-up files, packages from outside, known-bad releases."""
    folders, problems = site_packages(environment), []
    if not folders or not distributions(environment):
        return [f"{environment}: no packages in lib/python*/site-packages; run `make setup`"]
    for file in sorted(file for folder in folders for file in folder.iterdir()):
        if file.name.endswith(".pth") or file.name.split(".")[0] in ("sitecustomize", "usercustomize"):
            problems += audit_startup(file)
    settings = environment / "pyvenv.cfg"
    if settings.is_file() and re.search(r"^include-system-site-packages *= *true", settings.read_text(), re.M | re.I):
        problems.append(f"{environment}: sees the packages of the system, which no lock pins; delete it and run `make setup`")
    return problems + audit_releases(str(environment), distributions(environment), f"delete {environment} and run `make setup`")


def audit_sbom(file: Path, environments: list[Path]) -> list[str]:
    """Problems of an SBOM: something installed that it does not list. Its form is checked by the program that writes it."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        return [f"{file}: {error}; run `make audit`"]
    parts = [*content.get("components", []), content.get("metadata", {}).get("component", {})]
    listed = {(canonical(part.get("name", "")), part.get("version")) for part in parts}
    installed = {(canonical(name), version) for environment in environments for name, version in distributions(environment)}
    return [f"{file}: does not list {name} {version}, which is installed; run `make audit`" for name, version in sorted(installed - listed)]


MALWARE, FLOOR, STARTUP = known()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("--lock", "--environment", "--sbom"):
        parser.add_argument(option, type=Path, action="append", default=[])
    given = parser.parse_args()
    problems = [problem for lock in given.lock for problem in audit_lock(lock)]
    problems += [problem for environment in given.environment for problem in audit_environment(environment)]
    problems += [problem for sbom in given.sbom for problem in audit_sbom(sbom, given.environment)]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
