"""Service areas; a ride keeps the area it was asked for in and its radius."""

import django.contrib.gis.db.models.fields
import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0013_demand"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceArea",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                (
                    "active",
                    models.BooleanField(
                        db_default=True,
                        default=True,
                        help_text="Whether passengers are picked up here. With no active area: everywhere.",
                    ),
                ),
                (
                    "matching_radius_m",
                    models.FloatField(
                        blank=True,
                        help_text="Metres from the pickup within which drivers are asked. Empty: as everywhere (search_radius_m).",
                        null=True,
                        verbose_name="matching radius",
                    ),
                ),
                ("area", django.contrib.gis.db.models.fields.MultiPolygonField(spatial_index=False, srid=4326)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "db_table": "mobility_service_area",
            },
        ),
        migrations.AddField(
            model_name="booking",
            name="search_radius_m",
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="booking",
            name="service_area_id",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                models.F("search_radius_m"),
                condition=models.Q(("search_radius_m__isnull", False), ("status", "pending")),
                name="booking_waiting_radius",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("search_radius_m__isnull", True),
                    models.Q(("search_radius_m__gte", 1), ("search_radius_m__lte", 200000.0)),
                    _connector="OR",
                ),
                name="booking_radius_is_sane",
            ),
        ),
        migrations.AddIndex(
            model_name="servicearea",
            index=django.contrib.postgres.indexes.GistIndex(fields=["area"], name="service_area_place"),
        ),
        migrations.AddIndex(
            model_name="servicearea",
            index=django.contrib.postgres.indexes.GistIndex(
                models.Func(models.F("area"), template="(%(expressions)s::geography)"), name="service_area_by_distance"
            ),
        ),
        migrations.AddConstraint(
            model_name="servicearea",
            constraint=models.CheckConstraint(
                condition=models.Q(("name", ""), _negated=True), name="service_area_has_a_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="servicearea",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("matching_radius_m__isnull", True),
                    models.Q(("matching_radius_m__gte", 1), ("matching_radius_m__lte", 200000.0)),
                    _connector="OR",
                ),
                name="service_area_radius_is_sane",
            ),
        ),
        migrations.RunSQL(sql("areas/sql/guards_v1"), sql("areas/sql/guards_v1_down")),
        migrations.RunSQL(sql("bookings/sql/guards_v4"), sql("bookings/sql/guards_v4_down")),
    ]
