import polars as pl
import pytest

from fmcycle.source.reader import read


def test_a_table_with_a_text_is_rows_of_text_and_one_without_is_rendered(tmp_path):
    (tmp_path / "a.csv").write_text('id,text,label\n7,"One, or\ntwo.",joy\n8,Three.,\n')
    (tmp_path / "b.csv").write_text("name;capital;people\nFrance;Paris;68\nNauru;;0.01\n")
    (tmp_path / "c.tsv").write_text("word\tmeaning\nset\ta, b; or c\n")
    rows = read(tmp_path).table("documents").select("id", "text", "type", "label").rows()
    assert rows == [
        ("7", "One, or\ntwo.", "text", "joy"),
        ("8", "Three.", "text", ""),
        ("b.csv#2", "name: France\ncapital: Paris\npeople: 68", "table", ""),
        ("b.csv#3", "name: Nauru\npeople: 0.01", "table", ""),
        ("c.tsv#2", "word: set\nmeaning: a, b; or c", "table", ""),
    ]


def test_bad_rows_are_told_with_the_line_that_they_end_in(tmp_path):
    rows = [b"text,n", b"Good.,1", b"too,many,fields", b"few", b"gr\xf6\xdfe,2", b"", b'"two', b'lines",3', b",4", b"null \0,5"]
    (tmp_path / "a.csv").write_bytes(b"\r\n".join(rows))
    (tmp_path / "b.csv").write_text("text,text\na,b\n")
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["Good.", "two\r\nlines"]
    assert {(entry["file"], entry["line"]): entry["reason"] for entry in reading.quarantine} == {
        ("a.csv", 3): "3 fields, the header has 2",
        ("a.csv", 4): "1 fields, the header has 2",
        ("a.csv", 5): "invalid UTF-8",
        ("a.csv", 9): "empty",
        ("a.csv", 10): "binary",
        ("b.csv", None): "a header that names a column twice",
    }
    assert reading.read == 8


def test_a_quote_that_is_never_closed_ends_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("fmcycle.source.format.delimited.LIMIT", 1000)
    (tmp_path / "a.csv").write_text('text,n\nGood.,1\n"never,' + "x\n" * 2000)
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["Good."] and reading.read == 2
    assert reading.quarantine[0]["reason"] == "not readable as CSV from here on (field larger than field limit (1000))"


def test_what_was_written_comes_back(tmp_path):
    texts = ['a "quoted" word', "comma, semicolon; tab\t", "line\nbreak", "größe \U0001f600"]
    pl.DataFrame({"text": texts}).write_csv(tmp_path / "a.csv")
    assert read(tmp_path).table("documents")["text"].to_list() == texts


def test_a_comment_above_the_header_is_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("# version=1.0,,\n# by hand\ntext,n\nOne.,1\nfew\n")
    (tmp_path / "b.csv").write_text("#id,text\n1,Two.\n")
    reading = read(tmp_path)
    assert reading.table("documents").select("id", "text").rows() == [("a.csv#4", "One."), ("b.csv#2", "Two.")]
    assert reading.quarantine == [{"file": "a.csv", "line": 5, "reason": "1 fields, the header has 2"}]


def test_the_separator_is_the_one_that_is_named_or_stands_outside_of_quotes(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffsep=;\r\nid;text\r\n1;One, two.\r\n".encode())
    (tmp_path / "b.csv").write_text("SEP=|\nid|text\n2|Three; four.\n")
    (tmp_path / "c.csv").write_text('"height, in m";"width, depth, in m";text\n1,5;2;Five.\n2,5;3;Six.\n')
    reading = read(tmp_path)
    assert reading.quarantine == []
    assert reading.table("documents").select("id", "text").rows() == [
        ("1", "One, two."),
        ("2", "Three; four."),
        ("c.csv#2", "Five."),
        ("c.csv#3", "Six."),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '"sep=;"\nid;text\n1;One, two.\n',
        "\n \n# by hand\n\nid;text\n1;One, two.\n",
        '"id";"a, name, of\nseveral, lines";text\n1;2;One, two.\n',
        '\ufeff"id";"a ""b, c, d"" e";text\r\n1;2;One, two.\r\n',
        'id;5" pipe, long;text\n1;2;One, two.\n',
    ],
)
def test_a_header_is_read_whatever_stands_above_and_in_it(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    reading = read(tmp_path)
    assert reading.quarantine == []
    assert reading.table("documents").select("id", "text").rows() == [("1", "One, two.")]


def test_a_table_in_utf_16_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("id;text\n1;One.\n", encoding="utf-16")
    assert [entry["reason"] for entry in read(tmp_path).quarantine] == ["UTF-16, as Excel's Unicode text: save it as CSV UTF-8"]


def test_a_cell_keeps_its_blanks(tmp_path):
    (tmp_path / "a.csv").write_text('name,body\nsum,"    total = 0\n    return total"\n')
    assert read(tmp_path).table("documents")["text"].to_list() == ["name: sum\nbody:     total = 0\n    return total"]
