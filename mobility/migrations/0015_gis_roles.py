"""Schema gis and the roles of analysts; the functions of the service are the service's alone."""

from django.db import migrations

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [("mobility", "0014_service_areas")]

    operations = [migrations.RunSQL(sql("analytics/sql/roles_v1"), sql("analytics/sql/roles_v1_down"))]
