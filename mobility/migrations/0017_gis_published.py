"""Published numbers: tables of what can be told, frozen once they are counted, and the views of analysts over them."""

from django.db import migrations

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [("mobility", "0016_gis_operations")]

    operations = [
        migrations.RunSQL(sql("analytics/sql/published_v1"), sql("analytics/sql/published_v1_down")),
        migrations.RunSQL(sql("analytics/sql/published_views_v1"), sql("analytics/sql/published_views_v1_down")),
    ]
