import gzip
import json
import time
from pathlib import Path

import polars as pl
import pytest

from fmcycle.curation.privacy import mask
from fmcycle.errors import InputError

MAIL = Path(__file__).parents[3] / "shared/data/restricted/spamassassin-mail/mail.jsonl.gz"


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
        ("Konto DE89 3704 0044 0532 0130 00 UND BE68539007547034 WITH it.", "Konto <iban> UND <iban> WITH it."),
        ("SSN 123-45-6789, NINO AB 12 34 56 C, DNI 12345678Z.", "SSN <national_id>, NINO <national_id>, DNI <national_id>."),
        ("IdNr. 86 095 742 719; no 2 55 08 14 168 025 38; CF MRTMTT91D08F205J", "IdNr. <national_id>; no <national_id>; CF <national_id>"),
        ("CPF 529.982.247-25 \u8eab\u4efd\u8bc1 11010519491231002X", "CPF <national_id> \u8eab\u4efd\u8bc1 <national_id>"),
        ("from host [93.184.216.34] and 2606:2800:220:1:248:1893:25c8:1946.", "from host [<ip>] and <ip>."),
        ("Mob : +44 7764 905 955, Ph +353 1 8064276", "Mob : <phone>, Ph <phone>"),
        ("Tel: 852 23079338 Fax +44 (0)20 7493 5922.", "Tel: <phone> Fax <phone>."),
        ("Phone : + 234 8059781980 (865-454-5398)", "Phone : <phone> (<phone>)"),
        ("my password is hunter2!\n>>> Password: 1534", "my password is <key>\n>>> Password: <key>"),
        ("postgres://jo:s3cret@db.example/x", "postgres://jo:<key>@db.example/x"),
        ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH glpat-abcdefghij0123456789", "<key> <key>"),
        ("k = b64decode(b'Rm5EPJai72qcK3RGBpW3vPNfZy5OZothY+kHY6h21KM=')", "k = b64decode(b'<key>')"),
        ("From list-return-484-jo=example.org@lists.example Fri", "From <email> Fri"),
        (r"[jo\_doe@example.org](mailto:jo_doe@example.org)", "[<email>](mailto:<email>)"),
        ("sender : jo.doe@mt1 . example . com ( jo )", "sender : <email> ( jo )"),
        ("see http://93.184.216.34/123/ from [93.184.217.0]", "see http://<ip>/123/ from [<ip>]"),
        ("| **Password:** `dR7@9Qz!mLp4`, my password is Tiger2024.", "| **Password:** `<key>`, my password is <key>."),
        ('app.config["SECRET_KEY"] = "flask-secret-key-12345"', 'app.config["SECRET_KEY"] = "<key>"'),
        ("-----BEGIN PRIVATE KEY-----\nMIIEAAAA\n(cut)\nThe text goes on.", "<key>(cut)\nThe text goes on."),
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
        "arn:aws:iam::123456789012:role/name, port 8080, 10.0.0.1, 127.0.0.1, 2001:db8::1, 192.0.2.0/24, 224.0.0.251",
        "Version 93.184.216.34, Sendmail/93.184.216.34, section 8.2.4.44, X-Mailer: Express 5.00.2615.200, Service (5.5.2656.59)",
        "the decorator @app.route and user@localhost, icon@2x.png, git@github.com:org/name",
        "GB29 NWBK 6016 1331 9268 18, 12345678A, 923-45-6789 and MRTMTT91D08F205K fail their checks",
        "password: string, token: https://host/1, secret_id = aws_secret_id, api_key=os.environ, the password matter is 1 of 2",
        "ListDistributionsByVpcOriginId2020_05_31, TendonForceLengthInverseDeGroote2016(fl_T)",
        "CreateCloudFrontOriginAccessIdentity2020_05_31 and us-east-1_EXAMPLE|a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
        "/images/2Ecom/j/johnson2276/Images/IntroDuctionPage and sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=",
        "<FileHash mode: sha256 value: bYkw5oMccfazVCoYQwKkkemoVyMAFoR34mmKBx8R1NI>",
        'boundary="----=_NextPart_dD40Vgw1oCGOp3EPEdazdGAA"\n------=_NextPart_dD40Vgw1oCGOp3EPEdazdGAA\n',
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "L0hFQUQ+DQo8Qk9EWSBiZ0NvbG9yPSNmZmZmZmYgbGVmdE1hcmdpbj0wIA0K\ncmVsb2FkSW1hZ2VzKCcvdGVt",
        "std::vector<a::b>, x[1::2], 12:30:45, fe80::1, ICQ 113 069 081, Date: Thu, 22 Aug 2002 12:36:23 +0100",
        '"Charles": 28711, "password": 28712, "gears": 28713',
        "id MHotMailBE7297E1009B400437E7CBBA91E10D0B0; Sep",
        "e-ticket 3153628683926, 3782 822463 1000 5",
        "http://93.184.216.0/24 and me@home . And then; ?email=",
        "JID123e4567-e89b-12d3-a456-426655440000",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert one(text) == text


