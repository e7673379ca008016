import pytest

from fmcycle.pii import checksum

# Each number stands in its authority's or its standard's own examples; the second differs in one digit or letter.
PAIRS = [
    ("luhn", "4111111111111111", "4111111111111112"),
    ("iban", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"),
    ("iban", "GB29NWBK60161331926819", "GB29NWBK60161331926818"),
    ("iban", "NO93 8601 1117 947", "NO93 8601 1117 94"),
    ("ssn", "123-45-6789", "923-45-6789"),
    ("ssn", "536-90-4399", "078-05-1120"),
    ("nino", "AB123456C", "GB123456C"),
    ("steuer_id", "86095742719", "86095742718"),
    ("steuer_id", "65929970489", "11111111111"),
    ("insee", "255081416802538", "255081416802539"),
    ("dni", "12345678Z", "12345678A"),
    ("dni", "X1234567L", "Y1234567L"),
    ("codice_fiscale", "MRTMTT91D08F205J", "MRTMTT91D08F205K"),
    ("cpf", "529.982.247-25", "529.982.247-26"),
    ("resident", "11010519491231002X", "11010519491331002X"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), PAIRS)
def test_a_number_passes_its_check_and_its_neighbour_does_not(name, right, wrong):
    check = getattr(checksum, name)
    assert check(right) and not check(wrong)


def test_one_digit_repeated_is_nobodys():
    assert not checksum.luhn("0000000000000000") and not checksum.cpf("111.111.111-11")
