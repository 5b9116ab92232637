"""The page of a stack that `up` runs: what is asked there goes through the broker's access rules.

On real frames, and over a restart of everything.
"""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.request
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_lab import flood

if TYPE_CHECKING:
    from tests.system.up.conftest import Start, Up

    from monitorpi_lab.lan import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SLOT_S = 10


def fetch(one: Up, path: str, args: dict[str, Any] | None = None) -> tuple[int, str]:
    """Ask the page, or send it a command, from the machine it runs on."""
    (line,) = [line for line in one.lines if line.startswith("  page ")]
    body = None if args is None else json.dumps(args).encode()

    def ask() -> tuple[int, str]:
        request = urllib.request.Request(  # noqa: S310 - of our own page
            line.split()[1] + path, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the same
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return one.lab.sensor.call(ask)


def state(one: Up) -> Any:
    """Return the picture."""
    return json.loads(fetch(one, "api/state")[1])


def test_what_is_asked_on_the_page_is_done(up: Start, lab: Lab) -> None:
    """Frames are shown, a device is named, an alert silenced, a threshold set; all but frames stay.

    Each as the dashboard's own account, which the broker lets do no more.
    """
    one = up()
    for service in ("capture", "detector", "dashboard", "history"):
        one.online(service)
    attacker, victim = lab.hosts[3], lab.hosts[1]
    subject = attacker.mac.replace(":", "")
    wait_for(lambda: subject in state(one)["devices"] or attacker.mac in state(one)["devices"], 60)

    mark = {"mac": attacker.mac, "name": "the camera", "known": True}
    assert fetch(one, "api/order/capture/mark", mark) == (200, "{}")
    assert fetch(one, "api/order/capture/watch", {"seconds": 30}) == (200, "{}")

    def lines() -> list[Any]:
        return list(json.loads(fetch(one, "api/packets?after=0")[1])["lines"])

    wait_for(lines, 20, "frames")
    assert all("mac_src" in line for line in lines())
    floor = {"rule": "icmp-flood", "floor": 4321}
    assert fetch(one, "api/order/detector/set_threshold", floor) == (200, "{}")

    def health() -> dict[str, Any]:
        services = state(one)["services"]
        return (services["detector/main"]["health"] or {}).get("detail", {})  # type: ignore[no-any-return]

    def has_floor() -> bool:
        return bool(health().get("thresholds") == {"icmp-flood": {"floor": 4321}})

    wait_for(has_floor, 10, "the threshold in health")
    assert health()["configured_floors"]["icmp-flood"] == 50

    running = flood.start(attacker, flood.flood_between(attacker, victim, "syn", 1000, seconds=15))
    key = f"syn-flood-{subject}"
    wait_for(lambda: any(a["key"] == key for _, a in one.alerts()), 15, "the alert")
    assert fetch(one, "api/order/detector/silence", {"key": key, "minutes": 60}) == (200, "{}")
    wait_for(
        lambda: [a["close_reason"] for _, a in one.alerts() if a["state"] == "closed"]
        == ["silenced"],
        10, "the alert to be closed",
    )  # fmt: skip
    running.wait()
    assert [a["state"] for _, a in one.alerts() if a["key"] == key][-1] == "closed"

    assert one.stop() == 0
    again = up()
    for service in ("detector", "dashboard", "history"):
        again.online(service)
    wait_for(lambda: state(again)["services"].get("detector/main", {}).get("health"), 20)
    services = state(again)["services"]
    detail = services["detector/main"]["health"]["detail"]
    assert detail["thresholds"] == {"icmp-flood": {"floor": 4321}}
    assert list(detail["silences"]) == [key]
    named = [d["hostname"] for d in state(again)["devices"].values() if d["mac"] == attacker.mac]
    assert named == ["the camera"]

    def remembered() -> list[Any]:
        status, text = fetch(again, "api/history/alerts?from=-1h")
        return list(json.loads(text)["alerts"]) if status == 200 else []

    (kept,) = wait_for(remembered, 20, "the history")
    assert (kept["key"], kept["close_reason"]) == (key, "silenced")
    back = {"rule": "icmp-flood", "reset": True}
    assert fetch(again, "api/order/detector/set_threshold", back) == (200, "{}")


Sums = Counter[tuple[str, str]]
"""By MAC address and column."""


def told(windows: list[dict[str, Any]], first: float, last: float) -> Sums:
    """Add up what windows say of a span."""
    found: Sums = Counter()
    for window in windows:
        if first <= datetime.fromisoformat(window["start"]).timestamp() < last:
            for row in window["devices"]:
                for way in ("tx", "rx"):
                    for name, value in row.get(way, {}).items():
                        found[row["mac"], f"{way}_{name}"] += value
    return found


def saved(one: Up, first: float, last: float) -> Sums:
    """Add up what is saved of it on the page."""
    status, text = fetch(
        one, f"api/history/traffic?step=10&format=csv&from={first:.0f}&to={last:.0f}"
    )
    found: Sums = Counter()
    for row in csv.DictReader(io.StringIO(text)) if status == 200 else ():
        for name, value in row.items():
            if name.startswith(("tx_", "rx_")) and int(value):
                found[row["mac"], name] += int(value)
    return found


def test_sums_of_csv_are_those_of_the_brokers_messages(up: Start, lab: Lab) -> None:
    """Of each device and class, in all ten seconds of which every window was seen."""
    one = up(MONITORPI_TRUST_CLOCK="true")
    for service in ("capture", "history", "dashboard"):
        one.online(service)
    attacker, victim = lab.hosts[3], lab.hosts[1]
    running = flood.start(attacker, flood.flood_between(attacker, victim, "syn", 300, seconds=5))
    wait_for(lambda: len(one.of("capture/traffic/")) >= 35, 60, "half a minute of windows")
    running.wait()
    windows = [json.loads(text) for _, text in one.of("capture/traffic/")]
    begins = [datetime.fromisoformat(window["start"]).timestamp() for window in windows]
    first, last = begins[0] // SLOT_S * SLOT_S + SLOT_S, begins[-1] // SLOT_S * SLOT_S
    assert last - first >= 2 * SLOT_S
    assert len({window["epoch"] for window in windows}) == 1
    assert [one["seq"] for one in windows] == list(range(windows[0]["seq"], windows[-1]["seq"] + 1))
    sent = told(windows, first, last)

    wait_for(
        lambda: saved(one, first, last).total() >= sent.total(), 60, "the last of it to be written"
    )
    assert saved(one, first, last) == sent
    assert len(sent) > 20
