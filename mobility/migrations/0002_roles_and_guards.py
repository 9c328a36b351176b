"""The application's role and what the database itself forbids: thin, the SQL stands in the subjects' folders."""

from django.db import migrations

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [("mobility", "0001_tables")]

    operations = [
        migrations.RunSQL(sql(f"{subject}_v1"), sql(f"{subject}_v1_down"))
        for subject in ("people/sql/roles", "bookings/sql/guards", "locations/sql/guards")
    ]
