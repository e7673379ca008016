"""Personal data and secrets in a text: where they stand, and of which kind. Curation and the guard of the served model ask the same list.

Left out: names, postal addresses, dates of birth, and whatever is written in words ("jo at example dot org").
"""

import ipaddress
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fmcycle import checksum

Kind = Literal["key", "email", "iban", "card", "national_id", "phone", "ip"]
BEFORE, BEHIND = 66, 400  # characters that an address can have on either side of its `around`
GAP = r"(?:[ .-]|\)[ -]?| ?\(|)"  # what stands between two digits of a phone number


@dataclass(frozen=True)
class Rule:
    """pattern: of which the group `value`, or else all, is the span; bounded, so that a hostile text costs linear time. hint: the same or
    more in RE2's syntax, by which most texts are seen to have none. check: whether a match is one. around: what every match has, so
    that only its surroundings are searched."""

    pattern: re.Pattern
    hint: str
    check: Callable[[re.Match], bool] = bool
    around: str = ""

    @property
    def inner(self) -> list[str]:
        """The groups that may be the span."""
        return [name for name in ("value", "named") if name in self.pattern.groupindex]

    def spans(self, text: str) -> Iterator[re.Match]:
        """What is one, from left to right."""
        matches = self._around(text) if self.around else self.pattern.finditer(text)
        return (match for match in matches if self.check(match))

    def _around(self, text: str) -> Iterator[re.Match]:
        end, place = 0, text.find(self.around)
        while place >= 0:
            if match := self.pattern.search(text, max(end, place - BEFORE), place + BEHIND):
                end = match.end()
                yield match
            place = text.find(self.around, max(place + 1, end))


