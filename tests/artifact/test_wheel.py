import gzip
import stat
import zipfile

import pytest

from fmcycle.artifact import wheel as wheels
from fmcycle.artifact.wheel import Archive, licence_text, obtain
from fmcycle.errors import InputError


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members:
            file.writestr(member, content)
    return path


def test_members_are_read_without_unpacking(tmp_path):
    before = zip_of(tmp_path / "a.whl", ("b/text.txt", "größer"), ("a.json.gz", gzip.compress(b"{}")), ("folder/", ""))
    with Archive(before) as wheel:
        assert wheel.names() == ["a.json.gz", "b/text.txt"]
        assert wheel.text("b/text.txt") == "größer"
        assert wheel.read("a.json.gz") == b"{}"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.whl"]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../out.txt", "C:\\out.txt", "a\\..\\..\\b", "..", "c:/x"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="leads out of the archive"):
        Archive(zip_of(tmp_path / "slip.whl", ("good.txt", "x"), (name, "evil")))


def test_a_symbolic_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("pkg/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(InputError, match="symbolic link"):
        Archive(zip_of(tmp_path / "link.whl", (link, "/etc/passwd")))


def test_bombs_are_refused_on_opening_or_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "MEMBER_LIMIT", 1000)
    with pytest.raises(InputError, match="unpacks to 5000 bytes"):
        Archive(zip_of(tmp_path / "bomb.whl", ("zeros", b"\0" * 5000)))
    with (
        Archive(zip_of(tmp_path / "nested.whl", ("zeros.gz", gzip.compress(b"\0" * 5000)))) as wheel,
        pytest.raises(InputError, match="unpacks to more"),
    ):
        wheel.read("zeros.gz")
    monkeypatch.setattr(wheels, "TOTAL_LIMIT", 1500)
    with pytest.raises(InputError, match="the whole archive"):
        Archive(zip_of(tmp_path / "many.whl", *[(f"{n}", b"\0" * 900) for n in range(3)]))
    with Archive(zip_of(tmp_path / "large.whl", ("weights", b"\0" * 5000)), most=5000) as wheel:
        assert len(wheel.read("weights")) == 5000


def test_damage_is_one_clear_error(tmp_path):
    file = tmp_path / "cut.whl"
    zip_of(file, ("a.txt", "some text " * 500), ("b.gz", b"not gzip"))
    whole = file.read_bytes()
    with Archive(file) as wheel, pytest.raises(InputError, match=r"cut.whl: member 'b.gz' cannot be read"):
        wheel.read("b.gz")
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable zip file"):
        Archive(file)
    flipped = bytearray(whole)
    flipped[45] ^= 255
    file.write_bytes(flipped)
    with Archive(file) as wheel, pytest.raises(InputError, match=r"'a.txt' cannot be read"):
        wheel.read("a.txt")


def test_the_youngest_member_dates_an_archive_and_the_first_year_of_zip_is_no_date(tmp_path):
    old, new = zipfile.ZipInfo("a", (1980, 1, 1, 0, 0, 0)), zipfile.ZipInfo("b", (2024, 2, 9, 1, 2, 3))
    with Archive(zip_of(tmp_path / "dated.whl", (old, "x"), (new, "y"))) as wheel:
        assert wheel.date == "2024-02-09"
    with Archive(zip_of(tmp_path / "undated.whl", (old, "x"))) as wheel:
        assert wheel.date == ""


def test_without_a_licence_file_the_metadata_speaks(make_wheel):
    file, _ = make_wheel("bare", {"bare/a.txt": "x"}, licence=None)
    with Archive(file) as wheel:
        assert licence_text(wheel) == "Name: bare\nVersion: 1.0\nLicense-Expression: MIT"


def test_another_digest_is_refused_and_not_kept(cache, make_wheel, monkeypatch):
    file, pin = make_wheel("tiny-text", {"tiny_text/a.txt": "hello"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    with pytest.raises(InputError, match=f"tiny-text==1.0: the registry serves sha256 {pin['sha256']}, conf/ pins 0000"):
        obtain(**{**pin, "sha256": "0" * 64})
    assert not list(cache.glob("*.whl"))


def test_a_damaged_file_in_the_cache_is_replaced(cache, make_wheel, monkeypatch):
    file, pin = make_wheel("tiny-text", {"tiny_text/a.txt": "hello"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    cache.mkdir(parents=True)
    (cache / file.name).write_bytes(file.read_bytes()[:100])
    assert obtain(**pin).read_bytes() == file.read_bytes()
