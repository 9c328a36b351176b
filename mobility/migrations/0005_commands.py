"""Commands that clients named, with their answers."""

import django.db.models.functions.datetime
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0004_more_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Command",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "principal", "command_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("principal", models.CharField(max_length=64)),
                ("command_id", models.CharField(max_length=64)),
                ("digest", models.CharField(max_length=64)),
                ("answer", models.JSONField()),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ],
            options={
                "db_table": "mobility_command",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("command_id__regex", "^[A-Za-z0-9_-]{1,64}$")), name="command_id_is_plain"
                    )
                ],
            },
        ),
        migrations.RunSQL(sql("commands/sql/guards_v1"), sql("commands/sql/guards_v1_down")),
    ]
