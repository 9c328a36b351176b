"""A command's answer, and doing a command that has a `command_id` once."""

import hashlib
import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from mobility.commands.services import Wanted, once
from mobility.errors import Refusal
from mobility.people.credentials import Principal
from mobility.realtime import frames
from mobility.realtime.frames import Frame

# The command_id of the frame that this task is answering, so that an `error` can name it.
answering: ContextVar[str | None] = ContextVar("answering", default=None)


class Done(NamedTuple):
    """What a command came to: the frames it is answered with, and what `command_done` says it was about."""

    told: list[Frame]
    about: dict[str, Any] = {}


class Reply(NamedTuple):
    """The frames to tell, and after everything else the answer to a command that has an id."""

    told: list[Frame]
    answer: Frame | None = None


def reply(principal: Principal, path_id: str, command: Any, work: Callable[[], Done]) -> Reply:
    """Do `work` for a command of the socket at `path_id`; with a `command_id` once, and answered by `command_done`, or
    by an `error` that names it. A command that was done already has only its answer.
    """
    if command.command_id is None:
        return Reply(work().told)
    told: list[Frame] = []

    def effect() -> Frame:
        done = work()
        told[:] = done.told
        return frames.command_done(command.command_id, command.type, done.about)

    def refuse(refusal: Refusal) -> Frame:
        told.clear()
        return refused(command, refusal)

    return Reply(told, once(wanted_by(principal, path_id, command), effect, refuse))


def refused(command: Any, refusal: Refusal) -> Frame:
    """The answer to a command with a `command_id` that is refused."""
    return frames.error(refusal) | {"command_id": command.command_id}


def wanted_by(principal: Principal, path_id: str, command: Any) -> Wanted:
    """What a command of the socket at `path_id` wants, by its `command_id`.

    Users name their commands in one space, whatever socket they use; guests have only their ride id.
    """
    content = command.model_dump(mode="json", exclude={"command_id"}, exclude_none=True)
    text = json.dumps([path_id, content], sort_keys=True)
    who = f"user.{principal.user_id}" if principal.user_id is not None else f"guest.{_digest(path_id)[:40]}"
    return Wanted(who, command.command_id, _digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
