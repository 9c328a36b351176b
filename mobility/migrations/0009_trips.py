"""What was driven: jumps are told apart, and rides that are over have a track."""

import django.contrib.gis.db.models.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0008_live_index"),
    ]

    operations = [
        migrations.RunSQL(sql("locations/sql/jumps_v1"), sql("locations/sql/jumps_v1_down")),
        migrations.CreateModel(
            name="Trip",
            fields=[
                (
                    "booking",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="trip",
                        serialize=False,
                        to="mobility.booking",
                    ),
                ),
                (
                    "track",
                    django.contrib.gis.db.models.fields.LineStringField(null=True, spatial_index=False, srid=4326),
                ),
                ("length_m", models.FloatField(null=True)),
                ("approach_m", models.FloatField(help_text="The driver's way to the pickup, in metres.", null=True)),
                ("fixes", models.IntegerField(default=0, help_text="Positions of the track.")),
                (
                    "jumps",
                    models.IntegerField(default=0, help_text="Positions left out, because nobody drives that fast."),
                ),
                (
                    "leaps",
                    models.IntegerField(
                        default=0, help_text="How often the track went on elsewhere; that way is not counted."
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("due_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "mobility_trip",
            },
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                models.F("started_at"),
                condition=models.Q(("started_at__isnull", False), ("status__in", ["cancelled", "completed"])),
                name="booking_driven",
            ),
        ),
        migrations.AddIndex(
            model_name="trip",
            index=models.Index(models.F("due_at"), condition=models.Q(("due_at__isnull", False)), name="trip_due"),
        ),
        migrations.AddConstraint(
            model_name="trip",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fixes__lt", 2), ("length_m__isnull", True), ("track__isnull", True)),
                    models.Q(("fixes__gte", 2), ("length_m__isnull", False), ("track__isnull", False)),
                    _connector="OR",
                ),
                name="trip_line_has_fixes",
            ),
        ),
        migrations.AddConstraint(
            model_name="trip",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("length_m__isnull", True),
                        models.Q(("length_m__gte", 0), ("length_m__lt", 1000000000.0)),
                        _connector="OR",
                    ),
                    models.Q(
                        ("approach_m__isnull", True),
                        models.Q(("approach_m__gte", 0), ("approach_m__lt", 1000000000.0)),
                        _connector="OR",
                    ),
                ),
                name="trip_lengths_are_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="trip",
            constraint=models.CheckConstraint(
                condition=models.Q(("fixes__gte", 0), ("jumps__gte", 0), ("leaps__gte", 0)),
                name="trip_counts_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="trip",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_at__gte", models.F("started_at"))), name="trip_times_in_order"
            ),
        ),
        migrations.RunSQL(sql("trips/sql/guards_v1"), sql("trips/sql/guards_v1_down")),
    ]
