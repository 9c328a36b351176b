"""Time passes for the database without anybody waiting: every stored time is moved into the past."""

import psycopg

_TIMES = {
    "mobility_booking": (
        "requested_at", "search_started_at", "search_until", "due_at", "confirmed_at", "arrived_at", "started_at",
        "completed_at", "unfulfilled_at", "no_show_at", "no_show_from", "cancelled_at", "attention_since",
    ),
    "mobility_ride_event": ("occurred_at",),
    "mobility_offer": ("offered_at", "delivered_at", "due_at", "expires_at", "settled_at"),
    "mobility_driver_location": ("recorded_at", "received_at"),
    "mobility_driver_presence": ("connected_at", "seen_at", "lease_until"),
    "mobility_driver_inbox": ("occurred_at",),
    "mobility_search_round": ("made_at",),
}  # fmt: skip


def let_pass(seconds: float, admin_url: str) -> None:
    """Let so many seconds pass; as the superuser, with the guards of history out of the way."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{c} = {c} - make_interval(secs => {float(seconds)})" for c in columns)
            admin.execute(f"UPDATE {table} SET {moved}")
