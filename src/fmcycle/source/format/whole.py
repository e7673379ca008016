"""Read files that are one document each: text, Markdown, HTML, source code."""

import codecs
import re
from pathlib import PurePosixPath
from typing import BinaryIO

from fmcycle.source.format.stream import read_whole
from fmcycle.source.readable import BOM, CONTROL, UTF16, readable
from fmcycle.source.row import Record

TYPES = {
    ".txt": "text", ".text": "text", ".rst": "text", ".md": "markdown", ".markdown": "markdown",
    ".html": "html", ".htm": "html", ".xhtml": "html",
}  # fmt: skip
LANGUAGES = {
    ".py": "python", ".pyi": "python", ".c": "c", ".h": "c", ".cc": "c++", ".cpp": "c++", ".cxx": "c++", ".hpp": "c++", ".rs": "rust",
    ".go": "go", ".java": "java", ".kt": "kotlin", ".scala": "scala", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".tsx": "typescript", ".rb": "ruby", ".php": "php", ".pl": "perl", ".lua": "lua", ".r": "r", ".jl": "julia",
    ".swift": "swift", ".m": "objective-c", ".cs": "c#", ".fs": "f#", ".hs": "haskell", ".ml": "ocaml", ".clj": "clojure",
    ".ex": "elixir", ".erl": "erlang", ".dart": "dart", ".zig": "zig", ".nim": "nim", ".f90": "fortran", ".sh": "shell", ".bash": "shell",
    ".ps1": "powershell", ".sql": "sql", ".css": "css", ".scss": "css", ".vue": "vue", ".tex": "tex", ".cu": "cuda", ".proto": "protobuf",
    ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".cmake": "cmake", ".tf": "terraform",
}  # fmt: skip
DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([A-Za-z0-9_.:-]{2,40})""", re.I)
SUFFIXES = {*TYPES, *LANGUAGES}
CONTROLS = CONTROL.encode()


def records(stream: BinaryIO, name: str) -> list[Record]:
    """A file as one document."""
    return [(0, None, document(read_whole(stream), PurePosixPath(name).suffix.lower()))]


def document(content: bytes, suffix: str) -> dict | str:
    """The row of a file with this suffix, or the reason why it is refused; the domain of code is its language.

    HTML that is not UTF-8 is read in the encoding that it declares.
    """
    kind = TYPES.get(suffix, "code")
    if content.startswith(UTF16):
        try:
            content = content.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            return f"invalid UTF-16 at byte {error.start}"
    problem, text = quick(content) or readable(content)
    if problem and kind == "html":
        problem, text = readable(declared(content))
    return problem or ({"text": text, "type": kind} | ({"domain": LANGUAGES[suffix]} if suffix in LANGUAGES else {}))


def quick(content: bytes) -> tuple[None, str] | None:
    """What `readable` returns for nearly all files; None for one that has a control character or a byte order mark, or nothing visible."""
    if content.startswith(BOM) or len(content.translate(None, CONTROLS)) < len(content):
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if text.isspace() or not text else (None, text)


def declared(content: bytes) -> str | bytes:
    """HTML in the encoding that it declares; its bytes if it declares none, an unknown one or a wrong one."""
    found = DECLARED.search(content[:4096])
    try:
        return content.decode(codecs.lookup(found[1].decode()).name) if found else content
    except (LookupError, UnicodeDecodeError, ValueError):
        return content
