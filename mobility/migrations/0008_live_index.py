"""The live positions' indexes follow at a distance, and who is silent leaves the one of matching."""

import django.contrib.gis.db.models.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

from mobility.sql import sql

_GEOGRAPHY = models.Func(models.F("indexed_position"), template="(%(expressions)s::geography)")


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0007_location_keys"),
    ]

    operations = [
        migrations.RunSQL(
            sql("locations/sql/index_v1"),
            sql("locations/sql/index_v1_down"),
            state_operations=[
                migrations.RemoveIndex(model_name="driverlocation", name="driver_location_dispatchable"),
                migrations.RemoveIndex(model_name="driverlocation", name="driver_location_others"),
                migrations.AlterField(
                    model_name="driverlocation",
                    name="position",
                    field=django.contrib.gis.db.models.fields.PointField(spatial_index=False, srid=4326),
                ),
                migrations.AddField(
                    model_name="driverlocation",
                    name="indexed_position",
                    field=django.contrib.gis.db.models.fields.PointField(
                        editable=False, spatial_index=False, srid=4326
                    ),
                    preserve_default=False,
                ),
                migrations.AddField(
                    model_name="driverlocation",
                    name="stale",
                    field=models.BooleanField(db_default=False, editable=False),
                ),
                migrations.AddIndex(
                    model_name="driverlocation",
                    index=django.contrib.postgres.indexes.GistIndex(
                        fields=["indexed_position"], name="driver_location_map"
                    ),
                ),
                migrations.AddIndex(
                    model_name="driverlocation",
                    index=django.contrib.postgres.indexes.GistIndex(
                        _GEOGRAPHY, condition=models.Q(("dispatchable", True)), name="driver_location_dispatchable"
                    ),
                ),
                migrations.AddIndex(
                    model_name="driverlocation",
                    index=django.contrib.postgres.indexes.GistIndex(
                        _GEOGRAPHY, condition=models.Q(("dispatchable", False)), name="driver_location_others"
                    ),
                ),
            ],
        ),
    ]
