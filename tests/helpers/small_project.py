"""A project of four tiny packages with the Makefile and .ci/ of this one, and an index on this machine to install them from."""

import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "fmcycle-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("_editable_impl_fmcycle.pth", "SRC\\n")
        wheel.writestr("fmcycle-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: fmcycle\\nVersion: 0\\n")
        wheel.writestr("fmcycle-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("fmcycle-0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "fmcycle"
version = "0"
requires-python = ">=3.11,<3.13"
dependencies = ["demo", "torch>=2.13"]
[project.optional-dependencies]
test = []
[dependency-groups]
build = ["pip", "setuptools"]
tools = ["demo"]
"""


def wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """A wheel of one empty module that requires at most one package."""
    path, about = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as file:
        for member, content in files.items():
            file.writestr(member, content)
        digests = {
            member: base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode() for member, content in files.items()
        }
        file.writestr(f"{about}/RECORD", "".join(f"{member},sha256={digest.rstrip('=')},\n" for member, digest in digests.items()))
    return path


def wheel_of_pip(folder: Path) -> Path:
    """A wheel of the pip that is installed here."""
    files = {str(file): file.read_binary() for file in metadata.files("pip") if ".." not in file.parts and file.suffix != ".pyc"}
    path = folder / f"pip-{metadata.version('pip')}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in files.items():
            wheel.writestr(member, content)
    return path


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pin(file: Path, digest: str = "") -> str:
    """The lines of a lock that pin what a wheel holds, by its digest or by the one given."""
    name, version = file.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{digest or sha256(file)}\n"


def small_project(folder: Path) -> Path:
    """The Makefile and .ci/ of this project around a package of nothing, and wheels/ to install."""
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "src").mkdir()
    (folder / "wheels").mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND.replace("SRC", str(folder / "src")))
    return folder


def make(project: Path, target: str, **variables: str) -> tuple[int, str]:
    """Run a target; pip sees no index but the one in `variables`. Returns the exit code and all output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "UV_", "MAKE"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHON": sys.executable} | variables
    done = subprocess.run(["make", target], cwd=project, env=environment, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


def versions(project: Path) -> dict[str, str]:
    """name: version of what is installed in the project's environment."""
    site = next((project / ".venv").glob("lib/python*/site-packages"))
    return {each.name: each.version for each in metadata.distributions(path=[str(site)])}


def offline(project: Path) -> dict[str, str]:
    """pip finds the wheels of the project, and nothing else."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "wheels"), "PIP_NO_CACHE_DIR": "1"}


def tools(project: Path) -> None:
    """uv and cyclonedx-py of this project in the other, whatever its tools.lock names."""
    folder = project / ".cache/tools"
    folder.mkdir(parents=True, exist_ok=True)
    for item in (ROOT / ".cache/tools").iterdir():
        if not (folder / item.name).exists():
            (folder / item.name).symlink_to(item)
    (folder / f".installed-{sha256(project / '.ci/tools.lock')[:16]}").touch()


@contextlib.contextmanager
def package_index(served: Path):
    """An index on this machine: (its address, add(file, days since its upload; None: it does not tell))."""
    served.mkdir()
    pages: dict[str, list[dict]] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def do_GET(self):
            name = self.path.strip("/").removeprefix("simple/")
            if name not in pages:
                return super().do_GET()
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": pages[name]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"

    def add(file: Path, days: float | None) -> Path:
        shutil.copy(file, served)
        entry = {"filename": file.name, "url": f"{address}/{file.name}", "hashes": {"sha256": sha256(file)}}
        if days is not None:
            uploaded = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
            entry["upload-time"] = uploaded.isoformat().replace("+00:00", "Z")
        pages.setdefault(file.name.split("-")[0], []).append(entry)
        return file

    try:
        yield f"{address}/simple", add
    finally:
        server.shutdown()
        server.server_close()
