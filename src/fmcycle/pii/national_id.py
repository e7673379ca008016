"""National identity numbers: their forms by country, and the checks that tell them from other digits.

Plain digits count only if a word in front of them names the number. Sources: the authorities' own descriptions.
"""

import re
from collections.abc import Callable
from datetime import date

from fmcycle.pii import checksum
from fmcycle.pii.checksum import digits

CURP = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
VERHOEFF = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def is_date(year: int, month: str, day: str) -> bool:
    """True if the date exists."""
    try:
        date(year, int(month), int(day))
    except ValueError:
        return False
    return True


def born(number: str) -> bool:
    """True if a number begins with a date of birth, YYMMDD, in this century or the last."""
    return any(is_date(century + int(number[:2]), number[2:4], number[4:6]) for century in (1900, 2000))


def weighted(number: str, weights: list[int]) -> int:
    """Weighted sum of the digits."""
    return sum(digit * weight for digit, weight in zip(digits(number), weights, strict=False))


def personnummer(number: str) -> bool:
    """Swedish: a date of birth, and a Luhn check digit."""
    return born(number) and checksum.luhn(number)


def hetu(number: str) -> bool:
    """Finnish: a date of birth, DDMMYY, and the number modulo 31 as a check character."""
    day = any(is_date(century + int(number[4:6]), number[2:4], number[:2]) for century in (1800, 1900, 2000))
    return day and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number[:6] + number[7:10]) % 31] == number[10]


def rijksregister(number: str) -> bool:
    """Belgian: the last two digits are 97 minus the first nine modulo 97, with a 2 before these for people born after 1999."""
    plain = "".join(map(str, digits(number)))
    return any(97 - int(century + plain[:9]) % 97 == int(plain[9:]) for century in ("", "2"))


def ahv(number: str) -> bool:
    """Swiss: an EAN-13 check digit; the form has the prefix 756."""
    return weighted(number, [1, 3] * 6 + [1]) % 10 == 0


def curp(number: str) -> bool:
    """Mexican: a date of birth, and a check digit by the characters' places in the alphabet with Ñ."""
    return born(number[4:10]) and (10 - sum(CURP.index(sign) * (18 - place) for place, sign in enumerate(number[:17])) % 10) % 10 == int(
        number[17]
    )


def rut(number: str) -> bool:
    """Chilean: the last character is 11 minus the weighted sum modulo 11, K for 10."""
    plain = digits(number.split("-")[0])[::-1]
    return "0K987654321"[sum(digit * (2 + place % 6) for place, digit in enumerate(plain)) % 11] == number[-1].upper()


def kimlik(number: str) -> bool:
    """Turkish: two check digits."""
    own = digits(number)
    return own[0] > 0 and (7 * sum(own[0:9:2]) - sum(own[1:8:2])) % 10 == own[9] and sum(own[:10]) % 10 == own[10]


def aadhaar(number: str) -> bool:
    """Indian: Verhoeff's check digit, a product in the dihedral group of order ten."""
    state = 0
    for place, digit in enumerate(reversed(digits(number))):
        for _ in range(place % 8):
            digit = VERHOEFF[digit]
        turned = 5 * ((state < 5) == (digit >= 5))
        state = turned + (state + digit if state < 5 else state - digit) % 5
    return state == 0


def eleven(weights: list[int]) -> Callable[[str], bool]:
    """A check that the weighted sum is a multiple of eleven."""
    return lambda number: weighted(number, weights) % 11 == 0


def pesel(number: str) -> bool:
    """Polish: a date of birth, whose month also encodes the century; the weighted sum ends in 0."""
    month = int(number[2:4]) % 20
    return is_date(2000 + int(number[:2]), f"{month}", number[4:6]) and weighted(number, [1, 3, 7, 9] * 2 + [1, 3, 1]) % 10 == 0


def cpr(number: str) -> bool:
    """Danish: a date of birth, DDMMYY; since 2007 the last digit is no longer a check digit."""
    return is_date(2000 + int(number[4:6]), number[2:4], number[:2])


def foedselsnummer(number: str) -> bool:
    """Norwegian: two check digits modulo 11."""
    return eleven([3, 7, 6, 1, 8, 9, 4, 5, 2, 1])(number) and eleven([5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1])(number)


def ssn(number: str) -> bool:
    """A US social security number, with or without separators."""
    plain = "".join(map(str, digits(number)))
    return checksum.ssn(f"{plain[:3]}-{plain[3:5]}-{plain[5:]}")


def south_african(number: str) -> bool:
    """South African: a date of birth, and a Luhn check digit."""
    return born(number) and checksum.luhn(number)


