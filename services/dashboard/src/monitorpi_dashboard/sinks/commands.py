"""What people may command on the page, and what became of it.

A command goes out by the dashboard's own account, and whoever asked waits for the service's result.
Only what stands in :data:`PAGE_COMMANDS` may be asked for, in the form of the contract.
"""

from __future__ import annotations

import secrets
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from monitorpi_common.allowance import Allowance
from monitorpi_common.messages import COMMANDS, Service
from monitorpi_dashboard.items import CommandRequested

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Result

PAGE_COMMANDS: Final = {
    (Service.CAPTURE, "watch"): (1.0, 10),
    (Service.CAPTURE, "mark"): (2.0, 20),
    (Service.DETECTOR, "acknowledge"): (2.0, 20),
    (Service.DETECTOR, "silence"): (2.0, 20),
    (Service.DETECTOR, "set_threshold"): (1.0, 10),
    (Service.NOTIFIER, "test"): (0.1, 3),
}
"""What may be commanded: so many a second, and so many at once after a pause."""
PAGE_ARGUMENTS: Final = {"set_threshold": frozenset({"rule", "mac", "floor", "reset"})}
"""What may be given with it, where not everything may: no rule is switched off here."""
WAITING: Final = 8
"""Who waits for a result at the same time."""
RESULT_S: Final = 5.0
"""A service answers within a tick; longer, and it does not run."""

Answer = tuple[HTTPStatus, dict[str, Any]]


class PageCommands:
    """Hands commands to the core and results to those who wait for them."""

    def __init__(self) -> None:
        self.emit: Callable[[object], None] | None = None
        """Set while the page is served."""
        self._results: dict[str, Result | None] = {}
        self._came = threading.Condition()
        self._allowed = {one: Allowance(*limit) for one, limit in PAGE_COMMANDS.items()}

    def send(self, service: str, name: str, body: bytes) -> Answer:
        """Send a command, wait for its result and return what the page shows of it."""
        known = {(one[0].value, one[1]): one for one in PAGE_COMMANDS}
        command = known.get((service, name))
        if command is None:
            return HTTPStatus.NOT_FOUND, {"error": "there is no such command"}
        try:
            args = COMMANDS[command[0]][name].model_validate_json(body)
        except ValidationError:
            return HTTPStatus.BAD_REQUEST, {"error": "the command is not of that form"}
        if not args.model_fields_set <= PAGE_ARGUMENTS.get(name, args.model_fields_set):
            return HTTPStatus.BAD_REQUEST, {"error": "that is not changed on the page"}
        if self.emit is None or not self._allowed[command].take(time.monotonic()):
            return HTTPStatus.TOO_MANY_REQUESTS, {"error": "there were enough of these: wait a bit"}
        id_ = f"page-{secrets.token_hex(8)}"
        with self._came:
            if len(self._results) >= WAITING:
                return HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many wait for an answer"}
            self._results[id_] = None
        fields = args.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.emit(CommandRequested(id_, command[0], name, fields))
        return self._outcome(id_, service)

    def _outcome(self, id_: str, service: str) -> Answer:
        with self._came:
            self._came.wait_for(lambda: self._results[id_] is not None, RESULT_S)
            result = self._results.pop(id_)
        if result is None:
            text = f"the {service} has not answered within {RESULT_S:.0f} s: does it run?"
            return HTTPStatus.GATEWAY_TIMEOUT, {"error": text}
        if not result.ok:
            return HTTPStatus.CONFLICT, {"error": result.error or "it was refused"}
        return HTTPStatus.OK, {}

    def answered(self, id_: str, result: Result) -> None:
        """Take a result from the bus; that of somebody else's command is none of ours."""
        with self._came:
            if id_ in self._results:
                self._results[id_] = result
                self._came.notify_all()
