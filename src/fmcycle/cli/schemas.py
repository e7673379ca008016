"""`fmcycle schema`: writes the JSON schemas of this folder's yamls, and the settings with which VS Code uses them."""

import json
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.cli import verbs
from fmcycle.config import library, schema

FOLDER = Path("schemas")
SETTINGS = Path(".vscode/settings.json")
KEY = "yaml.schemas"  # of the YAML extension (redhat.vscode-yaml), which has the language server that other editors use too


def main(arguments: list[str]) -> None:
    """Write the schemas and print where they are."""
    folder = Path(verbs.parse("schema", arguments).out)
    print(f"{folder}: {len(write(folder))} schemas; {settings(folder)}")


def write(folder: Path) -> list[str]:
    """Write every schema into `folder`; return their file names."""
    found = schema.every()
    for name, (_, content) in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(folder / name, content)
    library.keep()
    return list(found)


def settings(folder: Path) -> str:
    """Let VS Code use the schemas in `folder`; return one line that says what was done. Settings that are there stay as they are."""
    found = {f"./{folder}/{name}": pattern for name, pattern in schema.patterns().items()}
    if SETTINGS.is_file():
        return f'{SETTINGS} is there and was not changed; it needs "{KEY}": {json.dumps(found)}'
    SETTINGS.parent.mkdir(exist_ok=True)
    atomic.write_json(SETTINGS, {KEY: found})
    return f"{SETTINGS} names them; any other editor with yaml-language-server takes the same patterns"
