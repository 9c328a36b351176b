"""Status and verification of a driver beside the position, for tiles."""

from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [("mobility", "0018_driver_card")]

    operations = [
        migrations.RunSQL(
            sql("locations/sql/on_map_v1"),
            sql("locations/sql/on_map_v1_down"),
            state_operations=[
                migrations.AddField(
                    model_name="driverlocation",
                    name="status",
                    field=models.CharField(
                        choices=[("available", "Available"), ("busy", "Busy"), ("offline", "Offline")],
                        db_default="offline",
                        editable=False,
                        max_length=16,
                    ),
                ),
                migrations.AddField(
                    model_name="driverlocation",
                    name="verified",
                    field=models.BooleanField(db_default=False, editable=False),
                ),
            ],
        )
    ]
