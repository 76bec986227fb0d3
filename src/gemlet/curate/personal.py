"""What a text tells of a person: found, and masked.   (text → spans, text)

Mail addresses, public IP addresses, card numbers, bank accounts (IBAN), telephone numbers, and the identity numbers of
the countries that are named. Numbers are taken only where their check digits and structure are right: by phonenumbers
(Google's libphonenumber) and python-stdnum (extra `privacy`), both of which work without a network and without a model.
Names and street addresses are not found: that takes a model of each language.
"""

import importlib
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gemlet.errors import InputError, MissingExtra

# Each run has a longest, so that no text takes long.
_MAIL = re.compile(r"(?<![\w.+%-])[^\W_][\w.+%-]{0,63}@[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}")
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\w.])(?<!\d[ -])[2-6](?:[ -]?\d){12,15}(?![ -]?\d)(?!\w)")
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:]|\.\d)")
_DIALLED = re.compile(r"\d(?:[^\w\n]{0,3}\d){5}")  # six digits with a little between them; fewer are no number to call
_TOKENS = r"[A-Za-z0-9]{1,20}(?:[.\-/+][A-Za-z0-9]{1,20}){0,4}"
_IDENTITY = re.compile(rf"(?<![\w.])(?:\d{{1,12}}(?: \d{{1,12}}){{1,7}}|{_TOKENS})(?!\w)")

# Country → python-stdnum's modules for the numbers of its people. A number of these has check digits or a date in it...
IDENTITIES = {
    "AT": ("vnr",), "BE": ("nn",), "BG": ("egn",), "BR": ("cpf",), "CA": ("sin",), "CH": ("ssn",), "CL": ("rut",),
    "CN": ("ric",), "CZ": ("rc",), "DE": ("idnr",), "DK": ("cpr",), "EE": ("ik",), "ES": ("dni", "nie"),
    "FI": ("hetu",), "FR": ("nir",), "GB": ("nhs",), "GR": ("amka",), "HR": ("oib",), "ID": ("nik",), "IE": ("pps",),
    "IL": ("idnr",), "IN": ("aadhaar", "pan"), "IT": ("codicefiscale",), "KR": ("rrn",), "LT": ("asmens",),
    "MX": ("curp",), "MY": ("nric",), "NL": ("bsn",), "NO": ("fodselsnummer",), "PL": ("pesel",), "PT": ("cc",),
    "RO": ("cnp",), "SE": ("personnummer",), "SI": ("emso",), "SK": ("rc",), "TH": ("pin",), "TR": ("tckimlik",),
    "UA": ("rntrc",), "US": ("ssn", "itin"), "ZA": ("idnr",),
}  # fmt: skip
_HYPHENATED = {"US"}  # ... but for these any nine digits would do


@dataclass(frozen=True)
class Span:
    """text[begin:end] is of this kind: "mail", "iban", "card", "identity", "ip" or "telephone"."""

    kind: str
    begin: int
    end: int


class PersonalData:
    """Finds what a text tells of a person."""

    def __init__(self, countries: Sequence[str] = ()) -> None:
        """Choose whose numbers are known.

        countries  "DE", "us", ...: their telephone numbers without the country's code, and their identity numbers;
                   telephone numbers that begin with + are found anyway

        Raises MissingExtra, InputError for what is no country.
        """
        try:
            import phonenumbers
            from stdnum import iban, luhn
        except ImportError:
            raise MissingExtra("privacy", "finding personal data") from None
        self.countries = tuple(dict.fromkeys(country.upper() for country in countries))
        for country in self.countries:
            if country not in phonenumbers.SUPPORTED_REGIONS:
                raise InputError(f"{country!r} is no country: write two letters, as in DE, FR, US")
        self._matcher: Callable[[str, str | None], Any] = phonenumbers.PhoneNumberMatcher
        self._is_iban: Callable[[str], bool] = iban.is_valid
        self._is_luhn: Callable[[str], bool] = luhn.is_valid
        self._identities = [(country, _modules(country)) for country in self.countries if country in IDENTITIES]

    def find(self, text: str) -> list[Span]:
        """What was found, in order, none over another."""
        found: list[Span] = []
        taken = bytearray(len(text))
        for kind, spans in (
            ("mail", _spans(_MAIL, text)),
            ("iban", self._ibans(text)),
            ("card", (span for span in _spans(_CARD, text) if self._is_luhn(_digits(text[slice(*span)])))),
            ("identity", (span for span in _spans(_IDENTITY, text) if self._is_identity(text[slice(*span)]))),
            ("ip", (span for span in _spans(_IP, text) if _is_public(text[slice(*span)]))),
            ("telephone", self._telephones(text)),
        ):
            for begin, end in spans:
                if not any(taken[begin:end]):
                    found.append(Span(kind, begin, end))
                    taken[begin:end] = b"x" * (end - begin)
        return sorted(found, key=lambda span: span.begin)

    def mask(self, text: str) -> tuple[str, list[Span]]:
        """The text with "[mail]", "[telephone]" and so on in place of what was found, and what that was."""
        spans = self.find(text)
        for span in reversed(spans):
            text = f"{text[: span.begin]}[{span.kind}]{text[span.end :]}"
        return text, spans

    def _ibans(self, text: str) -> Iterator[tuple[int, int]]:
        """What looks like one may go on into the next words: its longest beginning that is one."""
        for begin, end in _spans(_IBAN, text):
            ends = [end, *(begin + at for at in range(end - begin - 1, 14, -1) if text[begin + at] == " ")]
            whole = next((at for at in ends if self._is_iban(text[begin:at])), None)
            if whole is not None:
                yield begin, whole

    def _is_identity(self, text: str) -> bool:
        if len(_digits(text)) < 4 or len(text) < 7:  # the fewest: India's PAN has four
            return False
        return any(
            module.is_valid(text)
            for country, modules in self._identities
            if country not in _HYPHENATED or "-" in text
            for module in modules
        )

    def _telephones(self, text: str) -> Iterator[tuple[int, int]]:
        if _DIALLED.search(text):  # the search itself is a hundred times slower
            for country in (*self.countries, None):
                for match in self._matcher(text, country):
                    yield match.start, match.end


def _modules(country: str) -> list[Any]:
    package = {"IN": "in_"}.get(country, country.lower())
    return [importlib.import_module(f"stdnum.{package}.{name}") for name in IDENTITIES[country]]


def _spans(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text))


def _digits(text: str) -> str:
    return "".join(one for one in text if one.isdigit())


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False
