import json

import fsspec
import pytest

from fmcycle.errors import InputError
from fmcycle.source.local import local
from fmcycle.source.reader import read
from fmcycle.source.remote import remote

FILES = {
    "rows.jsonl": b'{"text": "One."}\n{"text": 1}\n',
    "deep/a.txt": b"A text.",
    "deep/b.html": b"<p>A page.",
    ".hidden": b"no data",
    "deep/t.csv": b"text\nTwo.\n",
}


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    """The same files on two file systems."""
    address = f"file://{tmp_path}/far" if request.param == "file" else "memory://far"
    for name, content in FILES.items():
        with fsspec.open(f"{address}/{name}", "wb", **({"auto_mkdir": True} if request.param == "file" else {})) as file:
            file.write(content)
    yield address
    fsspec.filesystem("memory").store.clear()


def test_what_lies_behind_a_url_is_what_a_folder_would_be(url, tmp_path):
    (tmp_path / "near/deep").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "near" / name).write_bytes(content)
    remote(tmp_path / "one/mine", url=url, licence="CC0-1.0", origin="public")
    local(tmp_path / "two/mine", path=str(tmp_path / "near"), licence="CC0-1.0", origin="public")
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert one.tables["documents"].equals(two.tables["documents"]) and one.quarantine == two.quarantine
    frame = one.table("documents")
    assert sorted(frame["text"]) == ["<p>A page.", "A text.", "One.", "Two."] and set(frame["origin"]) == {"public"}
    for name in ("rows.jsonl", "files.zip", "deep/t.csv"):
        assert (tmp_path / "one/mine" / name).read_bytes() == (tmp_path / "two/mine" / name).read_bytes()
    assert json.loads((tmp_path / "one/mine/licence.json").read_text())["url"] == url


def test_one_file_is_enough_and_nothing_is_an_error(url, tmp_path):
    remote(tmp_path / "mine", url=f"{url}/rows.jsonl")
    assert (tmp_path / "mine/rows.jsonl").read_bytes() == FILES["rows.jsonl"]
    for wrong in (f"{url}/nowhere", "nosuchsystem://x/y"):
        with pytest.raises(InputError, match="source other"):
            remote(tmp_path / "other", url=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "zip://a.txt::file:///tmp/x.zip",
        "simplecache::memory://far",
        "git://HEAD@/x",
        "data:text/plain,hello",
        "github://a:b@/x",
        "dir:///x",
        "reference://x",
        "tar://x::file://y",
        "local:///etc",
        "jupyter://x",
        "nosuch://x",
        "/etc/passwd",
        "https://me:secret@host/x",
    ],
)
def test_chains_passwords_and_other_file_systems_are_refused_in_one_sentence(tmp_path, wrong):
    with pytest.raises(InputError, match=r"source other: .*correct source\.other\.url") as error:
        remote(tmp_path / "other", url=wrong)
    assert "secret" not in str(error.value) and not (tmp_path / "other/licence.json").exists()


def test_what_a_file_system_raises_is_one_sentence(tmp_path):
    for wrong in ("http://127.0.0.1:9/x", "s3://no-such-bucket/x", "sftp://127.0.0.1:9/x", "file:///nowhere/at/all", "hf://x"):
        with pytest.raises(InputError, match="source other"):
            remote(tmp_path / "other", url=wrong)
