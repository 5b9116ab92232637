"""``thingspeak``: find or make the channels once, and look into the outbox."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sqlite3
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from monitorpi_cli.up import state_dir
from monitorpi_cloud_bridge.mapping import DEFAULTS, FREE, PAID, Entry, least_interval_s
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.messages import Service
from monitorpi_common.settings import ConfigurationError, load

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG: Final = "monitorpi"
_TIMEOUT_S: Final = 20.0
_STATES: Final = ("waiting", "in_flight", "stored", "set_aside")


def main(argv: Sequence[str]) -> int:
    """Run ``setup`` or ``status``."""
    parser = argparse.ArgumentParser(prog="./monitorpi thingspeak")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    actions = parser.add_subparsers(dest="action", required=True)
    setup = actions.add_parser("setup", help="find or make the channels, label their fields")
    setup.add_argument("--dry-run", action="store_true", help="say what would be done")
    setup.add_argument(
        "--channel", action="append", default=None, metavar="NAME",
        help="traffic (the default), health, or one of your own mapping; may be repeated",
    )  # fmt: skip
    actions.add_parser("status", help="what waits, what was sent, what is left of the quota")
    options = parser.parse_args(argv)
    try:
        loaded = load(Service.CLOUD_BRIDGE, CloudBridgeSettings, file=options.config)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi thingspeak: configuration: {line}", file=sys.stderr)
        return 2
    folder = state_dir(loaded.common)
    if options.action == "status":
        return _status(folder, loaded.section)
    return _setup(loaded.section, folder, options.channel or ["traffic"], dry=options.dry_run)


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
        """Tell whether the channel bears all these tags."""
        found = {tag if isinstance(tag, str) else tag.name for tag in self.tags}
        return found.issuperset(words)

    def key(self, *, writes: bool) -> str | None:
        """Return its write key or its read key; None: the service shows none."""
        return next((one.api_key for one in self.api_keys if one.write_flag is writes), None)


def _setup(settings: CloudBridgeSettings, folder: Path, names: list[str], *, dry: bool) -> int:
    """Find channels by tag, or make them; keep their keys in the secrets folder."""
    known = {entry.channel for entry in _entries(settings)}
    if unknown := [name for name in names if name not in known]:
        told = f"no mapping has a channel {unknown[0]!r}; there are: {', '.join(sorted(known))}"
        print(f"monitorpi thingspeak: {told}", file=sys.stderr)
        return 2
    print("The user API key (ThingSpeak: Account > My Profile) is used once and not kept.")
    key = _ask_for_key()
    if not key:
        print("monitorpi thingspeak: no key was given", file=sys.stderr)
        return 2
    try:
        numbers = _set_up(settings, key, folder, names, dry=dry)
    except httpx.HTTPStatusError as error:
        print(f"monitorpi thingspeak: refused ({error.response.status_code})", file=sys.stderr)
        return 3
    except httpx.HTTPError as error:
        print(f"monitorpi thingspeak: no answer ({type(error).__name__})", file=sys.stderr)
        return 3
    except (ValidationError, ValueError):
        said = f"{settings.url} does not answer as ThingSpeak does; is the address right?"
        print(f"monitorpi thingspeak: {said}", file=sys.stderr)
        return 3
    if numbers:
        _tell_settings(settings, numbers)
    return 0


def _set_up(
    settings: CloudBridgeSettings, key: str, folder: Path, names: list[str], *, dry: bool
) -> dict[str, int]:
    """Return the numbers of the channels that are ready now."""
    secrets = folder / "secrets" / Service.CLOUD_BRIDGE.value
    numbers = {}
    headers = {"THINGSPEAKAPIKEY": key}
    with httpx.Client(
        base_url=settings.url, headers=headers, timeout=_TIMEOUT_S, trust_env=False
    ) as web:
        answer = web.get("/channels.json").raise_for_status()
        there = TypeAdapter(list[Channel]).validate_json(answer.content)
        for name in names:
            channel = next((one for one in there if one.has(TAG, name)), None)
            if dry:
                would = f"use channel {channel.id}" if channel else "make a channel"
                print(f"would {would} for {name!r} and label its fields")
                continue
            channel = channel or _make(web, name)
            _label(web, _entries(settings), name, channel.id)
            _keep_keys(secrets, name, channel)
            numbers[name] = channel.id
            print(f"channel {channel.id} is {name!r}; its keys are in {secrets}")
    return numbers


def _tell_settings(settings: CloudBridgeSettings, numbers: dict[str, int]) -> None:
    """Print what the configuration needs now."""
    numbers = dict(settings.channels) | numbers
    listed = ", ".join(f"{name} = {number}" for name, number in numbers.items())
    least_s = least_interval_s(len(numbers), FREE if settings.licence == "free" else PAID)
    print("\nPut this into your configuration and start MonitorPi again:\n\n[cloud-bridge]")
    print(f"channels = {{ {listed} }}")
    if settings.interval_s < least_s:
        print(f"interval_s = {least_s}    # as often as the quota of the year allows")


def _entries(settings: CloudBridgeSettings) -> list[Entry]:
    return list(DEFAULTS) if settings.mapping is None else settings.mapping


def _ask_for_key() -> str:
    """Read the user key without showing it; from a pipe where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass("User API key: ").strip()
    return sys.stdin.readline().strip()


