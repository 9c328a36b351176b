"""The stage, made once for a module, and what each test does on it taken back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import override_settings

from mobility.invariants.queries import broken_invariants
from tests.permissions.stage import Stage

# Hashing is not what these tests are about.
QUICK = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="module")
def stage(module_db: None) -> Stage:
    """Everybody and everything, committed."""
    with override_settings(PASSWORD_HASHERS=QUICK):
        made = Stage()
    assert broken_invariants() == []
    return made


@pytest.fixture
def on_stage(stage: Stage, settings: Any) -> Iterator[Stage]:
    """The same for one test: what it does is taken back."""
    settings.PASSWORD_HASHERS = QUICK
    settings.GEOCODER = "gazetteer"
    cache.clear()
    with transaction.atomic():
        yield stage
        transaction.set_rollback(True)
    cache.clear()
