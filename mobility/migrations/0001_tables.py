"""Every table of the first release."""

import django.contrib.auth.validators
import django.contrib.gis.db.models.fields
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
import mobility.people.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Driver",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "phone",
                    models.CharField(
                        max_length=16,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^\\+[1-9][0-9]{6,14}$", "A phone number in international form, like +27123456789."
                            )
                        ],
                    ),
                ),
                ("license_number", models.CharField(max_length=32, unique=True)),
                ("vehicle_registration", models.CharField(max_length=32, unique=True)),
                (
                    "vehicle_type",
                    models.CharField(
                        choices=[
                            ("sedan", "Sedan"),
                            ("hatchback", "Hatchback"),
                            ("suv", "Suv"),
                            ("minibus", "Minibus"),
                            ("wheelchair_accessible", "wheelchair accessible"),
                            ("ambulance", "Ambulance"),
                        ],
                        max_length=32,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("available", "Available"), ("busy", "Busy"), ("offline", "Offline")],
                        default="offline",
                        max_length=16,
                    ),
                ),
                (
                    "rating",
                    models.DecimalField(
                        decimal_places=1,
                        default=5,
                        max_digits=2,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                ("total_rides", models.PositiveIntegerField(default=0)),
                (
                    "verified",
                    models.BooleanField(default=False, help_text="Papers and vehicle were checked; only then matched."),
                ),
                (
                    "stationary",
                    models.BooleanField(
                        default=False,
                        help_text="A rank or a clinic's own car: the position set here counts as fresh until it moves.",
                    ),
                ),
                ("is_demo", models.BooleanField(default=False, editable=False, help_text="Made by seed_drivers.")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                ("date_joined", models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined")),
                (
                    "phone",
                    models.CharField(
                        max_length=16,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^\\+[1-9][0-9]{6,14}$", "A phone number in international form, like +27123456789."
                            )
                        ],
                    ),
                ),
                (
                    "roles",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[("passenger", "Passenger"), ("driver", "Driver"), ("operator", "Operator")],
                            max_length=16,
                        ),
                        default=mobility.people.models._passenger,
                        size=None,
                    ),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            managers=[
                ("objects", mobility.people.models.People()),
            ],
        ),
        migrations.CreateModel(
            name="DriverLocation",
            fields=[
                (
                    "driver",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="location",
                        serialize=False,
                        to="mobility.driver",
                    ),
                ),
                ("position", django.contrib.gis.db.models.fields.PointField(srid=4326)),
                ("heading", models.FloatField(blank=True, help_text="Degrees clockwise from true north.", null=True)),
                ("speed", models.FloatField(blank=True, help_text="Metres per second.", null=True)),
                ("recorded_at", models.DateTimeField()),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("stationary", models.BooleanField(default=False, editable=False)),
                ("dispatchable", models.BooleanField(default=False, editable=False)),
                (
                    "vehicle_type",
                    models.CharField(
                        choices=[
                            ("sedan", "Sedan"),
                            ("hatchback", "Hatchback"),
                            ("suv", "Suv"),
                            ("minibus", "Minibus"),
                            ("wheelchair_accessible", "wheelchair accessible"),
                            ("ambulance", "Ambulance"),
                        ],
                        default="sedan",
                        editable=False,
                        max_length=32,
                    ),
                ),
            ],
            options={
                "db_table": "mobility_driver_location",
            },
        ),
        migrations.AddField(
            model_name="driver",
            name="user",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="driver", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.CreateModel(
            name="Booking",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ride_id", models.CharField(max_length=64)),
                ("passenger_phone", models.CharField(blank=True, max_length=32)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("scheduled", "Scheduled"),
                            ("pending", "Pending"),
                            ("confirmed", "Confirmed"),
                            ("in_progress", "In Progress"),
                            ("unfulfilled", "Unfulfilled"),
                            ("completed", "Completed"),
                            ("cancelled", "Cancelled"),
                            ("no_show", "No Show"),
                        ],
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("seq", models.PositiveIntegerField(default=1)),
                ("pickup", django.contrib.gis.db.models.fields.PointField(spatial_index=False, srid=4326)),
                ("pickup_address", models.CharField(blank=True, max_length=300)),
                ("dropoff", django.contrib.gis.db.models.fields.PointField(spatial_index=False, srid=4326)),
                ("dropoff_address", models.CharField(blank=True, max_length=300)),
                (
                    "vehicle_type",
                    models.CharField(
                        choices=[
                            ("sedan", "Sedan"),
                            ("hatchback", "Hatchback"),
                            ("suv", "Suv"),
                            ("minibus", "Minibus"),
                            ("wheelchair_accessible", "wheelchair accessible"),
                            ("ambulance", "Ambulance"),
                        ],
                        max_length=32,
                        null=True,
                    ),
                ),
                ("notes", models.CharField(blank=True, max_length=500)),
                ("distance_m", models.FloatField()),
                (
                    "distance_origin",
                    models.CharField(choices=[("client", "Client"), ("geodesic", "Geodesic")], max_length=16),
                ),
                ("duration_s", models.FloatField(null=True)),
                ("fare_minor", models.BigIntegerField(null=True)),
                ("fare_currency", models.CharField(max_length=3)),
                ("fare_origin", models.CharField(choices=[("none", "None"), ("client", "Client")], max_length=16)),
                ("request_digest", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("search_started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("arrived_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("completed_at", models.DateTimeField(null=True)),
                ("unfulfilled_at", models.DateTimeField(null=True)),
                ("no_show_at", models.DateTimeField(null=True)),
                ("cancelled_at", models.DateTimeField(null=True)),
                (
                    "cancelled_by",
                    models.CharField(
                        choices=[
                            ("passenger", "Passenger"),
                            ("driver", "Driver"),
                            ("operator", "Operator"),
                            ("system", "System"),
                        ],
                        max_length=16,
                        null=True,
                    ),
                ),
                ("cancellation_reason", models.CharField(blank=True, max_length=300)),
                (
                    "passenger",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bookings",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "driver",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bookings",
                        to="mobility.driver",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RideEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "booking_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("seq", models.PositiveIntegerField()),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("ride_requested", "Ride Requested"),
                            ("ride_scheduled", "Ride Scheduled"),
                            ("search_started", "Search Started"),
                            ("driver_assigned", "Driver Assigned"),
                            ("no_drivers", "No Drivers"),
                            ("driver_arrived", "Driver Arrived"),
                            ("driver_released", "Driver Released"),
                            ("ride_started", "Ride Started"),
                            ("ride_completed", "Ride Completed"),
                            ("ride_cancelled", "Ride Cancelled"),
                            ("no_show", "No Show"),
                        ],
                        max_length=32,
                    ),
                ),
                ("from_status", models.CharField(blank=True, max_length=16)),
                (
                    "to_status",
                    models.CharField(
                        choices=[
                            ("scheduled", "Scheduled"),
                            ("pending", "Pending"),
                            ("confirmed", "Confirmed"),
                            ("in_progress", "In Progress"),
                            ("unfulfilled", "Unfulfilled"),
                            ("completed", "Completed"),
                            ("cancelled", "Cancelled"),
                            ("no_show", "No Show"),
                        ],
                        max_length=16,
                    ),
                ),
                ("actor_id", models.BigIntegerField(null=True)),
                (
                    "actor_role",
                    models.CharField(
                        choices=[
                            ("passenger", "Passenger"),
                            ("driver", "Driver"),
                            ("operator", "Operator"),
                            ("system", "System"),
                        ],
                        max_length=16,
                    ),
                ),
                ("occurred_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("payload", models.JSONField(default=dict)),
                (
                    "booking",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="mobility.booking",
                    ),
                ),
            ],
            options={
                "db_table": "mobility_ride_event",
            },
        ),
        migrations.CreateModel(
            name="SocketTicket",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("token_digest", models.CharField(blank=True, max_length=128)),
                ("ride_id", models.CharField(max_length=64, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "db_table": "mobility_socket_ticket",
            },
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("phone__regex", "^\\+[1-9][0-9]{6,14}$")), name="user_phone_is_e164"
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("roles__contained_by", ["passenger", "driver", "operator"])),
                name="user_roles_are_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("username__regex", "^\\+?[0-9]+$"), _negated=True),
                    ("username", models.F("phone")),
                    _connector="OR",
                ),
                name="user_username_is_no_other_phone",
                violation_error_message="A username of digits must be the account's own phone number.",
            ),
        ),
        migrations.AddIndex(
            model_name="driverlocation",
            index=django.contrib.postgres.indexes.GistIndex(
                models.Func(models.F("position"), template="(%(expressions)s::geography)"),
                condition=models.Q(("dispatchable", True)),
                name="driver_location_dispatchable",
            ),
        ),
        migrations.AddConstraint(
            model_name="driverlocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("heading__isnull", True), models.Q(("heading__gte", 0), ("heading__lt", 360)), _connector="OR"
                ),
                name="location_heading_in_circle",
            ),
        ),
        migrations.AddConstraint(
            model_name="driverlocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("speed__isnull", True), models.Q(("speed__gte", 0), ("speed__lt", 1000)), _connector="OR"
                ),
                name="location_speed_is_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="driver",
            constraint=models.CheckConstraint(
                condition=models.Q(("phone__regex", "^\\+[1-9][0-9]{6,14}$")), name="driver_phone_is_e164"
            ),
        ),
        migrations.AddConstraint(
            model_name="driver",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["available", "busy", "offline"])), name="driver_status_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="driver",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("vehicle_type__in", ["sedan", "hatchback", "suv", "minibus", "wheelchair_accessible", "ambulance"])
                ),
                name="driver_vehicle_type_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="driver",
            constraint=models.CheckConstraint(
                condition=models.Q(("rating__gte", 1), ("rating__lte", 5)), name="driver_rating_is_1_to_5"
            ),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                models.OrderBy(models.F("requested_at"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="booking_newest_first",
            ),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                models.F("driver"),
                models.F("confirmed_at"),
                condition=models.Q(("status__in", ["confirmed", "in_progress"])),
                name="booking_bound",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        [
                            "scheduled",
                            "pending",
                            "confirmed",
                            "in_progress",
                            "unfulfilled",
                            "completed",
                            "cancelled",
                            "no_show",
                        ],
                    )
                ),
                name="booking_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(("ride_id__regex", "^[A-Za-z0-9_-]{1,64}$")), name="booking_ride_id_is_plain"
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.UniqueConstraint(
                models.F("passenger"), models.F("ride_id"), name="booking_one_per_passenger_and_ride_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.UniqueConstraint(
                models.F("ride_id"),
                condition=models.Q(
                    ("passenger__isnull", True),
                    models.Q(("status__in", ["cancelled", "completed", "no_show"]), _negated=True),
                ),
                name="booking_one_open_per_guest_ride_id",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.UniqueConstraint(
                models.F("passenger"),
                condition=models.Q(("status__in", ["confirmed", "in_progress", "pending"])),
                name="booking_one_live_per_passenger",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.UniqueConstraint(
                models.F("driver"),
                condition=models.Q(("status__in", ["confirmed", "in_progress"])),
                name="booking_one_live_per_driver",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("driver__isnull", False),
                    models.Q(("status__in", ["confirmed", "in_progress", "completed", "no_show"]), _negated=True),
                    _connector="OR",
                ),
                name="booking_bound_has_driver",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("driver__isnull", True),
                    models.Q(("status__in", ["pending", "scheduled", "unfulfilled"]), _negated=True),
                    _connector="OR",
                ),
                name="booking_waiting_has_no_driver",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(("fare_minor__isnull", True), ("fare_minor__gte", 0), _connector="OR"),
                name="booking_fare_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fare_minor__isnull", True), ("fare_origin", "none")),
                    models.Q(("fare_minor__isnull", False), models.Q(("fare_origin", "none"), _negated=True)),
                    _connector="OR",
                ),
                name="booking_fare_has_origin",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(("distance_m__gte", 0), ("distance_m__lte", 20100000)),
                name="booking_distance_is_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("duration_s__isnull", True),
                    models.Q(("duration_s__gte", 0), ("duration_s__lte", 31536000)),
                    _connector="OR",
                ),
                name="booking_duration_is_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cancelled_at__isnull", False), ("cancelled_by__isnull", False), ("status", "cancelled")),
                    models.Q(
                        ("cancelled_at__isnull", True),
                        ("cancelled_by__isnull", True),
                        models.Q(("status", "cancelled"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="booking_cancellation_is_told",
            ),
        ),
        migrations.AddConstraint(
            model_name="rideevent",
            constraint=models.CheckConstraint(condition=models.Q(("seq__gte", 1)), name="ride_event_seq_from_1"),
        ),
    ]
