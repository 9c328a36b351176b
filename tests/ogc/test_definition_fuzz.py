"""The API's definition against the service: requests made of it, right and wrong ones, are answered as it says."""

import pytest
import schemathesis
from django.test import RequestFactory
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from mobility.ogc.openapi import definition
from tests.rest import token_of
from tests.test_openapi_fuzz import CHECKS

# Refusals come to those who ask too often, and a login page to browsers: tests/ogc/test_who_may_read.py.
DOCUMENT = schemathesis.openapi.from_dict(definition(RequestFactory(HTTP_HOST="localhost").get("/ogc/api")))
OPERATIONS = {found.ok().path: found.ok() for found in DOCUMENT.get_all_operations()}
RIGHT_AND_WRONG = [(path, mode) for path in OPERATIONS for mode in GenerationMode]


@pytest.fixture
def credentials(committed_db, make_user, make_driver, ride):
    """The Authorization of an operator, with something to look at."""
    make_driver(-26.2051, 28.0483)
    ride()
    return {"Authorization": f"Token {token_of(make_user(roles=['operator']))}"}


@pytest.mark.parametrize(("path", "mode"), RIGHT_AND_WRONG, ids=[f"{p}-{m.value}" for p, m in RIGHT_AND_WRONG])
def test_every_answer_is_described(server, credentials, path, mode):
    @given(case=OPERATIONS[path].as_strategy(generation_mode=mode))
    @settings(
        max_examples=6, deadline=None, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case):
        case.call_and_validate(base_url=f"{server.http}/ogc", checks=CHECKS, headers=credentials, timeout=20)

    ask()
