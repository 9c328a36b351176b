"""The OpenAPI document against the service: schemathesis makes requests from it, right and wrong ones, and every answer
must be one that it describes, never a fault of the server's."""

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mobility.dispatch.services import find_driver
from tests.rest import token_of
from tests.server import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# They end the credential the others ask with, or count tries; tests/people is about them.
LEFT_OUT = {"/api/v1/auth/logout/", "/api/v1/auth/login/", "/api/v1/auth/register/"}
DOCUMENT = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
OPERATIONS = {
    f"{found.ok().method.upper()} {found.ok().path}": found.ok()
    for found in DOCUMENT.get_all_operations()
    if found.ok().path not in LEFT_OUT
}


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory):
    """A server with everything set up, so that nothing is answered with 503."""
    with serving(tmp_path_factory.mktemp("server"), GEOCODER="gazetteer") as running:
        yield running


@pytest.fixture
def credentials(committed_db, make_user, make_driver, ride_request):
    """The Authorization of an operator who is also a driver, with rides to look at."""
    operator = make_user(roles=["operator", "driver", "passenger"], username="everything")
    make_driver(-26.2041, 28.0473, user=operator)
    make_driver(-26.2051, 28.0483)
    find_driver(make_user().pk, "r1", ride_request())
    return {"Authorization": f"Token {token_of(operator)}"}


RIGHT_AND_WRONG = [
    (name, mode)
    for name, found in OPERATIONS.items()
    for mode in GenerationMode
    # What takes nothing cannot be asked wrongly.
    if mode == GenerationMode.POSITIVE or found.definition.raw.get("parameters") or found.body
]


@pytest.mark.parametrize(("operation", "mode"), RIGHT_AND_WRONG, ids=[f"{n}-{m.value}" for n, m in RIGHT_AND_WRONG])
def test_every_answer_is_described(whole_server, credentials, operation, mode):
    @given(case=OPERATIONS[operation].as_strategy(generation_mode=mode))
    @settings(
        max_examples=8, deadline=None, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case):
        case.call_and_validate(base_url=whole_server.http, checks=CHECKS, headers=credentials, timeout=20)

    ask()
