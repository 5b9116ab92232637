"""``thingspeak``: find or make the channels once, and look into the outbox."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sqlite3
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, TypeAdapter

from monitorpi_cli.stack.paste import paste
from monitorpi_cli.stack.plan import secrets_of
from monitorpi_cli.stack.private import write_private
from monitorpi_cli.stack.state import state_dir
from monitorpi_cloud_bridge.mapping import DEFAULTS, FREE, PAID, MappingEntry, least_interval_s
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import web_of
from monitorpi_cloud_bridge.sinks.sink import RefusedError
from monitorpi_cloud_bridge.sinks.thingspeak import KEY_HEADER
from monitorpi_cloud_bridge.web import NoAnswerError, ask
from monitorpi_common import clock
from monitorpi_common.database import snapshot
from monitorpi_common.messages import Service
from monitorpi_common.settings import DEFAULT_FILE, ENV_PREFIX, ConfigurationError, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

TAG: Final = "monitorpi"
_HINTS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "is it the User API Key of Account > My Profile?",
    HTTPStatus.PAYMENT_REQUIRED: "the licence's quota is spent",
    HTTPStatus.TOO_MANY_REQUESTS: "too many calls; try again in a minute",
}
_STATES: Final = ("waiting", "in_flight", "stored", "set_aside")
_MOST_REASONS: Final = 10
_REASONS: Final = """SELECT lane, reason, COUNT(*), MAX(second) FROM refusal
    GROUP BY lane, reason ORDER BY lane, MAX(second) DESC"""


def main(argv: Sequence[str]) -> int:
    """Run ``setup`` or ``status``."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi thingspeak",
        description="Make channels at ThingSpeak, or see what waits for them.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    anywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    anywhere.add_argument("--config", type=Path, metavar="FILE", help="the same")
    actions = parser.add_subparsers(dest="action", metavar="setup|status", required=True)
    setup = actions.add_parser(
        "setup", parents=[anywhere], help="find or make the channels, label their fields"
    )
    setup.add_argument("--dry-run", action="store_true", help="say what would be done")
    setup.add_argument(
        "--channel", action="append", default=None, metavar="NAME",
        help="traffic (the default), health, or one of your own mapping; may be repeated",
    )  # fmt: skip
    actions.add_parser(
        "status", parents=[anywhere], help="what waits, what was sent, what is left of the quota"
    )
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi thingspeak: configuration: {line}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    """Carry out what was asked for.

    Raises:
        ConfigurationError: the settings are wrong.

    """
    secrets = secrets_of(Service.CLOUD_BRIDGE, options.config)
    loaded = load(Service.CLOUD_BRIDGE, CloudBridgeSettings, file=options.config, secrets=secrets)
    folder = state_dir(loaded.common)
    if options.action == "status":
        _print_clock(trusted=loaded.common.trust_clock)
        return _status(folder, loaded.section)
    names = options.channel or ["traffic"]
    variable = f"{ENV_PREFIX}SECRETS_DIR"
    own = folder / "secrets" / Service.CLOUD_BRIDGE.value
    kept = secrets or Path(os.environ.get(variable, own))
    code = _setup(loaded.section, kept, options.config, names, dry=options.dry_run)
    if secrets is None and not code:
        print(f"The broker is elsewhere: start MonitorPi with {variable}={kept}")
    return code


# --- setup --------------------------------------------------------------------------------------


class Key(BaseModel):
    """A key of a channel, as the service shows it to the owner."""

    model_config = ConfigDict(frozen=True)

    api_key: str
    write_flag: bool


class Tag(BaseModel):
    """A word on a channel."""

    model_config = ConfigDict(frozen=True)

    name: str


class Channel(BaseModel):
    """A channel, as the service shows it to the owner."""

    model_config = ConfigDict(frozen=True)

    id: int
    tags: list[Tag | str] = []
    api_keys: list[Key] = []

    def has(self, *words: str) -> bool:
        """Return whether the channel bears all these tags."""
        found = {tag if isinstance(tag, str) else tag.name for tag in self.tags}
        return found.issuperset(words)

    def key(self, *, writes: bool) -> str | None:
        """Return its write key or its read key; None: the service shows none."""
        return next((one.api_key for one in self.api_keys if one.write_flag is writes), None)


