"""Demand by hexagon and hour: the grid, the counts, and which hours were counted."""

import django.db.models.functions
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0012_api_keys"),
    ]

    operations = [
        migrations.RunSQL(sql("demand/sql/hexagons_v1"), sql("demand/sql/hexagons_v1_down")),
        migrations.CreateModel(
            name="DemandHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "size_m", "hour", "cell", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("size_m", models.IntegerField()),
                ("hour", models.DateTimeField()),
                ("cell", models.BigIntegerField()),
                ("requests", models.IntegerField()),
                ("unfulfilled", models.IntegerField()),
                ("idle_drivers", models.IntegerField(null=True)),
            ],
            options={"db_table": "mobility_demand_hour"},
        ),
        migrations.CreateModel(
            name="DemandMade",
            fields=[
                ("hour", models.DateTimeField(primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "mobility_demand_made"},
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                django.db.models.functions.Coalesce("completed_at", "cancelled_at", "no_show_at"),
                condition=models.Q(("driver__isnull", False), ("status__in", ["cancelled", "completed", "no_show"])),
                name="booking_ended",
            ),
        ),
        migrations.AddIndex(
            model_name="demandmade",
            index=models.Index(models.F("due_at"), condition=models.Q(("due_at__isnull", False)), name="demand_due"),
        ),
        migrations.AddConstraint(
            model_name="demandhour",
            constraint=models.CheckConstraint(
                condition=models.Q(("size_m__in", (250, 500, 1000, 2000, 5000))), name="demand_size_is_offered"
            ),
        ),
        migrations.AddConstraint(
            model_name="demandhour",
            constraint=models.CheckConstraint(
                condition=models.Q(("cell__gte", 0), ("cell__lt", 8589934592)), name="demand_cell_has_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="demandhour",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("requests__gte", models.F("unfulfilled")),
                    ("unfulfilled__gte", 0),
                    models.Q(("idle_drivers__isnull", True), ("idle_drivers__gte", 0), _connector="OR"),
                    models.Q(("requests__gt", 0), ("idle_drivers__gt", 0), _connector="OR"),
                ),
                name="demand_counts_are_sane",
            ),
        ),
        migrations.RunSQL(sql("demand/sql/guards_v1"), sql("demand/sql/guards_v1_down")),
    ]