def _make(web: httpx.Client, name: str) -> Channel:
    values = {"name": f"MonitorPi {name}", "tags": f"{TAG},{name}", "public_flag": "false"}
    answer = web.post("/channels.json", data=values).raise_for_status()
    return Channel.model_validate_json(answer.content)


def _label(web: httpx.Client, entries: list[Entry], name: str, number: int) -> None:
    """Name the fields: only those with a name come back when rows are looked up."""
    labels = {
        f"field{one.field}": one.label or f"field {one.field}"
        for one in entries
        if one.channel == name
    }
    web.put(f"/channels/{number}.json", data=labels).raise_for_status()


def _keep_keys(folder: Path, name: str, channel: Channel) -> None:
    """Write a channel's keys where only their owner can read them.

    Raises:
        ValueError: the service shows no write key.

    """
    write, read = channel.key(writes=True), channel.key(writes=False)
    if write is None:
        raise ValueError("no write key")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _keep(folder / f"cloud_bridge__write_keys__{name}", write)
    if read is not None:
        _keep(folder / f"cloud_bridge__read_keys__{name}", read)


def _keep(file: Path, key: str) -> None:
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(f"{key}\n")


# --- status -------------------------------------------------------------------------------------


def _status(folder: Path, settings: CloudBridgeSettings) -> int:
    """Tell what stands in the outbox; it is only read, the bridge may run meanwhile."""
    file = folder / Service.CLOUD_BRIDGE.value / "outbox.sqlite"
    if not file.exists():
        print(f"monitorpi thingspeak: there is no outbox at {file}: nothing was relayed yet")
        return 0
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        counts = db.execute(
            "SELECT lane, state, COUNT(*), MIN(second) FROM row GROUP BY lane, state"
        ).fetchall()
        memory = {
            str(name): json.loads(text)
            for name, text in db.execute(
                "SELECT name, value FROM memory WHERE name = 'quota' OR name LIKE 'answer %'"
            )
        }
    except sqlite3.Error as error:
        print(f"monitorpi thingspeak: {file} cannot be read ({error})", file=sys.stderr)
        return 3
    finally:
        db.close()
    heads = " ".join(f"{state.replace('_', ' '):>10}" for state in _STATES)
    print(f"{'lane':24} {heads}  {'oldest unsent':>14}  last answer")
    for lane in sorted({lane for lane, *_ in counts}):
        found = {state: (number, first) for name, state, number, first in counts if name == lane}
        numbers = [found.get(state, (0, None))[0] for state in range(len(_STATES))]
        unsent = [found[state][1] for state in (0, 1) if state in found]
        oldest = f"{round(time.time() - min(unsent))} s ago" if unsent else "-"
        columns = " ".join(f"{number:>10}" for number in numbers)
        print(f"{lane:24} {columns}  {oldest:>14}  {memory.get(f'answer {lane}', 'none yet')}")
    quota = memory.get("quota", {"used": 0, "year": datetime.now(UTC).year})
    year = (FREE if settings.licence == "free" else PAID).messages_per_year
    left = max(year - quota["used"], 0)
    print(f"rows sent in {quota['year']}: {quota['used']:,} of {year:,}; {left:,} left")
    return 0
