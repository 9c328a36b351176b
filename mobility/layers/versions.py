"""Whether an answer is still the newest: by a version of the data it was read from, not by its body.

So whoever asks again with `If-None-Match` costs two small statements (who asks, and the version) and no reading.
"""

import hashlib
import time
from typing import Any

from mobility.layers.layer import Layer
from mobility.transactions import rows


def etag(layer: Layer, *about: Any) -> str:
    """A weak entity tag of what the layer holds now, for one question `about` (address, reader, coding).

    To be read before the data: an answer may then be newer than its tag, which costs a repetition, never older.
    """
    slice_of_time = int(time.time() / layer.clock_s) if layer.clock_s else 0
    return _tag(layer.name, _version(layer), slice_of_time, *about)


def body_tag(body: bytes, *about: Any) -> str:
    """A weak entity tag of an answer that was read already: it tells nothing that the answer does not."""
    return _tag(hashlib.sha256(body).hexdigest(), *about)


def _tag(*about: Any) -> str:
    text = "\n".join(map(str, about))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _version(layer: Layer) -> str:
    if layer.version is not None:
        return layer.version()
    version: str = rows("layers/sql/data_version", {"tables": list(layer.reads)})[0].version
    return version
