"""Who may ask: the address that the server listens on, and the names and web pages that requests may come by."""

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from fmcycle.errors import InputError
from fmcycle.serving.api_error import ApiError

OPEN, HOSTS, ORIGINS = "FMCYCLE_OPEN", "FMCYCLE_HOSTS", "FMCYCLE_ORIGINS"
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.ASCII)
TOKENS = re.compile(r"[\w!#$%&'*+.^`|~, -]{0,1000}", re.ASCII)  # names of headers
PORTS = {"http": 80, "https": 443}


def check_address(host: str, port: int) -> str:
    """What to say aloud of listening on `host`; nothing if it is this machine's own. Raises InputError unless that is allowed."""
    told = os.environ.get(OPEN, "")
    if told not in ("", "yes"):
        raise InputError(f"{OPEN}={told}: say yes, or leave it out")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InputError(f"--host {host}: the server listens on an address; name one, as --host 127.0.0.1") from None
    if (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        return ""
    reach = f"the server listens on {host}, beyond this machine, and there are no API keys: everybody who reaches port {port} can ask it"
    if told != "yes":
        raise InputError(f"--host {host}: {reach}; if that is what you want, set {OPEN}=yes, else take --host 127.0.0.1")
    return f"{OPEN}=yes: {reach} and write feedback"


@dataclass(frozen=True)
class Access:
    """The names that a request's Host may be, and the origins of web pages that may ask, beside the server's own."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @classmethod
    def told(cls) -> "Access":
        """As FMCYCLE_HOSTS and FMCYCLE_ORIGINS say. Raises InputError for what is no name or no origin."""
        hosts, origins = (frozenset(re.split(r"[,\s]+", os.environ.get(name, "").strip())) - {""} for name in (HOSTS, ORIGINS))
        for host in hosts:
            if host != "*" and _plain(host) != host:
                raise InputError(f"{HOSTS}: {host} is no host; write names or addresses without port, as {HOSTS}=models.example.org")
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and not (parts.scheme and parts.netloc and f"{parts.scheme}://{parts.netloc}" == origin):
                raise InputError(f"{ORIGINS}: {origin} is no origin; write it as a browser does, {ORIGINS}=https://app.example.org")
        return cls(hosts, origins)

    def check(self, scope) -> str | None:
        """The foreign origin that a request comes from, where it is an allowed one. Raises ApiError 403 for what is not allowed.

        The Host keeps out a page whose name was made to point here (DNS rebinding), the Origin every other page.
        """
        headers = dict(scope["headers"])
        host, origin = headers.get(b"host"), headers.get(b"origin")
        name, port = _split(host.decode("latin-1")) if host is not None else ("", None)
        if host is not None and not self._own(name, scope):
            message = f"this server does not go by that Host; if it should, start it with {HOSTS}=NAME"
            raise ApiError(403, message, "host_not_allowed", "Host")
        if origin is None:
            return None
        said = origin.decode("latin-1")
        if said in self.origins or "*" in self.origins:
            return said
        parts = _split(said.partition("://")[2])
        default = PORTS.get(said.partition("://")[0])
        if host is not None and self._own(parts[0], scope) and (parts[1] or default) == (port or default):
            return None
        message = f"web pages of that Origin may not ask this server; if they should, start it with {ORIGINS}=ORIGIN"
        raise ApiError(403, message, "origin_not_allowed", "Origin")

    def _own(self, host: str, scope) -> bool:
        reached = scope.get("server") or ("", None)
        return bool(host) and ("*" in self.hosts or host in self.hosts or _loopback(host) or host == _plain(reached[0]))


def shared(origin: str, scope) -> list[tuple[bytes, bytes]]:
    """The headers that let a page of an allowed foreign origin read the answer, and, before it asks, how it may ask."""
    headers = dict(scope["headers"])
    told = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    told.append((b"access-control-expose-headers", b"x-answer-id, retry-after"))
    if preflight(scope):
        wanted = headers.get(b"access-control-request-headers", b"").decode("latin-1")
        told.append((b"access-control-allow-methods", b"GET, POST"))
        told.append((b"access-control-allow-headers", wanted.encode() if TOKENS.fullmatch(wanted) else b"content-type"))
        told.append((b"access-control-max-age", b"600"))
    return told


def preflight(scope) -> bool:
    """Does a browser ask how a page of another origin may ask?"""
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in dict(scope["headers"])


def _split(authority: str) -> tuple[str, int | None]:
    """(host, port where one is said) of `host`, `host:port` or `[address]:port`; ("", None) where it is none of them."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/]+))(?::(\d{1,5}))?", authority)
    return (_plain(found[1] or found[2]), int(found[3]) if found[3] else None) if found else ("", None)


def _plain(host: str) -> str:
    """A host in its one spelling; "" where it is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().removesuffix(".")
        return name if NAME.fullmatch(name) else ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
