"""Where drivers were: a partitioned table of positions, a day each."""

import django.contrib.gis.db.models.fields
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0005_commands"),
    ]

    operations = [
        migrations.RunSQL(
            sql("locations/sql/history_v1"),
            sql("locations/sql/history_v1_down"),
            state_operations=[
                migrations.CreateModel(
                    name="Position",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "driver_id",
                                "recorded_at",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("driver_id", models.BigIntegerField()),
                        ("recorded_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("position", django.contrib.gis.db.models.fields.PointField(spatial_index=False, srid=4326)),
                        ("heading", models.FloatField(null=True)),
                        ("speed", models.FloatField(null=True)),
                        ("accuracy_m", models.FloatField(null=True)),
                        ("door", models.CharField(max_length=16)),
                    ],
                    options={"db_table": "mobility_position", "managed": False},
                ),
            ],
        ),
    ]
