"""An address is judged with the config: before any source is collected, in every door, and no password is printed."""

import pytest
import yaml

from fmcycle.config import address, compose
from fmcycle.errors import ConfigError

FAR = ["stage=collect", "+source@source.far=remote"]
REFUSED = {
    "zip://a.txt::file:///tmp/x.zip": "is a chain of file systems",
    "git://HEAD@/x": "begins with git://, which nothing here reads; it begins with one of file://, s3://",
    "/etc/passwd": "is no address; it begins with one of file://",
    "bucket/texts": "is no address",
    "s3://": "names no file and no folder",
    "https://me:secret@host/x": "holds a password",
    "https://me:sec/secret@host/x": "holds a password",
    "https://secret@host/x": "holds a password",
    "https://host/x?version=1&token=secret": "holds a password",
    "https://host/x?X-Amz-Signature=secret": "holds a password",
    "sftp://me:secret@host:22/x": "holds a password",
}
REFUSED |= {  # wherever the password stands, and whatever is in it
    "me:secret@host/x": "is no address",
    "https:/me:secret@host/x": "is no address",
    "https://me:secret?or@host/x": "holds a password",
    "https://me:and#secret@host/x": "holds a password",
    "https://host/x?token=a@secret": "holds a password",
    "https://host/x#access_token=secret": "holds a password",
    "simplecache::https://me:secret@host/x": "is a chain",
    "me:secret@host://x": "is no address",
}
TAKEN = (
    "s3://bucket/a:b@c.txt", "abfs://container@account/x", "sftp://me@host:22/x", "hf://datasets/a/b@main", "https://host:8080/x?page=2",
    "file:///here/x", "memory://x", "hdfs://name:9000/x",
)  # fmt: skip


def problems(*overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose.compose(list(overrides))
    return error.value.problems


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_not_read_is_refused_before_any_work(project, url):
    (problem,) = problems(*FAR, f'source.far.url="{url}"')
    assert problem.startswith("source.far.url: ") and REFUSED[url] in problem and "secret" not in problem


@pytest.mark.parametrize("url", TAKEN)
def test_an_address_of_every_other_form_composes(project, url):
    assert compose.compose([*FAR, f'source.far.url="{url}"']).section["source"]["far"]["url"] == url


@pytest.mark.parametrize("value", ["7", "[https://me:secret@host/x]", "null", "{url: 'https://me:secret@host/x'}"])
def test_what_is_no_text_is_no_address_and_is_not_printed(project, value):
    (problem,) = problems(*FAR, f"source.far.url={value}")
    assert "must be an address that begins with one of file://, s3://" in problem and "secret" not in problem


def test_the_password_stays_out_of_what_every_door_prints(project, fmcycle):
    url = "https://me:secret@host/x"
    (project / "conf/source/far.yaml").write_text(
        yaml.safe_dump(yaml.safe_load((project / "conf/source/remote.yaml").read_text()) | {"url": url})
    )
    for arguments in ([*FAR[1:], f"source.far.url={url}"], ["+source@source.far=far"], ["-m", *FAR[1:], f"source.far.url={url},s3://b/x"]):
        result = fmcycle("collect", *arguments)
        assert result.returncode == 2 and "holds a password" in result.stderr, result.stderr
        assert "secret" not in result.stderr + result.stdout and "Traceback" not in result.stderr
    assert not (project / "data").exists() and not list((project / "runs").glob("*"))


def test_a_server_has_an_address_of_the_web(project):
    made = ["stage=collect", "+source@source.made=synthetic", "inputs.seeds=conf", "source.made.generate.model=m"]
    for url, why in (
        ("127.0.0.1:8000/v1", "is no address"),
        ("s3://b/v1", "begins with s3://"),
        ("http://a:secret@b/v1", "holds a password"),
    ):
        assert any(why in line and "secret" not in line for line in problems(*made, f"source.made.generate.url={url}"))
    assert address.fault("http://[::1]:8000/v1", address.WEB) is None
