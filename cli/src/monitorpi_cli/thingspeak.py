"""``thingspeak``: find or make the channels once, and look into the outbox."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from monitorpi_cli.up import state_dir
from monitorpi_cloud_bridge.mapping import DEFAULTS
from monitorpi_cloud_bridge.settings import CloudBridgeSettings, check_url
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
    setup.add_argument("--channel", action="append", choices=["traffic", "health"], default=None)
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
        return _status(folder)
    return _setup(loaded.section, folder, options.channel or ["traffic"], dry=options.dry_run)


# --- setup --------------------------------------------------------------------------------------


def _setup(settings: CloudBridgeSettings, folder: Path, names: list[str], *, dry: bool) -> int:
    """Find channels by tag and name, or make them; keep their write keys in the secrets folder."""
    check_url("url", settings.url, allow_http=settings.allow_http)
    print("The user API key (ThingSpeak: Account > My Profile) is used once and not kept.")
    key = _ask_for_key()
    if not key:
        print("monitorpi thingspeak: no key was given", file=sys.stderr)
        return 2
    secrets = folder / "secrets" / Service.CLOUD_BRIDGE.value
    numbers = {}
    try:
        with httpx.Client(base_url=settings.url, timeout=_TIMEOUT_S, trust_env=False) as web:
            there = _channels(web, key)
            for name in names:
                channel = _find(there, name)
                if channel is None and dry:
                    print(f"would make a channel {_title(name)!r}")
                    continue
                channel = channel or _make(web, key, name)
                if dry:
                    print(f"would use channel {channel['id']} for {name!r} and label its fields")
                    continue
                _label(web, key, name, int(channel["id"]))
                _keep_key(secrets, name, channel)
                numbers[name] = int(channel["id"])
                print(f"channel {channel['id']} is {name!r}; its write key is in {secrets}")
    except httpx.HTTPStatusError as error:
        print(f"monitorpi thingspeak: refused ({error.response.status_code})", file=sys.stderr)
        return 3
    except httpx.HTTPError as error:
        print(f"monitorpi thingspeak: no answer ({type(error).__name__})", file=sys.stderr)
        return 3
    if numbers:
        print("\nPut this into your configuration and start MonitorPi again:\n\n[cloud-bridge]")
        listed = ", ".join(f"{name} = {number}" for name, number in numbers.items())
        print(f"channels = {{ {listed} }}")
    return 0


def _ask_for_key() -> str:
    """Read the user key without showing it; from a pipe where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass("User API key: ").strip()
    return sys.stdin.readline().strip()


def _channels(web: httpx.Client, key: str) -> list[dict[str, Any]]:
    answer = web.get("/channels.json", headers={"THINGSPEAKAPIKEY": key})
    answer.raise_for_status()
    found = answer.json()
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _title(name: str) -> str:
    return f"MonitorPi {name}"


def _find(there: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Return our channel of this name: by its tag, so that a renamed one is left alone."""
    for channel in there:
        tags = {str(tag.get("name") if isinstance(tag, dict) else tag) for tag in channel["tags"]}
        if {TAG, name} <= tags:
            return channel
    return None


def _make(web: httpx.Client, key: str, name: str) -> dict[str, Any]:
    values = {"name": _title(name), "tags": f"{TAG},{name}", "public_flag": "false"}
    answer = web.post("/channels.json", data=values, headers={"THINGSPEAKAPIKEY": key})
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def _label(web: httpx.Client, key: str, name: str, number: int) -> None:
    """Name the fields: only those with a name come back when rows are looked up."""
    labels = {f"field{one.field}": one.label for one in DEFAULTS if one.channel == name}
    headers = {"THINGSPEAKAPIKEY": key}
    web.put(f"/channels/{number}.json", data=labels, headers=headers).raise_for_status()


def _keep_key(folder: Path, name: str, channel: dict[str, Any]) -> None:
    """Write a channel's write key where only its owner can read it."""
    key = next(one["api_key"] for one in channel["api_keys"] if one["write_flag"])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"cloud_bridge__write_keys__{name}"
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(f"{key}\n")


# --- status -------------------------------------------------------------------------------------


def _status(folder: Path) -> int:
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
        quota = db.execute("SELECT value FROM memory WHERE name = 'quota'").fetchone()
    except sqlite3.Error as error:
        print(f"monitorpi thingspeak: {file} cannot be read ({error})", file=sys.stderr)
        return 3
    finally:
        db.close()
    lanes = sorted({lane for lane, *_ in counts})
    heads = " ".join(f"{state.replace('_', ' '):>10}" for state in _STATES)
    print(f"{'lane':24} {heads}  oldest unsent")
    for lane in lanes:
        found = {state: (number, first) for name, state, number, first in counts if name == lane}
        numbers = [found.get(state, (0, None))[0] for state in range(len(_STATES))]
        unsent = [found[state][1] for state in (0, 1) if state in found]
        oldest = f"{round(time.time() - min(unsent))} s ago" if unsent else "-"
        print(f"{lane:24} {' '.join(f'{number:>10}' for number in numbers)}  {oldest}")
    used = json.loads(quota[0]) if quota else {"used": 0, "year": "this year"}
    print(f"rows sent in {used['year']}: {used['used']:,}")
    return 0
