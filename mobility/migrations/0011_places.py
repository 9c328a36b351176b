"""Places, answers of geocoders and turns to ask them; rides that lack an address get one later."""

import django.contrib.gis.db.models.fields
import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0010_layers"),
    ]

    operations = [
        # Stays when this is taken back: others may use it.
        migrations.RunSQL(sql("places/sql/trigrams"), migrations.RunSQL.noop),
        migrations.CreateModel(
            name="GeocodeAnswer",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("answer", models.JSONField(help_text="A list of places; an empty one says that there are none.")),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "mobility_geocode_answer",
            },
        ),
        migrations.CreateModel(
            name="GeocoderTurn",
            fields=[
                ("geocoder", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("next_at", models.DateTimeField()),
            ],
            options={
                "db_table": "mobility_geocoder_turn",
            },
        ),
        migrations.CreateModel(
            name="Place",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("kind", models.CharField(blank=True, max_length=50)),
                ("label", models.CharField(help_text="As people read it: name, suburb, town.", max_length=300)),
                ("folded", models.CharField(editable=False, max_length=600)),
                ("position", django.contrib.gis.db.models.fields.PointField(spatial_index=False, srid=4326)),
                ("importance", models.FloatField(db_default=0, default=0, help_text="From 0 to 1.")),
                ("source", models.CharField(max_length=50)),
                ("source_id", models.CharField(max_length=200)),
            ],
            options={
                "db_table": "mobility_place",
            },
        ),
        migrations.AddField(
            model_name="booking",
            name="address_tries",
            field=models.SmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                models.F("requested_at"),
                condition=models.Q(
                    models.Q(("pickup_address", ""), ("dropoff_address", ""), _connector="OR"),
                    models.Q(("status__in", ["cancelled", "completed", "no_show"]), _negated=True),
                ),
                name="booking_lacks_address",
            ),
        ),
        migrations.AddIndex(
            model_name="geocodeanswer",
            index=models.Index(models.F("made_at"), name="geocode_answer_by_age"),
        ),
        migrations.AddIndex(
            model_name="place",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["folded"], name="place_folded", opclasses=["gin_trgm_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="place",
            index=django.contrib.postgres.indexes.GistIndex(
                models.Func(models.F("position"), template="(%(expressions)s::geography)"), name="place_by_nearness"
            ),
        ),
        migrations.AddConstraint(
            model_name="place",
            constraint=models.UniqueConstraint(models.F("source"), models.F("source_id"), name="place_once_per_source"),
        ),
        migrations.AddConstraint(
            model_name="place",
            constraint=models.CheckConstraint(
                condition=models.Q(("importance__gte", 0), ("importance__lte", 1)), name="place_importance_is_a_share"
            ),
        ),
        migrations.AddConstraint(
            model_name="place",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("name", ""), _negated=True),
                    models.Q(("label", ""), _negated=True),
                    models.Q(("folded", ""), _negated=True),
                ),
                name="place_has_a_name",
            ),
        ),
        migrations.RunSQL(sql("places/sql/guards_v1"), sql("places/sql/guards_v1_down")),
        migrations.RunSQL(sql("bookings/sql/guards_v3"), sql("bookings/sql/guards_v3_down")),
    ]
