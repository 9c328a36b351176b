"""The settings, with the small tile server of tests/layers/urls.py in front."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.layers.urls"
