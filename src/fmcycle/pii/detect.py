"""Find personal data and secrets in texts, by kind. Curation and the guardrail of the served model use the same rules.

Not found: names, postal addresses, dates of birth, and anything written in words ("jo at example dot org").
"""

import ipaddress
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fmcycle.pii import checksum, national_id, phone

Kind = Literal["key", "email", "iban", "card", "national_id", "phone", "ip"]
BEFORE, BEHIND = 170, 400  # longest parts of a match before and behind its `around`


@dataclass(frozen=True)
class Rule:
    """pattern: the group `value` or `named` is the span, else the whole match; bounded, so that a hostile text costs linear time. hint: an
    RE2 pattern that matches at least as much, and rules out most texts. check: whether a match counts. around: a string in every match,
    so that only its surroundings are searched."""

    pattern: re.Pattern
    hint: str
    check: Callable[[re.Match], bool] = bool
    around: str = ""

    @property
    def inner(self) -> list[str]:
        """The groups of the pattern that may be the span."""
        return [name for name in ("value", "named") if name in self.pattern.groupindex]

    def spans(self, text: str) -> Iterator[re.Match]:
        """The matches that pass the check, from left to right."""
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
    """Entropy in bits a character, by the frequencies of the text's characters."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def assigned(match: re.Match) -> bool:
    """True if the value behind `password:` or `api_key=` is a secret: it has a digit and, for keys, the entropy of random characters."""
    value, name = match["value"], match["name"].lower()
    counted = value.isdigit() and '"' in match["mark"] and '"' not in match["open"]  # {"password": 30275}: an entry of a vocabulary
    if not any(character.isdigit() for character in value) or "://" in value or counted:
        return False
    if match.string[match.end() : match.end() + 1] in ("(", "[") or re.fullmatch(r"[a-z_]\w*(?:\.[A-Za-z_]\w*)+", value):
        return False  # a call or an attribute: code that refers to the secret
    return name.startswith(("pass", "pwd")) or (len(value) >= 16 and entropy(value) > 3.2)


def mixed(value: str) -> int:
    """Number of characters in pieces of `value` that names don't have: digits among letters, or eight and more digits."""
    pieces = re.split(r"[^A-Za-z0-9]+", value)
    return sum(
        len(piece)
        for piece in pieces
        if re.search(r"\d.*[A-Za-z]|[A-Za-z]\d+[A-Za-z]|[A-Za-z].*\d.*\d", piece) or re.fullmatch(r"\d{8,}", piece)
    )


def token(match: re.Match) -> bool:
    """True for a key, not a name: after an ambiguous prefix such as `sk-` or `ASIA` there must be letters and digits mixed."""
    span = match[0]
    if span[:3] in ("sk-", "sk_", "pk-", "pk_", "rk-", "rk_"):
        return mixed(span[3:]) >= 16 or max(map(len, re.split("[-_]", span))) >= 20
    return not span.startswith(("ASIA", "AROA", "AIDA", "xox", "glpat-", "pypi-")) or any(character.isdigit() for character in span)


def random(match: re.Match) -> bool:
    """True if a long run looks random: its longest piece between `-` and `_` has three classes of characters that change often.

    Hex digests are checksums, not secrets (behind a name, the number of a mail or a job); names rarely change class; a run that fills a
    line, or is a mail's boundary, is encoded content.
    """
    if re.fullmatch(r"[A-Za-z]{0,16}(?:[0-9A-F]{20,}|[0-9a-f]{20,})", match[0]):
        return False
    run = re.sub("[/+]", "", max(re.split("[_-]", match[0].rstrip("=")), key=len))
    classes = ["0" if character.isdigit() else "a" if character.islower() else "A" for character in run]
    counted = Counter(classes)
    changes = sum(one != other for one, other in itertools.pairwise(classes))
    if len(run) < 20 or min(counted["0"], counted["a"], counted["A"]) < 2 or changes < 0.45 * len(run) or entropy(run) < 3.8:
        return False  # of random characters out of 62, 0.62 differ in class from the one before
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
    alone = not line.strip("> \t-=") and match.string[match.end() : match.end() + 1] in ("", "\n", "\r")
    told = re.search(r"boundary=|thread-index: |sha-?\d|md5|hash|digest|checksum", line[-200:] + match[0][:8], re.I)
    return not alone and not told


def public_ip(match: re.Match) -> bool:
    """True for a public address of a host: not private, local or reserved, not a network, version or section number."""
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    if address.version == 6:
        return address.is_global and int(address) >> 125 == 1  # 2000::/3, the range that is assigned
    before = match.string[max(0, match.start() - 16) : match.start()]
    version = re.search(r"(?i)(?:\bv|version|ver\.?|release|rev\.?|build|[a-z]/)[ :]*$", before)
    host = before.endswith(("[", "://"))  # the sender of a mail, or a URL
    plain = max(address.packed) < 64 or address.packed[3] in (0, 255)
    return address.is_global and not version and (host or not plain) and 0 < address.packed[0] < 224