FORMS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "us": (r"\d{3}-\d{2}-\d{4}", checksum.ssn),
    "uk": (r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: \d{2} \d{2} \d{2} |\d{6})[A-D]", checksum.nino),
    "it": (r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", checksum.codice_fiscale),
    "br": (r"\d{3}\.\d{3}\.\d{3}-\d{2}", checksum.cpf),
    "cn": (r"[1-8]\d{5}(?:19|20)\d{9}[\dXx]", checksum.resident),
    "fr": (r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", checksum.insee),
    "es": (r"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", checksum.dni),
    "se": (r"\d{6}[-+]\d{4}", personnummer),
    "fi": (r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", hetu),
    "be": (r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", rijksregister),
    "ch": (r"756\.\d{4}\.\d{4}\.\d\d", ahv),
    "kr": (r"\d{6}-[1-8]\d{6}", born),  # since 2020 its last digit is no longer a check digit
    "mx": (r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d", curp),
    "cl": (r"[1-9]\d?\.\d{3}\.\d{3}-[\dkK]", rut),
}
CARD = "(?:[Nn]ational ID|[Ii]dentity|ID)(?: [Cc]ard)? [Nn](?:umber|o|r)"
NAMED: list[tuple[str, str, Callable[[str], bool]]] = [  # digits that count only behind one of these words
    (r"IdNr|Steuer-ID|[Ss]teueridentifikationsnummer", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checksum.steuer_id),
    ("SSN|ssn|[Ss]ocial [Ss]ecurity", r"\d{3}[ -]?\d{2}[ -]?\d{4}", ssn),
    ("NHS", r"\d{3}[ -]?\d{3}[ -]?\d{4}", eleven([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])),
    ("SIN|[Ss]ocial [Ii]nsurance", r"\d{3}[ -]?\d{3}[ -]?\d{3}", checksum.luhn),
    ("BSN|[Bb]urgerservicenummer", r"\d{9}|\d{3}[ .]\d{3}[ .]\d{3}", eleven([9, 8, 7, 6, 5, 4, 3, 2, -1])),
    ("PESEL", r"\d{11}", pesel),
    ("CPR", r"\d{6}-?\d{4}", cpr),
    ("[Ff]ødselsnummer|[Pp]ersonnummer", r"\d{6} ?\d{5}", foedselsnummer),
    ("[Aa]adhaa?r|आधार", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", aadhaar),
    ("TCKN|[Kk]imlik", r"[1-9]\d{10}", kimlik),
    (CARD, r"[1-9]\d{10}", lambda number: kimlik(number) or pesel(number) or checksum.steuer_id(number)),
    (CARD, r"\d{13}", south_african),
    ("[Pp]assport|PASSPORT|[Rr]eisepass|[Pp]asseport|[Pp]asaporte", r"[A-Z]{0,2}\d{6,9}", bool),
]
WORDS = "|".join(dict.fromkeys(words for words, _, _ in NAMED))
NUMBER = r"(?:[ .:#]{0,3}(?i:card|number|no|nr|num|numarası|n°|is)\b){0,3}[ .:#=]{0,4}"
PATTERN = re.compile(
    rf"(?<![\w.-])(?<!\) )(?:{'|'.join(f'(?P<{country}>{form})' for country, (form, _) in FORMS.items())})(?![\w-]|\.\d)"
    rf"|(?<![^\W_])(?P<word>{WORDS}){NUMBER}(?P<named>[A-Z]{{0,2}}\d(?:[ .-]?\d){{5,12}})(?![\w-])"
)
HINT = (  # an RE2 pattern that matches at least as much
    r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]|[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z]"
    r"|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]|[1-8][0-9]{16}|[12] ?[0-9]{2} ?[01][0-9] ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
    r"|(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-Z]|[0-9]{6}[-+A][0-9]{3}|[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}|756\.[0-9]{4}\."
    rf"|[A-Z]{{4}}[0-9]{{6}}[HM][A-Z]|[0-9]\.[0-9]{{3}}\.[0-9]{{3}}-[0-9kK]|{WORDS}"
)


def is_national(match: re.Match) -> bool:
    """True if a match passes the check of the country whose form it has, or which the word in front names."""
    if not match["word"]:
        country = match.lastgroup or ""
        return FORMS[country][1](match[country])
    word, span = match["word"], match["named"]
    told = [(form, check) for words, form, check in NAMED if re.fullmatch(words, word)]
    return any(re.fullmatch(form, span) and check(span) for form, check in [*told, *FORMS.values()])
