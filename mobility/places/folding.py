"""Texts as they are compared: without case, accents and punctuation."""

import unicodedata


def folded(text: str) -> str:
    """`Main St., Durban` becomes `main st durban`. Letters and digits of every script stay."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c if c.isalnum() else " " for c in apart if not unicodedata.combining(c))
    return " ".join(kept.split())
