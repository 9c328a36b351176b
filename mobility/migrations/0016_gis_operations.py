"""What operations read in schema gis: views, the time machine, keys that stand for people, and an end to long statements."""

import django.db.models.deletion
from django.db import migrations, models

from mobility.sql import sql

PARTS = (
    "knobs_v1", "surrogates_v1", "long_statements_v1", "operations_v1", "nearest_drivers_v1", "time_machine_v1",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("mobility", "0015_gis_roles")]

    operations = [
        # By hand: Django would drop every index of this one column, the unique one of live rides with it.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="booking",
                    name="driver",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bookings",
                        to="mobility.driver",
                    ),
                )
            ],
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX mobility_booking_driver_id_45803a22",
                    "CREATE INDEX mobility_booking_driver_id_45803a22 ON mobility_booking (driver_id)",
                )
            ],
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(fields=["driver", "confirmed_at"], name="booking_of_driver"),
        ),
        migrations.RunSQL(
            "\n".join(sql(f"analytics/sql/{part}") for part in PARTS), sql("analytics/sql/operations_v1_down")
        ),
    ]
