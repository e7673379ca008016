"""Check digits and forms of numbers: cards, bank accounts, national identity numbers."""

import re
from datetime import date

# Length of an account number by country. Source: SWIFT, IBAN Registry (ISO 13616).
IBAN = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU XK", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
TENTH = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
ODD = dict(zip("0123456789ABCDEFGHIJ", TENTH + TENTH, strict=True)) | dict(
    zip("KLMNOPQRSTUVWXYZ", [2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23], strict=True)
)


def digits(text: str) -> list[int]:
    """The digits of a text."""
    return [int(character) for character in text if "0" <= character <= "9"]


# Issuers' prefixes and the lengths of their cards. Source: ISO/IEC 7812-1 and the schemes' published ranges.
CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720))\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12,15}|(?:60|62|64|65|81|82)\d{14,17}|(?:50|5[6-9]|6[37])\d{14,17}|220[0-4]\d{12,15}"
)


def card(number: str) -> bool:
    """True if a card number has an issuer's prefix, the length of its cards, and a correct check digit."""
    return CARD.fullmatch("".join(map(str, digits(number)))) is not None and luhn(number)


def luhn(number: str) -> bool:
    """True if the last digit is the Luhn check digit of the others, and not all digits are the same. Source: ISO/IEC 7812-1."""
    numbers = digits(number)[::-1]
    total = sum(numbers[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in numbers[1::2])
    return total % 10 == 0 and len(set(numbers)) > 1


def iban(number: str) -> bool:
    """True if an account number has its country's length, and is 1 modulo 97. Source: ISO 13616, ISO/IEC 7064."""
    plain = number.replace(" ", "")
    if IBAN.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def ssn(number: str) -> bool:
    """True if a US social security number can have been issued. It has no check digit; two that advertisements used are nobody's."""
    area, group, serial = number.split("-")
    return (
        area not in ("000", "666") and area < "900" and group != "00" and serial != "0000" and number not in ("078-05-1120", "219-09-9999")
    )


def nino(number: str) -> bool:
    """True if a UK National Insurance number has a prefix that is issued. Source: HMRC, NIM39110."""
    return number[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def steuer_id(number: str) -> bool:
    """German tax identifier: of the first ten digits one occurs twice or thrice; the last is a check digit (ISO/IEC 7064, MOD 11,10)."""
    numbers = digits(number)
    often = sorted(numbers[:10].count(digit) for digit in set(numbers[:10]))
    product = 10
    for digit in numbers[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return numbers[0] != 0 and often[-1] in (2, 3) and often[-2] == 1 and (11 - product) % 10 == numbers[10]


def insee(number: str) -> bool:
    """French number of registration: the last two digits are 97 minus the others modulo 97; Corsica is 2A (19) and 2B (18)."""
    plain = number.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return len(plain) == 15 and 97 - int(plain[:13]) % 97 == int(plain[13:])


def dni(number: str) -> bool:
    """Spanish identity number, also of residents (X, Y, Z for 0, 1, 2): the letter encodes the number modulo 23."""
    plain = number.replace("-", "")
    value = int(plain[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[value % 23] == plain[-1]


def codice_fiscale(number: str) -> bool:
    """Italian tax code: the last letter is a check letter. Source: D.M. 23 December 1976."""
    even = sum(int(character, 36) - 10 if character.isalpha() else int(character) for character in number[1:15:2])
    return chr(65 + (even + sum(ODD[character] for character in number[:15:2])) % 26) == number[15]


def cpf(number: str) -> bool:
    """Brazilian taxpayer number: two check digits modulo 11."""
    numbers = digits(number)
    for count in (9, 10):
        total = sum(digit * weight for digit, weight in zip(numbers, range(count + 1, 1, -1), strict=False))
        if total * 10 % 11 % 10 != numbers[count]:
            return False
    return len(set(numbers)) > 1


def resident(number: str) -> bool:
    """Chinese resident identity number: contains a date of birth; check digit modulo 11-2 (GB 11643, ISO/IEC 7064)."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()
