"""Documentation of a pure-Python package, parsed from its sources with ast: one document a public function or class."""

import ast
import inspect
import re
import warnings

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import PositiveInt
from fmcycle.source.choice import pick, sample
from fmcycle.tables.schema import ask

DOMAIN = "code documentation"
ASKED = (
    "What does this Python function do: {call}?",
    "Summarise the function {call} in one sentence.",
    "Write the first line of the docstring of {call}.",
)
SKIPPED = re.compile(r"(^|/)(tests?|benchmarks?|testing|conftest|setup|_version|.*_tables?|autolev|rubi|examples?)(/|\.py$|_)")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def read(wheel: Archive, *, package: str, questions: PositiveInt = 1500, characters: PositiveInt = 3000) -> dict:
    """Documents of every public function and class with a docstring; signature -> summary questions, by digest.

    characters: limit of a docstring, in whole paragraphs. The group of a row is its module.
    """
    documents: list[dict] = []
    asked: dict[str, dict] = {}  # by answer, so that none is used twice
    seen: set[str] = set()
    for name in wheel.names():
        if not name.startswith(f"{package}/") or not name.endswith(".py") or SKIPPED.search(name):
            continue
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path, node, doc in definitions(wheel.text(name)):
            key = f"{package}/{module}.{path}"
            if key in seen or not worth_reading(doc):
                continue
            seen.add(key)
            row = {"id": key, "group": f"{package}/{module}"}
            text = f"{module}.{path}\n\n{signature(node)}\n\n{shorten(doc, characters)}"
            documents.append({**row, "text": text, "domain": DOMAIN})
            summary = summary_of(doc)
            if summary and isinstance(node, ast.FunctionDef) and len(ast.unparse(node.args)) < 120:
                call = f"{module}.{path}({ast.unparse(node.args)})"
                messages = ask(pick(key, ASKED).format(call=call), summary)
                asked.setdefault(summary, {**row, "messages": messages, "task": "docstring", "document": key})
    return {"documents": documents, "instructions": sample(list(asked.values()), questions, lambda row: row["id"])}


def definitions(source: str) -> list[tuple[str, Definition, str]]:
    """(dotted name, node, docstring) of the public functions, classes and methods with a docstring; [] for a source that does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            body = ast.parse(source).body
    except SyntaxError:
        return []
    found = []
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            found.append((node.name, node))
            if isinstance(node, ast.ClassDef):
                found += [(f"{node.name}.{m.name}", m) for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
    return [(path, node, doc) for path, node in found if (doc := ast.get_docstring(node))]


def worth_reading(doc: str) -> bool:
    """True if a docstring holds prose, not only doctests, directives, formulas or an unfinished note."""
    prose = [line for line in doc.splitlines() if line.strip() and not line.lstrip().startswith((">>>", "...", ".."))]
    formulas = len(re.findall(r"\\[a-zA-Z]{2,}", doc))
    return len(" ".join(prose)) >= 120 and formulas < 8 and summary_of(doc) != ""


def signature(node: Definition) -> str:
    """`def name(arguments):` or `class Name(bases):` on one line."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases}):" if bases else f"class {node.name}:"
    return f"def {node.name}({ast.unparse(node.args)}):"


def summary_of(doc: str) -> str:
    """The first sentence of a docstring without its markup; "" if it is not a readable sentence."""
    first = " ".join(inspect.cleandoc(doc).split("\n\n")[0].split())
    first = re.split(r"(?<=[a-z)\]`0-9]\.)\s", first)[0]
    first = re.sub(r":\w+:`~?\.?([^`<]+?)(?: <[^`]*>)?`", r"\1", first).replace("``", "").replace("`", "")
    if not re.fullmatch(r"[A-Z][^$\\|]{20,200}", first) or re.search(r">>>|==|:\.?$|\b(as|is|by|following|that|where)\.?$", first):
        return ""
    return first if first.endswith(".") else f"{first}."


def shorten(doc: str, characters: int) -> str:
    """A docstring without references, roles, directives and further examples, cut after a whole paragraph."""
    doc = re.split(r"\n\s*(?:References|See Also)\n\s*[-=]{4,}", doc, flags=re.I)[0]
    doc = re.sub(r":\w+:`~?\.?([^`<]+?)(?: <[^`]*>)?`", r"`\1`", doc)
    doc = re.sub(r"\s*\[[0-9]+\]_|(?<=[.,a-z])\s\[[0-9]\](?=[\s.,]|$)", "", doc)
    kept: list[str] = []
    examples, inside, size = 0, False, 0
    for paragraph in doc.split("\n\n"):
        inside = paragraph.lstrip().startswith("..") or (inside and paragraph.startswith(" "))  # a directive and its content
        examples += ">>>" in paragraph and not inside
        if inside or (examples > 1 and paragraph.lstrip().startswith(">>>")):
            if inside and len(kept) > 1 and kept[-1][-1] not in ".-=":
                size -= len(kept.pop()) + 2  # it announced the directive that is left out
            continue
        size += len(paragraph) + 2
        if kept and size > characters:
            break
        kept.append(paragraph.rstrip())
    return re.sub(r"\n\n\w+\n[-=]{4,}$", "", "\n\n".join(kept))  # a heading whose content was left out
