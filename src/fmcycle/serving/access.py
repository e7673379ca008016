"""Access control: the address that the server listens on, the Host names that it accepts and the web pages that may call it."""

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from fmcycle.errors import InputError
from fmcycle.serving.api_error import ApiError

OPEN, HOSTS, ORIGINS = "FMCYCLE_OPEN", "FMCYCLE_HOSTS", "FMCYCLE_ORIGINS"
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.ASCII)
TOKENS = re.compile(r"[\w!#$%&'*+.^`|~, -]{0,1000}", re.ASCII)  # a list of header names
PORTS = {"http": 80, "https": 443}


def check_address(host: str, port: int) -> str:
    """Return the warning for a server that listens on `host`, empty for a loopback address.

    Raises InputError if `host` is not a loopback address and FMCYCLE_OPEN does not allow it.
    """
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
    """The Host names that the server accepts and the origins whose web pages may call it, beside its own."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @classmethod
    def told(cls) -> "Access":
        """Read FMCYCLE_HOSTS and FMCYCLE_ORIGINS. Raises InputError for an entry that is no host name or no origin."""
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
        """Return the foreign origin of a request if it has an allowed one, else None. Raises ApiError 403 for a wrong Host or Origin.

        The check of Host stops pages whose name was made to point to this machine (DNS rebinding); the check of Origin stops all others.
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
    """Return the CORS headers for an allowed foreign origin; for a preflight request also the methods and headers that it may use."""
    headers = dict(scope["headers"])
    told = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    told.append((b"access-control-expose-headers", b"x-answer-id, retry-after"))
    if preflight(scope):
        wanted = headers.get(b"access-control-request-headers", b"").decode("latin-1")
        told.append((b"access-control-allow-methods", b"GET, POST"))
        told.append((b"access-control-allow-headers", wanted.encode() if TOKENS.fullmatch(wanted) else b"content-type"))
        told.append((b"access-control-max-age", b"600"))
        if b"access-control-request-private-network" in headers:  # Chrome asks so if a public page calls an address of this machine
            told.append((b"access-control-allow-private-network", b"true"))
    return told


def preflight(scope) -> bool:
    """Return True for a CORS preflight request."""
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in dict(scope["headers"])


def _split(authority: str) -> tuple[str, int | None]:
    """Return (host, port or None) of `host`, `host:port` or `[address]:port`; ("", None) for any other text."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/]+))(?::(\d{1,5}))?", authority)
    return (_plain(found[1] or found[2]), int(found[3]) if found[3] else None) if found else ("", None)


def _plain(host: str) -> str:
    """Return a host in its canonical spelling; "" if the text is no host."""
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
