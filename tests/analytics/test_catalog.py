"""What a login reaches, over a connection of its own: what is listed of schema gis, and nothing else.

Whatever else is in the catalog is tried, one by one, so that what a later migration adds is tried as well.
"""

import psycopg
import pytest
from psycopg import sql

from tests.analytics.people import refusal
from tests.trips.staging import ago

DENIED, READ_ONLY = "42501", "25006"

# Relations and functions that careconnect_operations has beyond careconnect_analyst.
OPERATIONS_READ = {"drivers_now", "rides", "pickups", "dropoffs", "trips", "offers", "matching"}
OPERATIONS_CALL = {
    "gis.nearest_drivers(double precision,double precision,double precision,integer)",
    "gis.fleet_at(timestamp with time zone,double precision)",
    "gis.waiting_at(timestamp with time zone)",
    # Called by the views; they only compute.
    "mobility_surrogate_key(bytea,bytea,bytea,bigint)",
    "mobility_ride_line(geometry,geometry)",
}
# The catalog of PostGIS, which is everybody's.
OF_POSTGIS = {"public.geometry_columns", "public.geography_columns", "public.spatial_ref_sys"}


@pytest.fixture
def admin(admin_url):
    with psycopg.connect(admin_url, autocommit=True) as connected:
        yield connected


@pytest.fixture(params=["analyst", "operations"])
def login(request):
    """Each kind of login in turn, which has set itself free of the read-only setting: rights must do."""
    connection = request.getfixturevalue(request.param)
    connection.execute("SET default_transaction_read_only = off")
    return connection


def relations(admin, where="true"):
    return [
        row[0]
        for row in admin.execute(
            "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema')"
            f" AND nspname !~ '^pg_(toast|temp)' AND {where} ORDER BY 1"
        )
    ]


class TestReading:
    def test_operations_read_what_is_listed_and_analysts_none_of_it(self, admin, operations, analyst):
        for connection, expected in ((operations, OPERATIONS_READ), (analyst, set())):
            read = {name for name in relations(admin) if refusal(connection, f"SELECT FROM {name} LIMIT 1") == ""}
            ours = {name.removeprefix("gis.") for name in read - OF_POSTGIS}
            assert {name for name in read if not name.startswith("gis.")} <= OF_POSTGIS
            granted = set(relations(admin, "has_table_privilege('careconnect_analyst', c.oid, 'SELECT')"))
            assert ours - {name.removeprefix("gis.") for name in granted} == expected

    def test_no_table_of_the_service_is_read(self, admin, login):
        tables = relations(admin, "relowner = 'careconnect_owner'::regrole AND nspname <> 'gis'")
        assert len(tables) > 30
        assert {refusal(login, f"SELECT FROM {name} LIMIT 1") for name in tables} == {DENIED}
        assert {refusal(login, f"COPY {name} TO STDOUT") for name in tables} == {DENIED}
        assert {refusal(login, f"EXPLAIN SELECT * FROM {name}") for name in tables} == {DENIED}

    def test_no_column_of_one_either(self, admin, login):
        found = admin.execute(
            "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0"
            " WHERE relowner = 'careconnect_owner'::regrole AND relnamespace <> 'gis'::regnamespace"
            " AND relkind IN ('r', 'p', 'v', 'm') AND has_column_privilege(%s, c.oid, attnum,"
            " 'SELECT, UPDATE, INSERT')",
            [login.info.user],
        ).fetchone()
        assert found == (0,)

    def test_no_sequence_tells_how_many_there_are(self, admin, login):
        sequences = admin.execute("SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences").fetchall()
        assert len(sequences) > 10
        for (name,) in sequences:
            assert refusal(login, f"SELECT last_value FROM {name}") == DENIED
            assert refusal(login, f"SELECT nextval('{name}')") == DENIED


