"""A status has its time, words are of their list, and what matching reads beside a position follows the driver's row."""

from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0003_offers"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("confirmed_at__isnull", False),
                        models.Q(("status__in", ["confirmed", "in_progress", "completed", "no_show"]), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("started_at__isnull", False),
                        models.Q(("status__in", ["in_progress", "completed"]), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("completed_at__isnull", False),
                        models.Q(("status", "completed"), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("no_show_at__isnull", False), models.Q(("status", "no_show"), _negated=True), _connector="OR"
                    ),
                    models.Q(
                        ("unfulfilled_at__isnull", False),
                        models.Q(("status", "unfulfilled"), _negated=True),
                        _connector="OR",
                    ),
                ),
                name="booking_status_has_its_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(("origin__in", ["asked", "auto_accept", "auto_assign", "operator"])),
                name="offer_origin_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="searchround",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["assigned", "asked", "waiting", "nobody"])),
                name="round_outcome_is_known",
            ),
        ),
        migrations.RunSQL(sql("locations/sql/guards_v2"), sql("locations/sql/guards_v2_down")),
    ]
