"""Foreign bytes into items of the contract, or into the reason why they are none. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from monitorpi_common.messages import COMMANDS, Command, Status, message_type
from monitorpi_common.service import CommandRefusedError, Presence, Received, TombstoneReceived

if TYPE_CHECKING:
    from monitorpi_common.bus import Raw
    from monitorpi_common.messages import Args, Service
    from monitorpi_common.topics import Topic


def item_of(topic: Topic, raw: Raw) -> Presence | TombstoneReceived | Received:
    """Return a message as the item that a core takes, validated.

    Raises:
        ValueError: it is not of the contract.

    """
    if topic.kind == "status":
        return Presence(topic, online=_is_online(raw.payload), taken_back=not raw.payload)
    if not raw.payload:
        return TombstoneReceived(topic)
    kind = message_type(topic.service, topic.kind)
    if kind is None:
        raise ValueError(f"no message of the contract has the kind {topic.kind!r}")
    return Received(topic, kind.model_validate_json(raw.payload), raw.retained)


def command_of(raw: Raw) -> Command:
    """Return a command as it was sent.

    Raises:
        CommandRefusedError: it is retained, or not of the contract.

    """
    if raw.retained:
        raise CommandRefusedError("a retained command is refused: send it without retain")
    try:
        return Command.model_validate_json(raw.payload)
    except (ValidationError, RecursionError) as error:
        raise CommandRefusedError(first_line(error)) from None


def arguments_of(command: Command, service: Service) -> Args:
    """Return the arguments of a command to a service.

    Raises:
        CommandRefusedError: there is no such command here, or it takes others.

    """
    kind = COMMANDS[service].get(command.name)
    if kind is None:
        known = ", ".join(COMMANDS[service]) or "none"
        raise CommandRefusedError(f"unknown command; known: {known}")
    try:
        return kind.model_validate(command.args)
    except (ValidationError, RecursionError) as error:
        raise CommandRefusedError(first_line(error)) from None


def first_line(error: Exception) -> str:
    """Return in one line what is wrong with foreign data."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "payload"
        return f"{where}: {first['msg']}"
    return str(error).split("\n", maxsplit=1)[0]


def _is_online(payload: bytes) -> bool:
    """Read a status payload; an empty one is an instance that was taken back."""
    return bool(payload) and Status(payload.decode()) is Status.ONLINE