class TestWriting:
    def test_nothing_is_written_that_can_be_read(self, admin, login):
        # PostGIS lets everybody write into its two views of columns, and makes nothing of it.
        for name in {*relations(admin)} - {"public.geometry_columns", "public.geography_columns"}:
            column = admin.execute(
                "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [name]
            ).fetchone()[0]
            for attack in (
                f"INSERT INTO {name} DEFAULT VALUES", f"UPDATE {name} SET {column} = NULL", f"DELETE FROM {name}",
            ):  # fmt: skip
                assert refusal(login, attack) in {DENIED, "55000"}, attack  # 55000: not a view that could be written

    @pytest.mark.parametrize(
        "attack",
        [
            "CREATE TABLE gis.x (i integer)",
            "CREATE TABLE public.x (i integer)",
            "CREATE VIEW gis.x AS SELECT 1",
            "CREATE SCHEMA x",
            "CREATE TEMP TABLE x (i integer)",
            "CREATE FUNCTION gis.x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "CREATE EXTENSION dblink",
            "CREATE ROLE x",
            "CREATE DATABASE x",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "COPY (SELECT 1) TO '/tmp/x'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_ls_dir('/')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT lo_creat(-1)",
            "SELECT lo_from_bytea(0, 'x')",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "SELECT pg_logical_emit_message(false, 'x', 'x')",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1",
            "SET ROLE careconnect_owner",
            "SET ROLE careconnect_app",
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION careconnect_app",
            "LOCK TABLE mobility_booking IN ACCESS SHARE MODE",
            "ALTER ROLE careconnect_app PASSWORD 'x'",
            "ALTER SYSTEM SET work_mem = '1GB'",
            "SELECT * FROM pg_authid",
            "SELECT * FROM pg_statistic",
            "SELECT * FROM pg_largeobject",
        ],
    )
    def test_it_does_nothing_but_read(self, login, attack):
        told = refusal(login, attack)
        if told == "25001":  # not in a transaction
            told = refusal(login, attack, whole=False)
        assert told == DENIED

    def test_it_sets_itself_no_other_role_than_its_groups(self, admin, operations, analyst):
        roles = [row[0] for row in admin.execute("SELECT rolname FROM pg_roles")]
        for login, groups in (
            (operations, {"careconnect_analyst", "careconnect_operations"}), (analyst, {"careconnect_analyst"}),
        ):  # fmt: skip
            free = {role for role in roles if refusal(login, f'SET ROLE "{role}"') == ""}
            assert free == groups | {login.info.user}

    def test_by_itself_it_begins_read_only(self, operations):
        assert refusal(operations, "SELECT pg_current_xact_id()") in {"", READ_ONLY}
        assert operations.execute("SHOW transaction_read_only").fetchone() == ("on",)


class TestFunctions:
    def test_operations_call_what_is_listed_and_analysts_none_of_it(self, admin, operations, analyst):
        for login, expected in ((operations, OPERATIONS_CALL), (analyst, set())):
            found = admin.execute(
                "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE proowner = 'careconnect_owner'::regrole"
                " AND has_function_privilege(%s, p.oid, 'EXECUTE')"
                " AND NOT has_function_privilege('careconnect_analyst', p.oid, 'EXECUTE')",
                [login.info.user],
            ).fetchall()
            assert {row[0] for row in found} == expected

    def test_what_runs_as_the_owner_has_a_fixed_search_path(self, admin):
        found = admin.execute(
            "SELECT p.oid::regprocedure::text, coalesce(array_to_string(proconfig, ';'), '') FROM pg_proc p"
            " WHERE prosecdef AND proowner = 'careconnect_owner'::regrole"
        ).fetchall()
        assert len(found) >= 6
        assert [name for name, config in found if "search_path=public, pg_temp" not in config] == []


class TestLeaks:
    """What PostgreSQL and PostGIS tell of tables that one may not read."""

    def test_statistics_of_our_tables_are_not_told(self, admin, login):
        admin.execute("ANALYZE mobility_allowed_move")
        assert admin.execute("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'mobility_allowed_move'").fetchone()[
            0
        ]
        found = login.execute("SELECT count(*) FROM pg_stats WHERE tablename LIKE 'mobility%'").fetchone()
        assert found == (0,)
        assert login.execute("SELECT count(*) FROM pg_stats_ext").fetchone() == (0,)

    @pytest.mark.parametrize(
        "asked",
        [
            "st_estimatedextent('public', 'mobility_booking', 'pickup')",
            "st_estimatedextent('mobility_booking', 'pickup')",
            "_postgis_stats('mobility_booking', 'pickup')",
            "_postgis_selectivity('mobility_booking', 'pickup', ST_MakeEnvelope(28, -27, 29, -26, 4326))",
            "_postgis_join_selectivity('mobility_booking', 'pickup', 'mobility_booking', 'dropoff')",
            "_postgis_index_extent('mobility_driver_location', 'indexed_position')",
        ],
    )
    def test_postgis_tells_no_histogram_of_a_map(self, login, asked):
        assert refusal(login, f"SELECT {asked}") == DENIED

    def test_what_others_are_doing_is_not_told(self, admin, login):
        admin.execute("SELECT 'the secret question'")
        found = login.execute(
            "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query <> '<insufficient privilege>'"
            " AND query <> ''"
        ).fetchall()
        assert found == []

    def test_a_plan_does_not_name_a_secret(self, operations, secrets):
        plan = operations.execute("EXPLAIN (ANALYZE, VERBOSE) SELECT driver_key FROM gis.rides").fetchall()
        assert not any("\\x" in row[0] and len(row[0]) > 200 and "inner_block" not in row[0] for row in plan)