TOKEN = (
    r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,30}|gh[pousr]_[A-Za-z0-9]{20,99}|github_pat_[A-Za-z0-9_]{30,99}|glpat-[A-Za-z0-9_-]{20,60}"
    r"|(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,199}|AIza[A-Za-z0-9_-]{30,60}|xox[abprs]-[A-Za-z0-9-]{10,99}|hf_[A-Za-z0-9]{30,60}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}|\d{8,10}:AA[A-Za-z0-9_-]{33}"
    r"|eyJ[A-Za-z0-9_-]{10,999}(?:\.[A-Za-z0-9_-]{5,999}){2}"
)
NAMES = r"passw(?:or)?d|passwort|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credential"
ACCOUNT = "|".join(  # an account number has its country's length, whatever word follows
    rf"(?:{'|'.join(sorted(country for country, own in checksum.IBAN.items() if own == length))})\d\d"
    rf"(?: ?[A-Z0-9]{{4}}){{{(length - 4) // 4}}}" + (rf" ?[A-Z0-9]{{{length % 4}}}" if length % 4 else "")
    for length in sorted(set(checksum.IBAN.values()))
)
CARD = r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19}"  # in one run or in groups
BOUNCE = r"[\w.+%-]{0,60}[-+][\w.%]{1,40}=(?=[\w-]{1,63}\.[\w.-]{2,63}@)"  # list-jo=example.org@host: a mailing list's bounce address
PEM = "[A-Z ]{0,30}PRIVATE KEY-----"
RULES: dict[str, Rule] = {
    "pem": Rule(  # a key without its end line ends with the last base64 character, so that no other text is lost
        re.compile(rf"-----BEGIN {PEM}(?:[\s\S]{{0,8000}}?-----END {PEM}|[A-Za-z0-9+/=\s]{{0,8000}})"), "PRIVATE KEY-----"
    ),
    "token": Rule(re.compile(rf"(?<![A-Za-z0-9])(?:{TOKEN})(?![A-Za-z0-9])"), TOKEN, token),
    "login": Rule(re.compile(r"(?<=://)[^\s/:@]{1,64}:(?P<value>[^\s/@<>]{3,64})(?=@)"), r"://[^\s/:@]{1,64}:[^\s/@]{3,64}@"),
    "assigned": Rule(
        re.compile(
            rf"(?i)(?<![a-z])(?P<name>{NAMES})[a-z_]{{0,12}}(?P<mark>[\"'*`\]]{{0,3}})\s?(?:[:=]|=>|\bis\b)"
            r"(?P<open>[\"'*`]{0,3}\s?[\"'`]?)(?P<value>[\w/+.~!@#$%^&*-]{4,200}(?<!\.)={0,2})"
        ),
        r"(?:[Pp]ass(?:w|phr)|PASS(?:W|PHR)|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|(?:[Aa]pi|API|[Aa]ccess|ACCESS|[Aa]uth|AUTH)[_-]?(?:[Kk]ey|KEY)"
        r"|[Cc]redential|CREDENTIAL)[A-Za-z_]{0,12}[\"'*`\]]{0,3}\s?(?:[:=]>?|is\b)[\"'*`]{0,3}\s?[\"'`]?\S*\pN",
        assigned,
    ),
    "random": Rule(re.compile(r"(?<![A-Za-z0-9+/_.@%?-])[A-Za-z0-9+/_-]{32,128}={0,2}(?![A-Za-z0-9+/_@-])"), "[A-Za-z0-9+/_-]{32}", random),
    "email": Rule(
        re.compile(
            rf"(?<![\w.+%-])(?!git@)(?:{BOUNCE})?(?:\\_|[\w.+%-]){{1,64}}@"
            r"(?:(?:[\w-]{1,63}\.){1,5}(?!(?:png|jpe?g|gif|svg|webp)\b)[A-Za-z]{2,24}"
            r"|(?:[\w-]{1,63} \. ){1,5}(?:com|org|net|edu|gov|mil|int|info|uk|de|fr|ca|au|jp))(?![\w-])"
        ),
        r"[\w.+%-]@[\w-]",
        around="@",
    ),
    "iban": Rule(
        re.compile(rf"(?<![A-Za-z0-9])(?:{ACCOUNT})(?![A-Za-z0-9])"),
        "[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}",
        lambda match: checksum.iban(match[0]),
    ),
    "card": Rule(
        re.compile(rf"(?<![\w.-])(?<!\+ )(?=[2-68])(?:{CARD})(?![\w-]|\.\d)"),
        "[2-68][0-9]{3}[ -]?[0-9]{4}[0-9 -]{5}",
        lambda match: checksum.card(match[0]),
    ),
    "national_id": Rule(national_id.PATTERN, national_id.HINT, national_id.is_national),
    "phone": Rule(phone.PATTERN, phone.HINT, phone.is_phone),
    "ip": Rule(
        re.compile(
            r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w|-\d|/\d{1,2}(?![\w/]))|(?:[0-9A-Fa-f]{1,4}:{1,2}){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|/\d))"
        ),
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
    """Replace every span that the rules `names` find, rule by rule, by write(kind, span)."""
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