def _setup(
    settings: CloudBridgeSettings, secrets: Path, file: Path | None, names: list[str], *, dry: bool
) -> int:
    """Find channels by tag, or make them; keep their keys in the secrets folder."""
    known = {entry.channel for entry in _entries(settings)}
    if unknown := [name for name in names if name not in known]:
        problem = f"no mapping has a channel {unknown[0]!r}; there are: {', '.join(sorted(known))}"
        print(f"monitorpi thingspeak: {problem}", file=sys.stderr)
        return 2
    print("The user API key (ThingSpeak: Account > My Profile) is used once and not kept.")
    key = _ask_for_key()
    if not key:
        print("monitorpi thingspeak: no key was given", file=sys.stderr)
        return 2
    try:
        numbers = _set_up(settings, key, secrets, names, dry=dry)
    except RefusedError as error:
        print(f"monitorpi thingspeak: {error}", file=sys.stderr)
        return 3
    except NoAnswerError as error:
        problem = f"no answer from {settings.url} ({error}); is the network up?"
        print(f"monitorpi thingspeak: {problem}", file=sys.stderr)
        return 3
    except ValueError:
        problem = f"{settings.url} does not answer as ThingSpeak does; is the address right?"
        print(f"monitorpi thingspeak: {problem}", file=sys.stderr)
        return 3
    except OSError as error:
        problem = f"{secrets} cannot be written ({error.strerror}): run it with sudo"
        print(f"monitorpi thingspeak: {problem}, or make room on its disk", file=sys.stderr)
        return 3
    if numbers:
        _print_settings(settings, numbers, file or DEFAULT_FILE)
    return 0


def _set_up(
    settings: CloudBridgeSettings, key: str, secrets: Path, names: list[str], *, dry: bool
) -> dict[str, int]:
    """Return the numbers of the channels that are ready now."""
    numbers = {}
    with web_of(settings) as web:
        account = Account(web, settings.url, key)
        there = TypeAdapter(list[Channel]).validate_json(account.ask("GET", "/channels.json"))
        for name in names:
            found = next((one for one in there if one.has(TAG, name)), None)
            labels = _labels(_entries(settings), name)
            if dry:
                would = f"use channel {found.id}" if found else "make a private channel"
                print(f"would {would} for {name!r}, with the fields {', '.join(labels.values())}")
                continue
            channel = found or _make(account, name)
            account.ask("PUT", f"/channels/{channel.id}.json", labels)
            _keep_keys(secrets, name, channel)
            numbers[name] = channel.id
            print(f"{'found' if found else 'made '} channel {channel.id} for {name!r}")
    if not dry:
        print(f"their keys are in {secrets}, readable by their owner only")
    return numbers


@dataclass(frozen=True, slots=True)
class Account:
    """The owner's calls to the service. The user key is in their head and nowhere else."""

    web: httpx.Client
    url: str
    key: str

    def ask(self, method: str, path: str, values: dict[str, str] | None = None) -> bytes:
        """Make one call and return the body of its answer.

        Raises:
            RefusedError: the service does not do it; the text says what may help.
            NoAnswerError: no whole answer came.

        """
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = ask(
            self.web, method, self.url.rstrip("/") + path,
            headers={KEY_HEADER: self.key, **form}, content=urlencode(values or {}).encode(),
        )  # fmt: skip
        if answer.status != HTTPStatus.OK:
            hint = _HINTS.get(answer.status, f"{method} {path}")
            raise RefusedError(f"refused ({answer.status}): {hint}")
        return answer.body


def _print_settings(settings: CloudBridgeSettings, numbers: dict[str, int], file: Path) -> None:
    """Print what the configuration needs now."""
    numbers = dict(settings.channels) | numbers
    listed = ", ".join(f"{name} = {number}" for name, number in numbers.items())
    least_s = least_interval_s(len(numbers), FREE if settings.licence == "free" else PAID)
    lines = [f"channels = {{ {listed} }}"]
    if settings.interval_s < least_s:
        lines.append(f"interval_s = {least_s}    # as often as the quota of the year allows")
    print("\n" + "\n".join(paste(file, lines)))
    for name, number in numbers.items():
        print(f"\n{name} will be seen at {_site(settings.url)}/channels/{number}", end="")
    print()


def _site(url: str) -> str:
    """Return where people look at what was written to an address."""
    return url.rstrip("/").replace("://api.", "://")


def _entries(settings: CloudBridgeSettings) -> list[MappingEntry]:
    return list(DEFAULTS) if settings.mapping is None else settings.mapping


