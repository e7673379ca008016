import polars as pl
import pytest

from fmcycle.curation.privacy import luhn, mask


def one(text):
    return mask(pl.DataFrame({"text": [text]}))["text"][0]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to Jo.Doe+x@mail.example.co.uk, today.", "Write to <email>, today."),
        ("Call 1-800-273-8255 or (212) 555-0187 or +49 30 1234 5678.", "Call <phone> or <phone> or <phone>."),
        ("Pay with 4111 1111 1111 1111 or 5555-5555-5555-4444.", "Pay with <card> or <card>."),
        ("Amex 378282246310005, 3782 822463 10005.", "Amex <card>, <card>."),
        ("The key AKIAIOSFODNN7EXAMPLE is revoked.", "The key <key> is revoked."),
        ('aws_secret = "x"; secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"', 'aws_secret = "x"; secret="<key>"'),
        ("token ghp_abcdefghijklmnopqrstuvwxyz0123456789 end", "token <key> end"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAAAA\n-----END RSA PRIVATE KEY-----\nafter", "<key>\nafter"),
    ],
)
def test_personal_data_is_masked(text, masked):
    assert one(text) == masked
    assert one(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 fails the check",
        "0.6666666666666667*x and 0.35714285714285716",
        "docdb-2019-05-28-15-24-52 at 2019-05-28 15:24:52",
        "ecm(9804659461513846513)",
        "arn:aws:iam::123456789012:role/name, port 8080, 10.0.0.1, 2001:db8::1",
        "the decorator @app.route and user@localhost",
        "JID123e4567-e89b-12d3-a456-426655440000",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert one(text) == text


def test_luhn():
    assert luhn("4111111111111111") and not luhn("4111111111111112") and not luhn("0000000000000000")
