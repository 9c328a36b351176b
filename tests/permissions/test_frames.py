"""Every frame that a socket is told is in the table with all of its members."""

import pytest

from mobility.realtime import driver_frames, frames
from mobility.realtime.protocol import DRIVER_TYPES, PASSENGER_TYPES
from tests.permissions.frames import DRIVER, DRIVER_TOO, RIDE, listed, makers, plain, told
from tests.permissions.table import REVIEW, differences, table

MADE = {"ride": told(RIDE.values()), "driver": told([*DRIVER.values(), *DRIVER_TOO.values()])}
PATHS = {"/ws/ride/<ride_id>/": PASSENGER_TYPES, "/ws/driver/<driver_id>/": DRIVER_TYPES}


@pytest.mark.parametrize(("module", "known"), [(frames, RIDE), (driver_frames, DRIVER)], ids=["ride", "driver"])
def test_everything_that_makes_frames_is_called_here(module, known):
    assert makers(module) == set(known), "tests/permissions/frames.py calls each of them once"


@pytest.mark.parametrize("socket", MADE)
def test_every_frame_and_each_of_its_members_is_listed(socket):
    found = {kind: " ".join(sorted(members)) for kind, members in MADE[socket].items()}
    in_table = {kind: " ".join(sorted(map(plain, words))) for kind, words in listed(socket).items()}
    wrong = differences(f"frames.{socket}", found, in_table)
    assert not wrong, "\n".join(["", *wrong, REVIEW])


def test_every_socket_path_and_message_is_listed():
    from mobility.routing import websocket

    paths = {str(route.pattern).strip("^$").replace("(?P", "").replace("(?s:.*))", "") for route in websocket.routes}
    assert {f"/{path}/" for path in paths if path} == set(PATHS), "a new path needs a line in PATHS"
    for path, types in PATHS.items():
        wrong = differences(f"sockets.'{path}'", dict.fromkeys(types, "who may?"),
                            dict.fromkeys(table()["sockets"][path], "who may?"))  # fmt: skip
        assert not wrong, "\n".join(["", *wrong, REVIEW])


def test_the_registry_of_messages_says_all_that_is_parsed():
    from typing import get_args

    from mobility.realtime.protocol import DriverCommand, PassengerCommand

    for types, union in ((PASSENGER_TYPES, PassengerCommand), (DRIVER_TYPES, DriverCommand)):
        assert set(types) == {get_args(c.model_fields["type"].annotation)[0] for c in get_args(union)}