class TestShape:
    """QGIS and servers of features list at once what has these."""

    VIEWS = "relnamespace = 'gis'::regnamespace AND relkind IN ('v', 'm', 'r')"

    def test_everything_is_described(self, admin):
        assert (
            admin.execute(
                f"SELECT relname FROM pg_class c WHERE {self.VIEWS} AND obj_description(c.oid, 'pg_class') IS NULL"
            ).fetchall()
            == []
        )
        assert (
            admin.execute(
                "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0"
                f" AND NOT attisdropped WHERE {self.VIEWS} AND col_description(c.oid, attnum) IS NULL"
            ).fetchall()
            == []
        )
        assert (
            admin.execute(
                "SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'gis'::regnamespace"
                " AND obj_description(p.oid, 'pg_proc') IS NULL"
            ).fetchall()
            == []
        )

    @pytest.mark.parametrize("view", sorted(OPERATIONS_READ))
    def test_a_view_of_operations_is_the_owners_and_a_barrier(self, admin, view):
        assert admin.execute(
            "SELECT relowner::regrole::text, reloptions FROM pg_class WHERE oid = %s::regclass", [f"gis.{view}"]
        ).fetchone() == ("careconnect_owner", ["security_barrier=true"])

    @pytest.mark.parametrize("view", sorted(OPERATIONS_READ))
    def test_a_whole_number_comes_first_and_places_have_a_type(self, admin, view):
        columns = admin.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 ORDER BY attnum",
            [f"gis.{view}"],
        ).fetchall()
        assert columns[0][1] == "bigint"
        places = [kind for name, kind in columns if kind.startswith("geometry")]
        assert len(places) == (view != "offers")
        assert all(kind.endswith(",4326)") and not kind.startswith("geometry(Geometry") for kind in places)
        times = [kind for name, kind in columns if name.endswith("_at")]
        assert set(times) <= {"timestamp with time zone"}
        assert {name for name, kind in columns if kind == "double precision"} == {
            name for name, kind in columns
            if kind == "double precision" and name.endswith(("_m", "_s", "_km_h", "_deg", "_ratio"))
        }  # fmt: skip

    def test_geometry_columns_list_them(self, operations):
        found = dict(operations.execute("SELECT f_table_name, type FROM geometry_columns WHERE f_table_schema = 'gis'"))
        assert {name: found[name] for name in OPERATIONS_READ - {"offers"}} == {
            "drivers_now": "POINT", "rides": "MULTILINESTRING", "pickups": "POINT", "dropoffs": "POINT",
            "trips": "LINESTRING", "matching": "POINT",
        }  # fmt: skip


@pytest.fixture
def everybody(secrets, stage):
    """People whose every text is a canary: "sparrow" is in all of them, and in nothing else."""
    booking = stage.driven(started=ago(minutes=30), ended=ago(minutes=20))
    stage.run("UPDATE mobility_user SET username = 'sparrow' || id, first_name = 'sparrow', last_name = 'sparrow',"
              " email = 'sparrow@example.org', phone = '+9990000' || id")  # fmt: skip
    stage.run("UPDATE mobility_driver SET phone = '+9990000' || id, license_number = 'sparrow' || id,"
              " vehicle_registration = 'sparrow' || id")  # fmt: skip
    stage.run("UPDATE mobility_booking SET ride_id = 'sparrow', passenger_phone = '+9990000',"
              " pickup_address = 'sparrow', dropoff_address = 'sparrow', notes = 'sparrow',"
              " cancellation_reason = 'sparrow',"
              " request_digest = 'sparrow'")  # fmt: skip
    stage.run("UPDATE mobility_offer SET decline_reason = 'sparrow'")
    return booking


class TestCanary:
    def test_nobody_is_in_anything_operations_read(self, admin, operations, everybody):
        names = relations(admin, "nspname = 'gis'")
        full = 0
        for name in names:
            rows = operations.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.SQL(name))).fetchall()
            full += name.removeprefix("gis.") in OPERATIONS_READ and bool(rows)
            for (row,) in rows:
                assert "sparrow" not in row, name
                assert "999000" not in row, name
        assert full >= len(OPERATIONS_READ) - 1  # a trip needs positions, and has its own tests

    def test_nor_in_what_its_functions_answer(self, operations, everybody):
        for call in ("fleet_at(now())", "waiting_at(now())", "nearest_drivers(28, -26, 200000, 1000)"):
            for (row,) in operations.execute(f"SELECT to_jsonb(t)::text FROM gis.{call} t"):
                assert "sparrow" not in row
                assert "999000" not in row

    def test_no_column_is_named_after_a_person_and_no_number_of_one_is_told(self, admin):
        columns = {
            row[0]
            for row in admin.execute(
                "SELECT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
                " WHERE relnamespace = 'gis'::regnamespace AND attnum > 0"
                " AND NOT (relname = 'service_areas' AND attname = 'name')"  # an area's
            )
        }
        personal = {
            "driver_id", "passenger_id", "user_id", "ride_id", "name", "phone", "email", "license_number",
            "vehicle_registration", "pickup_address", "dropoff_address", "notes", "cancellation_reason",
            "decline_reason",
        }  # fmt: skip
        assert not columns & personal
