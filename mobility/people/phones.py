"""Phone numbers: how they are written down, and how they are shown to people who need not know them."""

import re

from mobility.errors import Refusal
from mobility.people.models import E164

_E164 = re.compile(E164.removesuffix("$") + r"\Z")
_PUNCTUATION = re.compile(r"[ .()/-]")


def normalised_phone(text: str) -> str | None:
    """The number in E.164 (`+27 82 123-4567` and `0027821234567` become `+27821234567`), or None if it is none.

    A number without its country, like 082 123 4567, is none: whose country would it be?
    """
    plain = _PUNCTUATION.sub("", text.strip())
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    return plain if _E164.match(plain) else None


def checked_phone(text: str) -> str:
    """The number in E.164, or the refusal that says how to write it."""
    phone = normalised_phone(text)
    if phone is None:
        raise Refusal("invalid_field", "A phone number in international form, like +27123456789.", field="phone")
    return phone


def without_phone(name: str) -> str:
    """A name to show; masked where somebody wrote a phone number in its place."""
    return masked_phone(name) if normalised_phone(name) else name


def masked_phone(phone: str) -> str:
    """The number with all but its beginning and its last two characters hidden: `+27*******89`."""
    if len(phone) < 6:
        return "*" * len(phone)
    return phone[:3] + "*" * (len(phone) - 5) + phone[-2:]
