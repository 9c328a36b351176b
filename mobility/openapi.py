"""The OpenAPI document: made once a process, by one thread, and served from memory."""

import threading
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

_making = threading.Lock()


@cache
def _document(public: bool) -> Any:
    return SchemaGenerator().get_schema(request=None, public=public)


class SchemaView(SpectacularAPIView):
    """The schema. drf-spectacular's own view makes it anew each time, and breaks when the first come at once."""

    def _get_schema_response(self, _request: Request) -> Response:
        with _making:
            document = _document(self.serve_public)
        return Response(data=document, headers={"Content-Disposition": 'inline; filename="careconnect.yaml"'})
