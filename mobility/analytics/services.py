"""For schema gis, in the dispatcher: keys of people come and go, views know the settings, nobody computes for ever."""

import structlog

from mobility.conf import knobs
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


@state_change
def keep_gis() -> int:
    """Make the secrets of surrogate keys that are missing, throw away old ones, and tell the database the settings that
    its views go by; how many secrets changed. Again: the same, without effect."""
    for name, value in (("stale_after_s", knobs().stale_after_s), ("auto_assign", float(knobs().auto_assign))):
        rows("analytics/sql/tell_knob", {"name": name, "value": value})
    changed = rows("analytics/sql/keep_secrets", {"keep_months": knobs().surrogate_keep_months})[0].changed
    if changed:
        log.info("surrogate_secrets_changed", months=changed)
    return int(changed)


def end_long_statements() -> int:
    """End what analysts' logins have been computing for longer than `analyst_statement_timeout_s`; how many were."""
    ended = rows("analytics/sql/end_long", {"longest_s": knobs().analyst_statement_timeout_s})
    for one in ended:
        log.warning("analyst_ended", login=one.login, ended=one.ended, lasted_s=round(one.lasted_s))
    return len(ended)