def test_what_was_found_is_counted():
    text = "a@b.org, c@d.org; 93.184.216.34"
    found = mask(pl.DataFrame({"text": ["nothing", text, "+49 30 1234 5678"]}))
    counts = {name.removeprefix("count:"): found[name].to_list() for name in found.columns if name.startswith("count:")}
    assert counts.pop("email") == [0, 2, 0] and counts.pop("ip") == [0, 1, 0] and counts.pop("phone") == [0, 0, 1]
    assert set(counts) == {"key", "iban", "card", "national_id"} and all(not any(each) for each in counts.values())


def test_a_pseudonym_is_stable_and_nobodys_without_the_secret(tmp_path):
    (tmp_path / "one").write_bytes(b"1" * 16)
    (tmp_path / "two").write_bytes(b"2" * 16)
    texts = pl.DataFrame({"text": ["Jo@example.org", "and jo@example.org, +1 212-555-0187", "jim@example.org; (212) 555-0187"]})
    one = mask(texts, email="hash", phone="hash", secret=str(tmp_path / "one"))
    first = one["text"][0]
    assert first.startswith("<email:") and first in one["text"][1] and first not in one["text"][2]
    assert mask(one, email="hash", phone="hash", secret=str(tmp_path / "one"))["text"].equals(one["text"])
    assert mask(texts, email="hash", secret=str(tmp_path / "two"))["text"][0] != first
    (tmp_path / "short").write_bytes(b"1")
    for file in (None, str(tmp_path / "none"), str(tmp_path / "short")):
        with pytest.raises(InputError, match=r"secret=FILE|could be guessed"):
            mask(texts, email="hash", secret=file)


def test_a_document_with_a_dropped_kind_goes_with_its_reason_and_without_its_number():
    found = mask(pl.DataFrame({"text": ["pay 4111 1111 1111 1111 by a@b.org", "a@b.org"]}), card="drop", email="keep")
    assert found["reason"].to_list() == ["personal data", None]
    assert (found["rule"][0], found["value"][0]) == ("card > 0", "1")
    assert found["text"].to_list() == ["pay <card> by a@b.org", "a@b.org"] and "count:email" not in found.columns


def test_nothing_asked_nothing_done():
    kinds = ("key", "email", "iban", "card", "national_id", "phone", "ip")
    frame = pl.DataFrame({"text": ["a@b.org"]})
    assert mask(frame, **dict.fromkeys(kinds, "keep")).equals(frame)
    assert mask(frame.clear())["text"].len() == 0


@pytest.mark.skipif(not MAIL.is_file(), reason=f"{MAIL} is not here")
def test_on_real_mail_every_address_goes_and_what_the_programs_are_called_stays():
    with gzip.open(MAIL) as lines:
        frame = pl.DataFrame([{"text": json.loads(line)["text"]} for line in lines][:300])
    found = mask(frame)
    assert mask(found.select("text"))["text"].equals(found["text"])
    left = found["text"].str.extract_all(r"[\w.+-]+@[\w-]+\.[\w.]*[A-Za-z]{2}\b").explode().drop_nulls()
    assert left.len() == 0 and found["count:email"].sum() > 2000 and found["count:ip"].sum() > 400
    kept = r"127\.0\.0\.1|MSHTML [\d.]+|ESMTP id \w+|\d\d:\d\d:\d\d"
    assert found["text"].str.count_matches(kept).equals(frame["text"].str.count_matches(kept))


def test_a_clean_text_costs_little():
    frame = pl.DataFrame({"text": ["The tide came in at 10:30 and took 1,250 of the 4000 boats (see page 12-14).\n" * 500] * 50})
    start = time.process_time()
    mask(frame)
    assert frame["text"].str.len_bytes().sum() / 1e6 / (time.process_time() - start) > 10  # MB a second
