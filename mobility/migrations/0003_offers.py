"""Offers, search rounds, driver inbox and presence; deadlines on bookings; what the database forbids about them."""

import datetime
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

from mobility.sql import sql


class Migration(migrations.Migration):
    dependencies = [
        ("mobility", "0002_roles_and_guards"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConsideredDriver",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "booking_id",
                        "round",
                        "driver_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "booking",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="mobility.booking",
                    ),
                ),
                (
                    "driver",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="mobility.driver",
                    ),
                ),
                ("round", models.PositiveIntegerField()),
                ("distance_m", models.FloatField()),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("assigned", "Assigned"),
                            ("asked", "Asked"),
                            ("own_ride", "the passenger themselves"),
                            ("unverified", "Unverified"),
                            ("offline", "Offline"),
                            ("vehicle_type", "another vehicle type"),
                            ("too_far", "too far"),
                            ("stale", "position too old"),
                            ("busy", "has a ride"),
                            ("released", "gave this ride back"),
                            ("declined", "Declined"),
                            ("expired", "did not answer"),
                            ("asked_already", "is being asked for this ride"),
                            ("asked_elsewhere", "is being asked for another ride"),
                            ("unreachable", "no open connection"),
                            ("not_needed", "others were nearer"),
                        ],
                        max_length=16,
                    ),
                ),
            ],
            options={
                "db_table": "mobility_search_considered",
            },
        ),
        migrations.CreateModel(
            name="InboxEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "driver_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "driver",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="inbox",
                        to="mobility.driver",
                    ),
                ),
                ("seq", models.PositiveIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("ride_request", "Ride Request"),
                            ("ride_request_closed", "Ride Request Closed"),
                            ("ride_assigned", "Ride Assigned"),
                            ("ride_cancelled", "Ride Cancelled"),
                            ("ride_released", "Ride Released"),
                            ("ride_completed", "Ride Completed"),
                            ("went_offline", "Went Offline"),
                        ],
                        max_length=24,
                    ),
                ),
                ("booking_id", models.BigIntegerField(null=True)),
                ("offer_id", models.BigIntegerField(null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("occurred_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "mobility_driver_inbox",
            },
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "booking",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="mobility.booking",
                    ),
                ),
                (
                    "driver",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="mobility.driver",
                    ),
                ),
                ("round", models.PositiveIntegerField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("accepted", "Accepted"),
                            ("declined", "Declined"),
                            ("expired", "Expired"),
                            ("withdrawn", "Withdrawn"),
                            ("released", "Released"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("taken", "Taken"),
                            ("ride_cancelled", "Ride Cancelled"),
                            ("driver_gone", "Driver Gone"),
                            ("undelivered", "Undelivered"),
                            ("search_over", "Search Over"),
                        ],
                        max_length=16,
                        null=True,
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("asked", "Asked"),
                            ("auto_accept", "Auto Accept"),
                            ("auto_assign", "Auto Assign"),
                            ("operator", "Operator"),
                        ],
                        db_default="asked",
                        default="asked",
                        max_length=16,
                    ),
                ),
                ("pickup_distance_m", models.FloatField(null=True)),
                ("decline_reason", models.CharField(blank=True, db_default="", max_length=300)),
                ("offered_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("delivered_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Presence",
            fields=[
                (
                    "driver",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="presence",
                        serialize=False,
                        to="mobility.driver",
                    ),
                ),
                ("socket_id", models.UUIDField()),
                ("connected_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease_until", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "mobility_driver_presence",
            },
        ),
        migrations.CreateModel(
            name="SearchRound",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "booking_id", "round", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "booking",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="search_rounds",
                        to="mobility.booking",
                    ),
                ),
                ("round", models.PositiveIntegerField()),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ("strategy", models.CharField(max_length=32)),
                ("radius_m", models.FloatField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("assigned", "Assigned"),
                            ("asked", "Asked"),
                            ("waiting", "Waiting"),
                            ("nobody", "Nobody"),
                        ],
                        max_length=16,
                    ),
                ),
            ],
            options={
                "db_table": "mobility_search_round",
            },
        ),
        migrations.AddField(
            model_name="booking",
            name="attention_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="booking",
            name="due_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True),
        ),
        migrations.AddField(
            model_name="booking",
            name="no_show_from",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="booking",
            name="offer_id",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="booking",
            name="releases",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="booking",
            name="rounds",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="booking",
            name="search_until",
            field=models.DateTimeField(
                db_default=django.db.models.expressions.CombinedExpression(
                    django.db.models.functions.datetime.Now(), "+", models.Value(datetime.timedelta(seconds=90))
                ),
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="driver",
            name="auto_accept",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Takes every request at once, on the server, with or without a connected app.",
            ),
        ),
        migrations.AddField(
            model_name="driver",
            name="inbox_seq",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="driver",
            name="missed_offers",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(models.F("due_at"), condition=models.Q(("due_at__isnull", False)), name="booking_due"),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=django.contrib.postgres.indexes.GistIndex(
                models.Func(models.F("pickup"), template="(%(expressions)s::geography)"),
                condition=models.Q(("status", "pending")),
                name="booking_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="driverlocation",
            index=django.contrib.postgres.indexes.GistIndex(
                models.Func(models.F("position"), template="(%(expressions)s::geography)"),
                condition=models.Q(("dispatchable", False)),
                name="driver_location_others",
            ),
        ),
        migrations.RunSQL(sql("dispatch/sql/offers_of_old_rides"), migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("driver__isnull", True), ("offer_id__isnull", True)),
                    models.Q(("driver__isnull", False), ("offer_id__isnull", False)),
                    _connector="OR",
                ),
                name="booking_driver_has_offer",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("due_at__isnull", False), ("status__in", ["confirmed", "in_progress", "pending"])),
                    models.Q(
                        ("due_at__isnull", True),
                        models.Q(("status__in", ["confirmed", "in_progress", "pending"]), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="booking_live_has_deadline",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "pending"), _negated=True), ("search_until__isnull", False), _connector="OR"
                ),
                name="booking_search_has_limit",
            ),
        ),
        migrations.AddConstraint(
            model_name="considereddriver",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "verdict__in",
                        [
                            "assigned",
                            "asked",
                            "own_ride",
                            "unverified",
                            "offline",
                            "vehicle_type",
                            "too_far",
                            "stale",
                            "busy",
                            "released",
                            "declined",
                            "expired",
                            "asked_already",
                            "asked_elsewhere",
                            "unreachable",
                            "not_needed",
                        ],
                    )
                ),
                name="considered_verdict_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="inboxevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "ride_request",
                            "ride_request_closed",
                            "ride_assigned",
                            "ride_cancelled",
                            "ride_released",
                            "ride_completed",
                            "went_offline",
                        ],
                    )
                ),
                name="inbox_kind_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="inboxevent",
            constraint=models.CheckConstraint(condition=models.Q(("seq__gte", 1)), name="inbox_seq_from_1"),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(models.F("booking"), models.F("driver"), name="offer_of_ride"),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(
                models.F("driver"), models.OrderBy(models.F("id"), descending=True), name="offer_of_driver"
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["pending", "accepted", "declined", "expired", "withdrawn", "released"])
                ),
                name="offer_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("reason__in", ["taken", "ride_cancelled", "driver_gone", "undelivered", "search_over"]),
                        ("reason__isnull", False),
                        ("status", "withdrawn"),
                    ),
                    models.Q(("reason__isnull", True), models.Q(("status", "withdrawn"), _negated=True)),
                    _connector="OR",
                ),
                name="offer_withdrawal_has_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("due_at__isnull", False),
                        ("expires_at__isnull", False),
                        ("settled_at__isnull", True),
                        ("status", "pending"),
                    ),
                    models.Q(("settled_at__isnull", False), models.Q(("status", "pending"), _negated=True)),
                    _connector="OR",
                ),
                name="offer_pending_has_deadline",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("pickup_distance_m__isnull", True),
                    models.Q(("pickup_distance_m__gte", 0), ("pickup_distance_m__lte", 20100000)),
                    _connector="OR",
                ),
                name="offer_distance_is_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(
                models.F("booking"), condition=models.Q(("status", "accepted")), name="offer_one_accepted_per_ride"
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(
                models.F("driver"), condition=models.Q(("status", "pending")), name="offer_one_live_per_driver"
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(fields=("id", "booking", "driver"), name="offer_of_ride_and_driver"),
        ),
        *(
            migrations.RunSQL(sql(subject), sql(f"{subject}_down"))
            for subject in (
                "drivers/sql/guards_v1",
                "dispatch/sql/guards_v1",
                "bookings/sql/guards_v2",
                "people/sql/roles_v2",
            )
        ),
    ]
