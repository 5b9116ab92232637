"""A site of ``bench outages``: publishes as capture, prober and detector do, by its own clock."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from monitorpi_common.dial import client_of
from monitorpi_common.examples import example
from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Message,
    Probe,
    Target,
    WatchState,
    Wire,
)
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    import paho.mqtt.client as mqtt

MessageT = TypeVar("MessageT", bound=Message)
CLASSES: Final = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http", "https")
"""What the mapping's channel `traffic` counts."""
SERVICES: Final = ("capture", "prober", "detector")
_INTERFACE: Final = "eth0"
_EPOCH: Final = "5f1c09a2b7d4"
_MOST_A_CLASS: Final = 1000
_LEAST_WINDOW_S: Final = 0.001
_MINUTE_S: Final = 60
_ROUND_S: Final = 10
_WATCH_S: Final = 3
_ALERT_EVERY_S: Final = 12
_ALERT_OPEN_S: Final = 30
_ALERTS: Final = 5
_FLUSHED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class PlayedSite:
    """Who plays, where its broker is, and how much there is to say."""

    site: str
    port: int
    passwords: dict[str, str]
    """Of the accounts of its broker."""
    seed: int
    devices: int


@dataclass(slots=True)
class SiteTruth:
    """What a site has published, as it knows it itself."""

    counts: Counter[str] = field(default_factory=Counter)
    """Frames of each class in all its windows."""
    windows: int = 0
    messages: int = 0
    states: dict[str, str] = field(default_factory=dict)
    """The last word of each retained topic."""
    stories: dict[str, list[str]] = field(default_factory=dict)
    """Every word of each alert's topic, in order."""


