"""What maps are read by: versions of the data, rides as lines, phones masked by the database, tracks with their times."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models.functions import Coalesce

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0009_trips"),
    ]

    operations = [
        migrations.RunSQL(sql("people/sql/shown_v1"), sql("people/sql/shown_v1_down")),
        migrations.RunSQL(sql("bookings/sql/line_v1"), sql("bookings/sql/line_v1_down")),
        migrations.RunSQL(sql("layers/sql/versions_v1"), sql("layers/sql/versions_v1_down")),
        migrations.AddField(
            model_name="trip",
            name="times",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.DateTimeField(),
                help_text="When each position of the track was.",
                null=True,
                size=None,
            ),
        ),
        migrations.AddConstraint(
            model_name="trip",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("times__isnull", True),
                    (
                        "times__len",
                        Coalesce(
                            models.Func(models.F("track"), function="ST_NPoints", output_field=models.IntegerField()), 0
                        ),
                    ),
                    _connector="OR",
                ),
                name="trip_positions_have_times",
            ),
        ),
    ]
