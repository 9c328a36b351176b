"""Pages of long lists, by keyset: a cursor says after which row the next page begins, so that no page is skipped or
told twice while rows come and go, and no page costs more than the first."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import urlencode

from rest_framework.request import Request

from geo.params import ParameterError

MAX_CURSOR_LENGTH = 120
HIGHEST_ID = 2**63 - 1


def encoded(key: str) -> str:
    """A row's key as a cursor: opaque, so that nobody builds one by hand."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decoded(cursor: str) -> str:
    """The key in a cursor; `ParameterError` for what cannot be one of ours."""
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise bad_cursor()
    try:
        return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        raise bad_cursor() from None


def id_of(cursor: str) -> int:
    """The row's number that a cursor of a list by number names."""
    text = decoded(cursor)
    if not text.isdecimal() or int(text) > HIGHEST_ID:
        raise bad_cursor()
    return int(text)


def bad_cursor() -> ParameterError:
    """The refusal of a cursor that is none."""
    return ParameterError("cursor", "is not one that this list gave out")


def next_url(request: Request, query: dict[str, str], last_key: str | None) -> str | None:
    """The address of the page after the row with this key, with the same filters; None after the last."""
    if last_key is None:
        return None
    return request.build_absolute_uri("?" + urlencode(query | {"cursor": encoded(last_key)}))