class SitePlayer:
    """Publishes, a second at a time."""

    def __init__(self, plan: PlayedSite) -> None:
        self.truth = SiteTruth()
        self._plan = plan
        self._dice = random.Random(plan.seed)  # noqa: S311 - repeatable on purpose
        self._clients = {service: self._client(service) for service in SERVICES}
        self._totals: Counter[str] = Counter()
        self._since: dict[int, datetime] = {}
        """When alerts were opened, by their number."""
        self._end = datetime.now(UTC) - timedelta(seconds=1)

    def _client(self, service: str) -> mqtt.Client:
        account = BrokerSettings.model_validate(
            {
                "host": "127.0.0.1", "port": self._plan.port, "username": service,
                "password": self._plan.passwords[service],
            }
        )  # fmt: skip
        client = client_of(account, f"played-{service}", comes_back=True)
        status = str(Topic(self._plan.site, service, "status", "main"))
        client.will_set(status, b"offline", qos=1, retain=True)
        client.connect("127.0.0.1", self._plan.port)
        client.loop_start()
        self._be(service, client, "online")
        return client

    def second(self, number: int) -> None:
        """Say what a site says in a second."""
        now = datetime.now(UTC)
        self._window(number, now)
        for each in range(number % _MINUTE_S, self._plan.devices, _MINUTE_S):
            self._device(each, now)
        if number % _ROUND_S == 0:
            self._round(number // _ROUND_S, now)
        if number % _WATCH_S == 0:
            self._watch(now)
        if number % _ALERT_EVERY_S == 0:
            self._alert(number // _ALERT_EVERY_S % _ALERTS, "open", now, opened=now)
        for each, opened in list(self._since.items()):
            if now - opened >= timedelta(seconds=_ALERT_OPEN_S):
                self._alert(each, "closed", now, opened=self._since.pop(each))
            elif number % _ROUND_S == 0:
                self._alert(each, "open", now, opened=opened)

    def close(self) -> None:
        """Say that nobody is there any more, and wait until the broker has all."""
        for service, client in self._clients.items():
            self._be(service, client, "offline")
            client.disconnect()

    def _be(self, service: str, client: mqtt.Client, word: str) -> None:
        """Publish a service's status."""
        topic = str(Topic(self._plan.site, service, "status", "main"))
        client.publish(topic, word, qos=1, retain=True).wait_for_publish(_FLUSHED_S)
        self.truth.states[topic] = word

    # --- messages -----------------------------------------------------------------------------

    def _window(self, number: int, now: datetime) -> None:
        counts = {name: self._dice.randrange(_MOST_A_CLASS) for name in CLASSES}
        packets = sum(counts.values())
        self._totals.update(counts, packets=packets, bytes=100 * packets)
        start, self._end = self._end, now
        self._say(
            "capture",
            _INTERFACE,
            Wire,
            {
                "epoch": _EPOCH,
                "seq": number,
                "start": start,
                "end": now,
                "clock_synced": True,
                "window_s": max((now - start) / timedelta(seconds=1), _LEAST_WINDOW_S),
                "interface": _INTERFACE,
                "packets": packets,
                "bytes": 100 * packets,
                "counts": counts,
                "kernel_drops": 0,
                "totals": dict(self._totals),
            },
        )
        self.truth.counts.update(counts)
        self.truth.windows += 1

    def _device(self, each: int, now: datetime) -> None:
        mac = f"02:00:00:00:00:{each:02x}"
        self._say("capture", mac.replace(":", ""), Device, {"mac": mac, "last_seen": now})
        address = f"192.168.1.{each}"
        self._say("prober", address.replace(".", "-"), Target, {"address": address, "at": now})

    def _round(self, number: int, now: datetime) -> None:
        self._say(
            "prober",
            "main",
            Probe,
            {
                "epoch": _EPOCH,
                "seq": number,
                "round_start": now - timedelta(seconds=1),
                "round_end": now,
                "clock_synced": True,
            },
        )

    def _watch(self, now: datetime) -> None:
        self._say("detector", "main", WatchState, {"state": "watching", "reasons": [], "at": now})
        self._say(
            "detector", "main", Health, {"at": now, "detail": {"open_alerts": len(self._since)}}
        )

    def _alert(self, each: int, state: str, now: datetime, opened: datetime) -> None:
        key = f"syn-flood-0200000000{each:02x}"
        if state == "open":
            self._since[each] = opened
        topic, text = self._say(
            "detector",
            key,
            Alert,
            {
                "key": key,
                "state": state,
                "opened_at": opened,
                "at": now,
                "closed_at": now if state == "closed" else None,
                "close_reason": "quiet" if state == "closed" else None,
                "summary": f"word {self.truth.messages}",
            },
        )
        self.truth.stories.setdefault(topic, []).append(text)

    def _say(
        self, service: str, id_: str, kind: type[MessageT], changes: dict[str, Any]
    ) -> tuple[str, str]:
        """Publish an example with changes; returns topic and text."""
        word = kind.model_validate(example(kind).model_dump() | changes)
        topic = str(Topic(self._plan.site, service, kind.KIND, id_))
        payload, delivery = word.encode(), kind.DELIVERY
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
        if word.expiry_s is not None:
            properties.MessageExpiryInterval = word.expiry_s
        self._clients[service].publish(
            topic, payload, qos=delivery.qos, retain=delivery.retain, properties=properties
        )
        self.truth.messages += 1
        if delivery.retain:
            self.truth.states[topic] = payload.decode()
        return topic, payload.decode()


def play(plan: PlayedSite) -> SiteTruth:
    """Publish until our input ends."""
    player, over = SitePlayer(plan), threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    began_s, number = time.monotonic(), 0
    while not over.wait(max(0.0, began_s + number - time.monotonic())):
        player.second(number)
        number += 1
    player.close()
    return player.truth


def main() -> None:
    """Play the site that the first line of our input describes; print the truth as one line."""
    plan = PlayedSite(**json.loads(sys.stdin.readline()))
    truth = play(plan)
    print(
        json.dumps(
            {
                "counts": truth.counts,
                "windows": truth.windows,
                "messages": truth.messages,
                "states": truth.states,
                "stories": truth.stories,
            }
        )
    )


if __name__ == "__main__":
    main()
