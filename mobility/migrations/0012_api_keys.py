"""Keys of dashboards: they only read, for so long, and no more than their scopes."""

import datetime

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from mobility.sql import sql

_SCOPES = [
    ("drivers:read", "drivers and where they are, without names, phones and registration numbers"),
    ("bookings:read", "rides, without the people"),
    ("history:read", "where drivers were"),
    ("areas:read", "service areas"),
    ("demand:read", "demand by hexagon and hour"),
    ("geocode", "addresses of places and places of addresses"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0011_places"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("prefix", models.CharField(max_length=8)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(choices=_SCOPES, max_length=32), size=None
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, help_text="To the minute.", null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "db_table": "mobility_api_key",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("digest__regex", "^[0-9a-f]{64}$")), name="api_key_digest_is_one"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("scopes__contained_by", [name for name, _ in _SCOPES]), ("scopes__len__gte", 1)
                        ),
                        name="api_key_scopes_are_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_at__gt", models.F("created_at")),
                            (
                                "expires_at__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("created_at"), "+", models.Value(datetime.timedelta(days=1825))
                                ),
                            ),
                        ),
                        name="api_key_expires_in_time",
                    ),
                ],
            },
        ),
        migrations.RunSQL(sql("people/sql/api_keys_v1"), sql("people/sql/api_keys_v1_down")),
    ]
