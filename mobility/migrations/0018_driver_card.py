"""The name that people see and a feature's properties beside the driver."""

from django.db import migrations

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [("mobility", "0017_gis_published")]

    operations = [migrations.RunSQL(sql("drivers/sql/card_v1"), sql("drivers/sql/card_v1_down"))]