def _ask_for_key() -> str:
    """Read the user key without showing it; from a pipe where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass("User API key: ").strip()
    return sys.stdin.readline().strip()


def _make(account: Account, name: str) -> Channel:
    """Make a private channel.

    Raises:
        RefusedError: there may be none left.

    """
    values = {"name": f"MonitorPi {name}", "tags": f"{TAG},{name}", "public_flag": "false"}
    try:
        return Channel.model_validate_json(account.ask("POST", "/channels.json", values))
    except RefusedError as error:
        raise RefusedError(f"{error}; a free licence has four channels: is one left?") from None


def _labels(entries: list[MappingEntry], name: str) -> dict[str, str]:
    """Return the names of a channel's fields: only those with a name are ever shown."""
    return {
        f"field{one.field}": one.label or f"field {one.field}"
        for one in entries
        if one.channel == name
    }


def _keep_keys(folder: Path, name: str, channel: Channel) -> None:
    """Write a channel's keys where only their owner can read them.

    Raises:
        ValueError: the service shows no write key, or one that no header can hold.
        OSError: they cannot be written.

    """
    write, read = channel.key(writes=True), channel.key(writes=False)
    keys = f"{write}{read}"
    if write is None or not (keys.isascii() and keys.isprintable()):
        raise ValueError("no key")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / f"cloud_bridge__write_keys__{name}", f"{write}\n")
    if read is not None:
        write_private(folder / f"cloud_bridge__read_keys__{name}", f"{read}\n")


# --- status -------------------------------------------------------------------------------------


def _print_clock(*, trusted: bool) -> None:
    """Return where rows wait for the clock: those made meanwhile stand in no outbox yet."""
    if not trusted and not clock.synchronised():
        print(
            "the clock of this machine is not synchronised: what is counted now waits until it is, "
            "and is dated then (timedatectl; trust_clock = true takes it as right)"
        )


class _Outbox(NamedTuple):
    """What is read of an outbox."""

    counts: list[tuple[str, int, int, int]]
    """Destination, state, number and oldest second of the rows."""
    refusals: list[tuple[str, str, int, int]]
    """Destination, reason, number and newest second of the rows that were set aside."""
    memory: dict[str, Any]


def _read(file: Path) -> _Outbox:
    """Read the rows by their state, why some were set aside, and what is remembered."""
    with snapshot(file) as db:
        counts = db.execute(
            "SELECT lane, state, COUNT(*), MIN(second) FROM row GROUP BY lane, state"
        ).fetchall()
        has_reasons = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'refusal'").fetchone()
        refusals = db.execute(_REASONS).fetchall() if has_reasons else []
        memory = db.execute(
            "SELECT name, value FROM memory WHERE name = 'quota' OR name LIKE 'answer %'"
        ).fetchall()
    return _Outbox(counts, refusals, {str(name): json.loads(text) for name, text in memory})


def _status(folder: Path, settings: CloudBridgeSettings) -> int:
    """Print what stands in the outbox; it is only read, the bridge may run meanwhile."""
    file = folder / Service.CLOUD_BRIDGE.value / "outbox.sqlite"
    if not file.exists():
        print(f"monitorpi thingspeak: there is no outbox at {file}: nothing was relayed yet")
        return 0
    try:
        counts, refusals, memory = _read(file)
    except (OSError, sqlite3.Error) as error:
        print(f"monitorpi thingspeak: {file} cannot be read ({error})", file=sys.stderr)
        return 3
    heads = " ".join(f"{state.replace('_', ' '):>10}" for state in _STATES)
    print(f"{'destination':24} {heads}  {'oldest unsent':>14}  last answer")
    for destination in sorted({one for one, *_ in counts}):
        found = {
            state: (number, first) for name, state, number, first in counts if name == destination
        }
        numbers = [found.get(state, (0, None))[0] for state in range(len(_STATES))]
        unsent = [found[state][1] for state in (0, 1) if state in found]
        oldest = f"{max(0, round(time.time() - min(unsent)))} s ago" if unsent else "-"
        columns = " ".join(f"{number:>10}" for number in numbers)
        answer = memory.get(f"answer {destination}", "none yet")
        print(f"{destination:24} {columns}  {oldest:>14}  {answer}")
    for destination, reason, number, newest in refusals[:_MOST_REASONS]:
        rows = "a row" if number == 1 else f"{number:,} rows"
        at = datetime.fromtimestamp(newest, UTC).isoformat(" ").removesuffix("+00:00")
        print(f"set aside of {destination}: {rows}, the newest of {at} UTC: {reason}")
    if len(refusals) > _MOST_REASONS:
        print(f"and {len(refusals) - _MOST_REASONS} more reasons")
    quota = memory.get("quota", {"used": 0, "year": datetime.now(UTC).year})
    year = (FREE if settings.licence == "free" else PAID).messages_per_year
    left = max(year - quota["used"], 0)
    print(f"rows sent in {quota['year']}: {quota['used']:,} of {year:,}; {left:,} left")
    return 0
