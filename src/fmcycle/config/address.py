"""Checks every address that a config names before any work: its protocol, and that it has no password, which artifacts would show."""

import re

# file systems of fsspec that hold files under an address
FILES = (
    "file", "s3", "gs", "gcs", "abfs", "abfss", "az", "http", "https", "hdfs", "webhdfs", "ssh", "sftp", "ftp", "smb", "hf", "memory",
)  # fmt: skip
WEB = ("http", "https")
PROTOCOL = re.compile(r"([\w+.-]+)://")
SECRET = re.compile(r"[?#&;](sig|auth|[\w.-]*(passw\w*|token|secret|signature|credential|(api|access)[_-]?key))=", re.I)


def fault(url: object, protocols=FILES) -> str | None:
    """Return why an address is refused, without its password; None if it is valid. protocols: those that its reader knows."""
    if not isinstance(url, str):
        return f"must be an address that begins with {_listed(protocols)}, not {type(url).__name__}"
    why = _fault(url, protocols)
    return f"{shown(url)}: {why}" if why else None


def _fault(url: str, protocols) -> str | None:
    known, rest = PROTOCOL.match(url), PROTOCOL.sub("", url, count=1)
    host = re.sub(r"\[.*?\]", "", re.split("[/?#]", rest)[0])  # without an IPv6 address
    if "::" in url and protocols is FILES:
        return "is a chain of file systems; name the archive itself, which curate opens"
    if not known:
        return f"is no address; it begins with {_listed(protocols)}"
    if (protocol := known[1]) not in protocols:
        return f"begins with {protocol}://, which nothing here reads; it begins with {_listed(protocols)}"
    if not rest.strip("/"):
        return "names no file and no folder; say which one behind ://"
    if re.search(r":(?!\d*$)", host) or (protocol in WEB and "@" in host) or SECRET.search(url):
        return "holds a password, which every artifact would show; leave it to the environment or the profile of its library"
    return None


def _listed(protocols) -> str:
    return f"one of {', '.join(f'{name}://' for name in protocols)}"


def shown(url: str) -> str:
    """Return an address without the text before @ and behind ? or #; only the protocol if it has both. Cuts a long one."""
    known, (plain, *query) = PROTOCOL.match(url), re.split("[?#]", url, maxsplit=1)
    if "@" in url:
        plain = (known[0] if known else "") + "..." + ("" if query else f"@{url.rpartition('@')[2]}")
    return plain[:200] + ("?..." if query else "")
