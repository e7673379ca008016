"""Find telephone numbers: unambiguous forms, and any digits behind a word such as "phone".

The forms and their counter-examples are from real mail, reviews, tokenized text and code: tests/pii/test_phone.py.
"""

import math
import re

from fmcycle.pii.checksum import digits

GAP = r"(?:[ .-]|\)[ -]?| ?\(|)"  # separators between two digits
WIDE = r"(?: - |[ .-]|\) ?-? ?|)"  # separators in tokenized text, behind a word; a bracket opens only at the beginning
CALLS = (
    r"tele?(?:phone|fone?|fax)?|phone|ph|fax|mobile?|mob|cell|handy|whatsapp|pager|voice|landline|hotline|toll[ -]?free|call|dial"
    r"|t[ée]l|m[óo]vil|tel[ée]fon[oe]?|portable|puh(?:elin)?|тел|телефон|τηλ"
)
UNSPACED = "電話|电话|手机|携帯|전화|휴대폰|هاتف|جوال|फ़ोन|फोन|โทร"
WORDS = r"(?:[ \t.:/]{0,4}(?i:no|nr|n°|number|on|at|is|us|me|direct|line|номер|番号|号码|号|번호|رقم)){0,4}"
NUMBER = rf"{WORDS}(?:#[ :]|[ \t.:：=|*は是]){{0,10}}"
ALONE = r"(?<!\d )", r"(?![ .,/-]?\d)"  # not one of a row of numbers
FORMS = "|".join(
    [
        rf"\+[1-9](?:{GAP}\d){{6,14}}",  # international (E.164)
        rf"\+ [1-9]\d{{0,2}}(?:[ .-]| ?\()(?:{GAP}\d){{6,13}}|(?<=[:a-z] )\+ [1-9]\d{{9,13}}",
        rf"\[[1-9]\d{{0,2}}\] ?\(\d{{1,4}}\)(?:{GAP}\d){{6,12}}",
        r"(?:1[-. ])?\( ?[2-9]\d\d ?\) ?\d{3} ?[-. ] ?\d{4}",  # North American
        r"(?:1[-. ])?[2-9]\d\d(?P<dash>[-.])\d{3}(?P=dash)\d{4}",
        rf"{ALONE[0]}(?:1 (?:- )?)?[2-9]\d\d (?:- )?[2-9]\d\d(?: - |[ -])\d{{4}}{ALONE[1]}",
        r"\(0\d{1,4}\) ?\d{3,4}[ .-]?\d{3,4}|0\d{1,2}-\d{3,4}-\d{4}",  # with a trunk prefix 0
        rf"{ALONE[0]}0[1-9]\d(?:\d\d \d{{6}}|\d \d{{3}} \d{{3,4}}| \d{{4}} \d{{4}}){ALONE[1]}",
        rf"{ALONE[0]}0[1-9](?P<pair>[ .-])\d\d(?:(?P=pair)\d\d){{3}}{ALONE[1]}",
    ]
)
PATTERN = re.compile(
    rf"(?<![\w.+-])(?:{FORMS})(?!\w)|(?:(?i:(?<![a-zа-яα-ω])(?:{CALLS}))|{UNSPACED}){NUMBER}\(??"
    rf"(?P<named>(?:(?:\+ ?)?\d{{1,3}}(?: - |[ -])?(?=\())?(?:\+ ?)?(?:\( ?\+?\d{{1,5}} ?\) ?-? ?)?\d(?:{WIDE}\d){{5,14}})(?!\w)"
)
HINT = (  # an RE2 pattern that matches at least as much
    r"\+ ?[1-9][ .()-]{0,2}[0-9]|\( ?[0-9]{2,5} ?\) ?[0-9]{3}|[0-9]{3}[-. ]{1,3}[0-9]{3}[-. ]{1,3}[0-9]{4}|0[0-9]{1,2}-[0-9]{3,4}-[0-9]{4}"
    r"|\[[1-9][0-9]{0,2}\] ?\([0-9]|0[1-9][0-9](?:[0-9]{2} [0-9]{6}|[0-9] [0-9]{3} [0-9]{3}| [0-9]{4} [0-9]{4})|0[1-9](?:[ .-][0-9]{2}){4}"
    rf"|(?:(?i:{CALLS})|{UNSPACED}){NUMBER}\(?[(+ ]{{0,4}}[0-9]"
)
OTHER = re.compile(  # a range of years, a date, a decimal number
    r"(?:1[0-9]|20)\d\d ?- ?(?:1[0-9]|20)\d\d|(?:19|20)\d\d([-. ])(?:0?\d|1[0-2])\1\d\d?|\d\d?([-. ])\d\d?\2(?:19|20)\d\d|\+\d+\.\d{1,6}"
)


SAYS = (
    r"sizes?|widths?|heights?|lengths?|dims?|dimensions?|shapes?|resolutions?|units|layers?|channels|neurons|batch(?:es)?|steps|epochs|tokens"
    r"|pixels|rows|columns|bytes|frames|seeds?|ids?|version|ver\.?|v|release|rev(?:ision)?|build|firmware|driver|part|serial|sku|model|ticket"
    r"|invoice|order|item|isbn|issn|doi|ports?"
)
LINK = r"(?:of|are|is|were|was|to|from|no|nr|number)\b[ \t:=#([.]{0,3}"
NO_PHONE = re.compile(rf"(?i)(?:\b(?:{SAYS})\b[ \t:=#([]{{0,4}}(?:{LINK}){{0,2}}|[v#=[*/])$")  # text before numbers of other things
PLAIN = re.compile(r"([2-9]\d\d)[-. ]([2-9]\d\d)[-. ](\d{4})")


def is_phone(match: re.Match) -> bool:
    """True for eight to fifteen digits (E.164), seven behind a word such as "phone"; not for dates, rising pairs as of a lottery, and
    sizes: three numbers with a common divisor of eight or more, or numbers behind a word for something else."""
    plain = PLAIN.fullmatch(match[0])
    if plain and (math.gcd(*map(int, plain.groups())) >= 8 or NO_PHONE.search(match.string[max(0, match.start() - 40) : match.start()])):
        return False
    span = match["named"] or match[0]
    pairs = re.fullmatch(r"\d\d(?:[ .-]\d\d){4}", span)
    numbers = [span[place : place + 2] for place in range(0, 14, 3)] if pairs else []
    rising = bool(pairs) and numbers == sorted(set(numbers))
    return (7 if match["named"] else 8) <= len(digits(span)) <= 15 and not OTHER.fullmatch(span) and not rising
