"""Who may ask: the address that the server takes, the Host that a request goes to, and the Origin of a page that sends it."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fmcycle.errors import InputError
from fmcycle.serving.access import Access, check_address
from fmcycle.serving.middleware import Shell

LOCAL, BEYOND = ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"], ["0.0.0.0", "::", "192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"]


@pytest.mark.parametrize("host", LOCAL)
def test_an_address_of_this_machine_needs_no_word(host):
    assert check_address(host, 3000) == ""


@pytest.mark.parametrize("host", BEYOND)
def test_an_address_beyond_this_machine_is_refused_unless_told_and_then_said_aloud(host, monkeypatch):
    with pytest.raises(InputError, match=r"no API keys.*FMCYCLE_OPEN=yes"):
        check_address(host, 3000)
    monkeypatch.setenv("FMCYCLE_OPEN", "yes")
    assert "no API keys" in check_address(host, 3000)
    monkeypatch.setenv("FMCYCLE_OPEN", "true")
    with pytest.raises(InputError, match="say yes"):
        check_address(host, 3000)


@pytest.mark.parametrize("host", ["localhost", "example.org", "0", "127.1", ""])
def test_what_is_no_address_is_refused_with_one(host):
    with pytest.raises(InputError, match=r"127\.0\.0\.1"):
        check_address(host, 3000)


def client(base="http://127.0.0.1:3000", **allowed):
    app = FastAPI()
    app.add_middleware(Shell, paths=["/x"], allowed=Access(**{name: frozenset(value) for name, value in allowed.items()}))

    @app.get("/x")
    @app.post("/x")
    def x():
        return {}

    return TestClient(app, base_url=base)


def asked(client, method="POST", **headers):
    content = {"json": {}} if method == "POST" else {}
    return client.request(method, "/x", headers={name.replace("_", "-"): value for name, value in headers.items()}, **content)


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost", "LOCALHOST.:1", "[::1]:3000", "127.0.0.9"])
def test_this_machines_names_are_answered(host):
    assert asked(client(), host=host).status_code == 200


def test_the_address_that_a_request_reached_is_answered():
    assert asked(client("http://192.0.2.7:3000")).status_code == 200
    assert asked(client("http://[2001:db8::1]:3000"), host="[2001:DB8:0:0:0:0:0:1]:3000").status_code == 200
    assert asked(client("http://192.0.2.7:3000"), host="192.0.2.8:3000").status_code == 403


STRANGE = [
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "a b",
    "",
    "@localhost",
    "localhost@evil",
    "[",
]


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_name_is_refused_in_openais_form(host, method):
    answer = asked(client(), method, host=host)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (403, "host_not_allowed", "Host") and "FMCYCLE_HOSTS" in error["message"]


def test_a_name_that_was_told_is_answered():
    assert asked(client(hosts=["models.example.org"]), host="Models.Example.org:443").status_code == 200
    assert asked(client(hosts=["*"]), host="anything").status_code == 200


OWN = ["http://127.0.0.1:3000", "http://localhost:3000", "https://[::1]:3000"]
FOREIGN = ["http://evil.example", "http://localhost:5173", "http://127.0.0.1", "null", "http://evil.example:3000", "file://", "x", ""]


@pytest.mark.parametrize("origin", OWN)
def test_the_servers_own_page_may_ask(origin):
    answer = asked(client(), origin=origin)
    assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_page_may_not(origin, method):
    answer = asked(client(), method, origin=origin, access_control_request_method="POST")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_was_told_may_ask_and_read_what_it_is_told():
    page, http = "http://localhost:5173", client(origins=["http://localhost:5173"])
    before = asked(http, "OPTIONS", origin=page, access_control_request_method="POST", access_control_request_headers="content-type, x-a")
    assert before.status_code == 204 and before.headers["access-control-allow-headers"] == "content-type, x-a"
    assert "POST" in before.headers["access-control-allow-methods"] and "access-control-allow-private-network" not in before.headers
    private = {"access_control_request_method": "POST", "access_control_request_private_network": "true"}
    assert asked(http, "OPTIONS", origin=page, **private).headers["access-control-allow-private-network"] == "true"
    for answer in (asked(http, origin=page), http.post("/x", content=b"", headers={"origin": page})):
        assert answer.headers["access-control-allow-origin"] == page and answer.headers["vary"] == "Origin"
    assert asked(http, origin="http://localhost:5174").status_code == 403


def test_the_environment_says_who(monkeypatch):
    monkeypatch.setenv("FMCYCLE_HOSTS", "a.example, 192.0.2.7 ")
    monkeypatch.setenv("FMCYCLE_ORIGINS", "https://a.example app://page")
    assert Access.told() == Access(frozenset({"a.example", "192.0.2.7"}), frozenset({"https://a.example", "app://page"}))


@pytest.mark.parametrize(
    ("name", "value"), [("HOSTS", "http://a"), ("HOSTS", "a:80"), ("HOSTS", "A"), ("ORIGINS", "a"), ("ORIGINS", "http://a/")]
)
def test_what_is_no_host_or_origin_is_named(name, value, monkeypatch):
    monkeypatch.setenv(f"FMCYCLE_{name}", value)
    with pytest.raises(InputError, match=f"FMCYCLE_{name}: {value}"):
        Access.told()
