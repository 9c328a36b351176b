"""manage.py dispatcher"""

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.analytics.publish import publish_due_periods
from mobility.bookings.addresses import look_up_due_addresses
from mobility.delivery import hub
from mobility.demand.services import count_due_hours
from mobility.dispatch.dispatcher import forget_old_explanations, sweep
from mobility.server import dispatcher_loops
from mobility.trips.services import make_due_trips


class Command(BaseCommand):
    """Runs the dispatcher as a process of its own."""

    help = (
        "Sweep over what is due, every fifth of a second, until a signal ends it: offers that ran out, searches at "
        "their limit, waiting rides, lost drivers. Any number of these may run at once, on any host; with them, run "
        "the server with CARECONNECT_DISPATCHER=no. Needs REDIS_URL, through which it reaches the sockets. "
        "Example: manage.py dispatcher"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --once."""
        parser.add_argument("--once", action="store_true", help="sweep once, say how many rides were due, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep until SIGTERM or Ctrl-C."""
        if options["once"]:
            done = sweep()
            forgotten = forget_old_explanations()
            trips, hours, addresses = make_due_trips(), count_due_hours(), look_up_due_addresses()
            published = publish_due_periods()
            self.stdout.write(
                f"{done} rides were due, {forgotten} old explanations removed, {trips} trips made,"
                f" {hours} hours of demand counted, {addresses} rides lacked an address,"
                f" {published} days or months published"
            )
            return
        if not settings.REDIS_URL:
            raise CommandError(
                "Without REDIS_URL a dispatcher of its own could tell nobody what it did: the server runs one itself."
            )
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        hub.attach(loop)
        loops = dispatcher_loops()
        self.stdout.write("dispatching; Ctrl-C ends it")
        await ended.wait()
        for task in loops:
            task.cancel()
        # What a worker thread has begun is one short transaction, which it ends.
        await asyncio.gather(*loops, return_exceptions=True)
        await hub.drained()
        self.stdout.write("ended")
