"""What a server process does beside answering: checking again who may still be connected."""

import structlog

from mobility.people.credentials import still_valid
from mobility.realtime.database import in_database
from mobility.realtime.socket import Closed, Socket

log = structlog.get_logger(__name__)


async def recheck_credentials() -> None:
    """Close every socket of this process whose credential does not hold any more; three queries for all of them.

    Logging out closes sockets at once through a hint. This finds what no hint told of: expiry, or a hint that was lost.
    """
    asked = {s for s in Socket.live if not s.principal.is_guest}
    if not asked:
        return
    holding = await in_database(still_valid, {s.principal for s in asked})
    for socket in asked:
        if socket.principal not in holding:
            try:
                await socket.recheck()
            except Closed:
                log.info("credential_ended")
