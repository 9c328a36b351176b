"""Attacks that need a stage: a state no service leaves behind, or a guard stepped round. Everything is rolled back."""

from collections.abc import Iterable

import psycopg


def attacked(
    admin_url: str,
    *attack: str,
    staged: Iterable[str] = (),
    role: str = "careconnect_app",
    triggers: bool = True,
) -> str:
    """Run the attack as `role`; the constraint or message that stopped it, or "" when nothing did.

    `staged` is set up by the superuser, with no trigger fired and no foreign key checked. With `triggers=False` it
    stays like that, and the attack is the superuser's own: what stops it then stands without any trigger's help. The
    checks at commit are not reached.
    """
    with psycopg.connect(admin_url) as admin, admin.transaction(force_rollback=True):
        admin.execute("SET LOCAL session_replication_role = replica")
        for statement in staged:
            admin.execute(statement)
        if triggers:
            admin.execute("SET LOCAL session_replication_role = origin")
            admin.execute(f"SET LOCAL ROLE {role}")
        try:
            for statement in attack:
                admin.execute(statement)
        except psycopg.Error as stopped:
            return stopped.diag.constraint_name or str(stopped).splitlines()[0]
    return ""
