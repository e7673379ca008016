import inspect
import json

from fmcycle.source.format import whole
from fmcycle.source.reader import read


def test_files_are_documents_of_their_type_and_code_of_its_language(tmp_path):
    (tmp_path / "src").mkdir()
    for name, text in {
        "a.md": "# Title", "b.html": "<p>Größe</p>", "c.txt": "Text.", "src/main.rs": "fn main() {}", "src/tool.PY": "print(1)",
        "src/Makefile": "all:", "src/data.bin": "x",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    reading = read(tmp_path)
    assert reading.table("documents").select("id", "type", "domain", "text").rows() == [
        ("a.md", "markdown", "unknown", "# Title"),
        ("b.html", "html", "unknown", "<p>Größe</p>"),
        ("c.txt", "text", "unknown", "Text."),
        ("src/main.rs", "code", "rust", "fn main() {}"),
        ("src/tool.PY", "code", "python", "print(1)"),
    ]
    assert [entry["reason"].split(":")[0] for entry in reading.quarantine] == ["no suffix", ".bin"]


def test_a_page_is_read_in_the_encoding_that_it_declares_and_no_other_file_is_guessed_at(tmp_path):
    page = '<html><head><meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-2"></head>Łódź</html>'
    (tmp_path / "a.html").write_bytes(page.encode("iso-8859-2"))
    (tmp_path / "b.html").write_bytes("<meta charset='no-such-one'>Größe".encode("latin-1"))
    (tmp_path / "c.html").write_bytes("<p>Größe".encode("latin-1"))
    (tmp_path / "d.txt").write_bytes('<meta charset="latin-1">Größe'.encode("latin-1"))
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == [page]
    assert {entry["file"]: entry["reason"] for entry in reading.quarantine} == {
        "b.html": "invalid UTF-8 at byte 30",
        "c.html": "invalid UTF-8 at byte 5",
        "d.txt": "invalid UTF-8 at byte 26",
    }


def test_a_document_beyond_the_limit_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("fmcycle.source.format.stream.LIMIT", 100)
    (tmp_path / "a.txt").write_text("x" * 101)
    (tmp_path / "b.txt").write_text("x" * 100)
    reading = read(tmp_path)
    assert reading.table("documents")["id"].to_list() == ["b.txt"] and reading.quarantine[0]["reason"].startswith("longer than")


def test_the_modules_of_python_itself_come_back_as_they_are(tmp_path):
    for module in (inspect, json):
        (tmp_path / f"{module.__name__}.py").write_text(inspect.getsource(module))
    found = dict(read(tmp_path).table("documents").select("id", "text").iter_rows())
    assert found == {"inspect.py": inspect.getsource(inspect), "json.py": inspect.getsource(json)}
    assert not {*whole.TYPES} & {*whole.LANGUAGES}
