"""``monitorpi notify test``: does an alert reach people? One message, followed to its delivery."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_cli.stack.plan import section_of
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.viewer import Viewer, send_command
from monitorpi_common.messages import Command, Sent, Service
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.topics import Topic, pattern
from monitorpi_notifier.settings import NotifierSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cli.stack.running import Running

WAIT_S: Final = 60.0
_ONLINE_S: Final = 5.0
_OK, _FAILED, _USAGE, _RESOURCE = 0, 1, 2, 3


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: every destination took the message. 1: one did not. 2: wrong arguments or configuration. 3:
    no stack runs here, or no notifier.
    """
    options = _parse(argv)
    try:
        settings = section_of(Service.NOTIFIER, NotifierSettings, options.config)
        names = list(settings.destinations) if options.name is None else [options.name]
        if not names or (wrong := [name for name in names if name not in settings.destinations]):
            raise ConfigurationError([_unknown(settings, wrong[0] if names else None)])
        return _test(find_running(options.config), names)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi notify: configuration: {line}", file=sys.stderr)
        return _USAGE
    except NoStackError as error:
        print(f"monitorpi notify: {error}", file=sys.stderr)
        return _RESOURCE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi notify",
        description="Send a test message through the running notifier and wait for its delivery.",
    )
    parser.add_argument("what", choices=["test"], metavar="test", help="send a test message")
    parser.add_argument("name", nargs="?", metavar="NAME", help="one destination; by default all")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings `up` runs with")
    return parser.parse_args(argv)


def _unknown(settings: NotifierSettings, name: str | None) -> str:
    if name is None:
        return "notifier.destinations: there are none; give one as in docs/notifier.md"
    known = ", ".join(settings.destinations) or "none"
    return f"notifier.destinations: there is no {name!r}; there are: {known}"


def _test(running: Running, names: Sequence[str]) -> int:
    """Send a test to each destination and print what became of it."""
    operator = running.account("operator")
    filters = [pattern("+", Service.NOTIFIER, kind) for kind in ("status", Sent.KIND)]
    with Viewer(running.account("viewer"), filters) as arrivals:
        site = _site(arrivals)
        began = time.monotonic()
        for name in names:
            command = Command(name="test", args={"destination": name}, at=datetime.now(UTC))
            topic = Topic(site, Service.NOTIFIER, Command.KIND, f"test-{name}")
            answer = send_command(operator, topic, command)
            if answer is None or not answer.ok:
                reason = answer.error if answer else "it does not answer"
                print(f"{name}: the notifier refused: {reason}")
                return _FAILED
        return _follow(arrivals, list(names), began)


def _site(arrivals: Viewer) -> str:
    """Return the site whose notifier is online."""
    deadline = time.monotonic() + _ONLINE_S
    while (left := deadline - time.monotonic()) > 0:
        one = arrivals.next(left)
        if one and one.topic.kind == "status" and one.payload == b"online":
            return one.topic.site
    raise NoStackError("no notifier is online: restart the stack after a destination is given")


def _follow(arrivals: Viewer, names: list[str], began: float) -> int:
    """Wait for each destination's answer."""
    code = _OK
    while names and (left := WAIT_S - (time.monotonic() - began)) > 0:
        one = arrivals.next(left)
        if one is None or one.topic.kind != Sent.KIND:
            continue
        try:
            sent = one.message()
        except ValidationError:
            continue
        if not isinstance(sent, Sent) or sent.what != "test" or sent.destination not in names:
            continue
        names.remove(sent.destination)
        after_s = time.monotonic() - began
        if sent.ok:
            print(f"{sent.destination}: delivered after {after_s:.1f} s")
        else:
            print(f"{sent.destination}: not delivered: {sent.error}; it is tried again")
            code = _FAILED
    for name in names:
        print(f"{name}: no answer within {WAIT_S:g} s")
        code = _FAILED
    return code
