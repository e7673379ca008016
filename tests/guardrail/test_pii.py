"""The output guard masks personal data once, leaves documentation alone, and holds back what may become a span."""

import time

import pytest

from fmcycle.guardrail.pii import Mask

SECRETS = [
    "bob.smith+x@mail.example.co.uk", "+1 (415) 555-0132", "(030) 1234 5678", "415-555-0132", "+14155550132",
    "4111 1111 1111 1111", "5500-0000-0000-0004", "AKIAIOSFODNN7EXAMPLE", "sk-abcdefghijklmnopqrstuvwx",
    "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "123-45-6789", "AB 12 34 56 C", "2 55 08 14 168 025 38", "12345678Z",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE ow\nIBAA\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip
PLAIN = [
    "Version 1.2.3 of 2024-01-02 10:22:33 listens on 192.168.1.10:8080.",
    "arn:aws:iam::123456789012:role/x costs 10 000 000 1234 units, pages 100-200",
    "GB29 NWBK 6016 1331 9268 18 and 12345678A fail their checks, OF 100 ROWS",
    "The decorator @property, and a@b, and in 1996-2001",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_and_a_masked_text_masks_to_itself(secret):
    masked = Mask()(f"Write to {secret}, or (see {secret}) later.")
    assert secret not in masked and masked.count("<") == 2
    assert Mask()(masked) == masked


@pytest.mark.parametrize("text", PLAIN)
def test_documentation_stays_as_it_is(text):
    assert Mask()(text) == text


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("after", ["", ".", ", then", "\nmore", " 12 of 3"])
def test_what_is_let_through_early_is_what_the_whole_text_gives(secret, after):
    text, mask = f"Call 7 or {secret}{after}", Mask()
    whole = mask(text)
    for end in range(len(text) + 1):
        early = mask(text[: end - mask.hold(text[:end])])
        assert whole.startswith(early)


def test_the_secret_of_a_login_goes_and_its_name_stays():
    text = "Set password: hunter2x and open https://jo:pa55w0rd@host.example/x"
    assert Mask()(text) == "Set password: <key> and open https://jo:<key>@host.example/x"
    for end in range(len(text) + 1):
        assert Mask()(text).startswith(Mask()(text[: end - Mask().hold(text[:end])]))


def test_addresses_of_the_network_only_where_asked():
    assert Mask()("at 93.184.216.34") == "at 93.184.216.34" and Mask(["ip"])("at 93.184.216.34") == "at <ip>"


def test_plain_words_are_let_through_but_the_last():
    assert Mask().hold("The bucket name is wri") == 3


def test_a_hostile_text_costs_linear_time():
    def seconds(text: str) -> float:
        start = time.process_time()
        Mask()(text)
        Mask().hold(text)
        return time.process_time() - start

    for part in ("a", "1 ", "a@", "+1 (", "A1 ", "a1B", "tel 1", "1:", "password: a", "x://", "-----BEGIN PRIVATE KEY-----"):
        short, long = (seconds(part * (count // len(part))) for count in (6_250, 50_000))
        assert long < 32 * short + 0.5, f"{part!r}: 8 times the text took {long / short:.0f} times as long; 64 would be quadratic"
