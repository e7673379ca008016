import pytest

from fmcycle.pii import detect, national_id

# Published examples of the authorities and of those who describe them; the second differs in one sign.
PAIRS = [
    ("personnummer", "811218-9876", "811218-9875"),
    ("hetu", "131052-308T", "131052-308U"),
    ("rijksregister", "85.07.30-033.28", "85.07.30-033.29"),
    ("ahv", "756.9217.0769.85", "756.9217.0769.84"),
    ("born", "800101-1234567", "801301-1234567"),
    ("curp", "BOXW310820HNERXN09", "BOXW310820HNERXN08"),
    ("rut", "12.345.678-5", "12.345.678-4"),
    ("kimlik", "10000000146", "10000000147"),
    ("aadhaar", "2341 2341 2346", "2341 2341 2347"),
    ("pesel", "44051401359", "44051401358"),
    ("cpr", "070761-4285", "073261-4285"),
    ("foedselsnummer", "29029600013", "29029600014"),
    ("ssn", "536904399", "936904399"),
    ("south_african", "8001015009087", "8001015009086"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), PAIRS)
def test_a_number_passes_its_check_and_its_neighbour_does_not(name, right, wrong):
    check = getattr(national_id, name)
    assert check(right) and not check(wrong)


def masked(text):
    return detect.replace(text, ["national_id"], lambda kind, _: f"<{kind}>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SSN: 536904399, social security number 536-90-4399", "SSN: <national_id>, social security number <national_id>"),
        ("NHS no. 943 476 5919; PESEL 44051401359", "NHS no. <national_id>; PESEL <national_id>"),
        ("BSN 111222333, SIN: 046 454 286", "BSN <national_id>, SIN: <national_id>"),
        ("T.C. kimlik no 10000000146, ID number: 10000000146.", "T.C. kimlik no <national_id>, ID number: <national_id>."),
        ("passport number: AB1234567", "passport number: <national_id>"),
    ],
)
def test_digits_are_one_where_words_say_so(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Algiers [213] (0) 770-08-2000",  # a telephone number in the form of a US one
        "the ID number of the image is 12345678901, ticket 10000000146, order 8001015009087",
        "my passport, 2 photographs; social security in 2002-08-22; the NHS 943 476 5918",
        "a sin 046 454 286",
    ],
)
def test_other_digits_stay(text):
    assert masked(text) == text