def entropy(text: str) -> float:
    """Bits a character, by the characters' own frequencies."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def assigned(match: re.Match) -> bool:
    """Is what stands behind `password:` or `api_key=` a secret: with a digit in it, and for keys as mixed as chance makes it?"""
    value, name = match["value"], match["name"].lower()
    if not any(character.isdigit() for character in value) or "://" in value:
        return False
    return name.startswith(("pass", "pwd")) or (len(value) >= 16 and entropy(value) > 3.2)


def random(match: re.Match) -> bool:
    """Does a long run look drawn by chance: a piece of it between `-` and `_` with three classes of characters that change often?

    Hex digests are sums, not secrets; names change class seldom; what fills a line, or parts a mail, is coded content or its boundary.
    """
    run = re.sub("[/+]", "", max(re.split("[_-]", match[0].rstrip("=")), key=len))
    classes = ["0" if character.isdigit() else "a" if character.islower() else "A" for character in run]
    counted = Counter(classes)
    changes = sum(one != other for one, other in itertools.pairwise(classes))
    if len(run) < 20 or min(counted["0"], counted["a"], counted["A"]) < 2 or changes < 0.45 * len(run) or entropy(run) < 3.8:
        return False  # of characters drawn from 62, 0.62 differ in class from the one before
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
    alone = not line.strip("> \t-=") and match.string[match.end() : match.end() + 1] in ("", "\n", "\r")
    told = re.search(r"boundary=|thread-index: |sha-?\d|md5|hash|digest|checksum", line[-200:] + match[0][:8], re.I)
    return not alone and not told


def phone(match: re.Match) -> bool:
    """Eight to fifteen digits (E.164), seven where the text says that it is a phone number."""
    return (7 if match["named"] else 8) <= len(checksum.digits(match[match.lastgroup or 0])) <= 15


def public_ip(match: re.Match) -> bool:
    """Is it an address of somebody: not private, local or reserved, no network, no version or section number?"""
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    if address.version == 6:
        return address.is_global and int(address) >> 125 == 1  # 2000::/3, all that is given out
    before = match.string[max(0, match.start() - 16) : match.start()]
    version = re.search(r"(?i)(?:\bv|version|ver\.?|release|rev\.?|build|[a-z]/)[ :]*$", before)
    small = max(address.packed) < 64 and not before.endswith("[")
    return address.is_global and not version and not small and 0 < address.packed[0] < 224 and 0 < address.packed[3] < 255


def national(match: re.Match) -> bool:
    """By the check of the country whose form it has."""
    return NATIONAL[match.lastgroup or ""][1](match[match.lastgroup or 0])


NATIONAL: dict[str, tuple[str, Callable[[str], bool]]] = {
    "us": (r"\d{3}-\d{2}-\d{4}", checksum.ssn),
    "uk": (r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: \d{2} \d{2} \d{2} |\d{6})[A-D]", checksum.nino),
    "it": (r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", checksum.codice_fiscale),
    "br": (r"\d{3}\.\d{3}\.\d{3}-\d{2}", checksum.cpf),
    "cn": (r"[1-8]\d{5}(?:19|20)\d{9}[\dXx]", checksum.resident),
    "fr": (r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", checksum.insee),
    "es": (r"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", checksum.dni),
    "de": (r"(?:(?<=IdNr\. )|(?<=IdNr )|(?<=IdNr: )|(?<=Steuer-ID )|(?<=Steuer-ID: ))\d{2} ?\d{3} ?\d{3} ?\d{3}", checksum.steuer_id),
}
TOKEN = (
    r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,30}|gh[pousr]_[A-Za-z0-9]{20,99}|github_pat_[A-Za-z0-9_]{30,99}|glpat-[A-Za-z0-9_-]{20,60}"
    r"|(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,199}|AIza[A-Za-z0-9_-]{30,60}|xox[abprs]-[A-Za-z0-9-]{10,99}|hf_[A-Za-z0-9]{30,60}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}|\d{8,10}:AA[A-Za-z0-9_-]{33}"
    r"|eyJ[A-Za-z0-9_-]{10,999}(?:\.[A-Za-z0-9_-]{5,999}){2}"
)
NAMES = r"passw(?:or)?d|passwort|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credential"
CALLS = r"tele?(?:phone|fon|fax)?|phone|fax|mobile?|cell|handy|whatsapp|t[ée]l|m[óo]vil|portable"
NUMBER = r"(?:[ .]{0,2}(?i:no|nr|number|on|at|is))?[.:]{0,2} ?"
FORMS = (  # international, North American, and with a trunk's zero
    rf"\+ ?[1-9](?:{GAP}\d){{6,14}}|(?:1[-. ])?\([2-9]\d\d\) ?\d{{3}}[-. ]\d{{4}}|(?:1[-. ])?[2-9]\d\d([-.])\d{{3}}\1\d{{4}}"
    r"|\(0\d{1,4}\) ?\d{3,4}[ .-]?\d{3,4}|0\d\d-\d{3,4}-\d{4}"
)
ACCOUNT = "|".join(  # an account number ends where its country's does, whatever word follows
    rf"(?:{'|'.join(sorted(country for country, own in checksum.IBAN.items() if own == length))})\d\d"
    rf"(?: ?[A-Z0-9]{{4}}){{{(length - 4) // 4}}}" + (rf" ?[A-Z0-9]{{{length % 4}}}" if length % 4 else "")
    for length in sorted(set(checksum.IBAN.values()))
)
CARD = r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19}"  # in one run or their own groups
PEM = "[A-Z ]{0,30}PRIVATE KEY-----"
RULES: dict[str, Rule] = {
    "pem": Rule(  # without an end, as far as it looks like one: what follows is not lost
        re.compile(rf"-----BEGIN {PEM}(?:[\s\S]{{0,8000}}?-----END {PEM}|[A-Za-z0-9+/=\s]{{0,8000}})"), "PRIVATE KEY-----"
    ),
    "token": Rule(re.compile(rf"(?<![A-Za-z0-9])(?:{TOKEN})(?![A-Za-z0-9])"), TOKEN),
    "login": Rule(re.compile(r"(?<=://)[^\s/:@]{1,64}:(?P<value>[^\s/@<>]{3,64})(?=@)"), r"://[^\s/:@]{1,64}:[^\s/@]{3,64}@"),
    "assigned": Rule(
        re.compile(
            rf"(?i)(?<![a-z])(?P<name>{NAMES})[a-z_]{{0,12}}[\"']?\s?(?:[:=]|=>|\bis\b)\s?[\"']?(?P<value>[\w/+.~!@#$%^&*-]{{4,200}}={{0,2}})"
        ),
        r"(?:[Pp]ass(?:w|phr)|PASS(?:W|PHR)|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|(?:[Aa]pi|API|[Aa]ccess|ACCESS|[Aa]uth|AUTH)[_-]?(?:[Kk]ey|KEY)"
        r"|[Cc]redential|CREDENTIAL)[A-Za-z_]{0,12}[\"']?\s?(?:[:=]|is\b)",
        assigned,
    ),
    "random": Rule(re.compile(r"(?<![A-Za-z0-9+/_.@%?-])[A-Za-z0-9+/_-]{32,128}={0,2}(?![A-Za-z0-9+/_@-])"), "[A-Za-z0-9+/_-]{32}", random),
    "email": Rule(
        re.compile(r"(?<![\w.+%-])(?!git@)[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,5}(?!(?:png|jpe?g|gif|svg|webp)\b)[A-Za-z]{2,24}(?![\w-])"),
        r"[\w.+%-]@[\w-]",
        around="@",
    ),
    "iban": Rule(
        re.compile(rf"(?<![A-Za-z0-9])(?:{ACCOUNT})(?![A-Za-z0-9])"),
        "[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}",
        lambda match: checksum.iban(match[0]),
    ),
    "card": Rule(
        re.compile(rf"(?<![\w.-])(?<!\+ )(?=3[0-8]|4|5[1-5]|2[2-7]|6)(?:{CARD})(?![\w-]|\.\d)"),
        "[2-6][0-9]{3}[ -]?[0-9]{4}[0-9 -]{5}",
        lambda match: checksum.luhn(match[0]),
    ),
    "national_id": Rule(
        re.compile(rf"(?<![\w.-])(?:{'|'.join(f'(?P<{name}>{form})' for name, (form, _) in NATIONAL.items())})(?![\w-]|\.\d)"),
        r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]|[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z]"
        r"|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]|[1-8][0-9]{16}|[12] ?[0-9]{2} ?[01][0-9] ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
        r"|(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-Z]|IdNr|Steuer-ID",
        national,
    ),
    "phone": Rule(
        re.compile(rf"(?<![\w.+-])(?:{FORMS})(?!\w)|(?i:(?<![a-z])(?:{CALLS})){NUMBER}(?P<named>[(+]?\d(?:{GAP}\d){{6,14}})(?!\w)"),
        r"\+ ?[1-9][ .()-]{0,2}[0-9]|\([0-9]{2,5}\) ?[0-9]{3}|[0-9]{3}[-.][0-9]{3,4}[-.][0-9]{4}"
        rf"|(?i:{CALLS}){NUMBER}[(+]?[0-9]",
        phone,
    ),
    "ip": Rule(
        re.compile(r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w|[-/]\d)|(?:[0-9A-Fa-f]{1,4}:{1,2}){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|/\d))"),
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        public_ip,
    ),
}
DIGITS = re.compile(r"\d.{0,3}\d.{0,3}\d.{0,3}\d")
NUMBERS = ("iban", "card", "national_id", "phone")  # a text without four digits near each other has none of these
KEYS = ("pem", "token", "login", "assigned", "random")  # the rules of the kind `key`


def rules(kind: str) -> Iterable[str]:
    """The names of the rules that find a kind."""
    return KEYS if kind == "key" else (kind,)


def replace(text: str, names: Iterable[str], write: Callable[[str, str], str]) -> str:
    """`text` with write(kind, span) in the place of every span that the rules `names` find, rule by rule."""
    plain = not DIGITS.search(text)
    for name in names:
        if plain and name in NUMBERS:
            continue
        rule, parts, end = RULES[name], [], 0
        for match in rule.spans(text):
            group = next((group for group in rule.inner if match[group]), 0)
            start, stop = match.span(group)
            parts += [text[end:start], write("key" if name in KEYS else name, text[start:stop])]
            end = stop
        text = "".join([*parts, text[end:]]) if parts else text
    return text
