"""Seeded faults for processes of several services, and a LAN that they have to see meanwhile."""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from tests.contract.test_detector import ATTACKER, VICTIM

from monitorpi_common.messages import timestamp

if TYPE_CHECKING:
    import random
    import subprocess
    from collections.abc import Callable

SITE: Final = "monitorpi/v1/lab"
FLOOD_SYNS: Final = 500
FLOOD_S: Final = 35
CALM_S: Final = 45
"""Longer than a detector may be missed, and the quiet time behind it."""
LONGEST_FREEZE_S: Final = 25.0
RECOVERY_S: Final = 8.0
"""Until whoever was frozen or killed is back; one fault at a time for each service."""


class PlayedLan:
    """Windows of a second, with a flood now and then; and what the services say, as it comes."""

    def __init__(self, port: int) -> None:
        self.syns = self.floods = 0
        self.is_flooded = self.may_flood = False
        self.online: set[str] = set()
        """Services that have been there."""
        self.stories: dict[str, list[str]] = {}
        """States of each flood's alert by its id, each change once."""
        self.probed_s: dict[str, float] = {}
        self.worst_s: dict[str, float] = {}
        """The longest time between two results, by target."""
        self._end = datetime.now(UTC)
        self._over = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        for kind in ("prober/probe", "detector/alert", "+/status"):
            self._client.subscribe(f"{SITE}/{kind}/+", qos=1)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        number, since = 0, 0
        while not self._over.wait(1.0):
            since = since + 1 if self.may_flood else 0
            flooded = since > 3 and (since - 4) % (FLOOD_S + CALM_S) < FLOOD_S
            self.floods += flooded and not self.is_flooded
            self.is_flooded = flooded
            self._window(number, FLOOD_SYNS if flooded else 0)
            number += 1

    def _window(self, number: int, syns: int) -> None:
        start, self._end = self._end, datetime.now(UTC)
        self.syns += syns
        tally = {"packets": syns, "bytes": 60 * syns, "tcp": syns, "syn": syns}
        row = {
            "mac": ATTACKER, "tx": tally, "rx": {},
            "spread": {"src_ips": 1, "dst_ips": 1, "dst_ports": 1},
            "top_peer": {"syn": {"mac": VICTIM, "ip": "198.18.0.2", "port": 80, "packets": syns}},
        }  # fmt: skip
        wire = {
            "epoch": "e1", "seq": number, "start": timestamp(start), "end": timestamp(self._end),
            "window_s": (self._end - start) / timedelta(seconds=1), "clock_synced": True,
            "interface": "eth0", "engine": "socket", "packets": syns, "bytes": 60 * syns,
            "counts": {"tcp": syns, "syn": syns} if syns else {},
            "totals": {"packets": self.syns, "syn": self.syns, "tcp": self.syns},
        }  # fmt: skip
        traffic = wire | {"devices": [row] if syns else []}
        for kind, window in (("wire", wire), ("traffic", traffic)):
            self._client.publish(f"{SITE}/capture/{kind}/eth0", json.dumps(window), qos=1)

    def _take(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.payload or "/status/" in message.topic:
            self.online.add(message.topic.split("/")[3])
            return
        said, now_s = json.loads(message.payload), time.monotonic()
        if "/probe/" in message.topic:
            for one in said["targets"]:
                name = one["address"]
                gap_s = now_s - self.probed_s.get(name, now_s)
                self.probed_s[name] = now_s
                self.worst_s[name] = max(self.worst_s.get(name, 0.0), gap_s)
            return
        if said["rule"] != "syn-flood":
            return  # that a service is missing is told, too, while all of its processes are
        story = self.stories.setdefault(said["id"], [])
        if story[-1:] != [said["state"]]:
            story.append(said["state"])

    def stop(self) -> None:
        """End the thread and the connection."""
        self._over.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Fleet:
    """The processes of one service, what becomes of them, and who starts them again."""

    service: str
    wanted: int
    start: Callable[[], subprocess.Popen[Any]]
    dice: random.Random
    every_s: float
    """Between two faults, on the average."""
    faults: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """Exit codes of those that ended by themselves."""
    _running: list[subprocess.Popen[Any]] = field(default_factory=list)
    _ended: list[subprocess.Popen[Any]] = field(default_factory=list)
    _frozen: subprocess.Popen[Any] | None = None
    _thaw_s: float = 0.0
    _next_s: float = 0.0
    _start_s: float = 0.0

    def tend(self, now_s: float, *, calm: bool = False) -> None:
        """Start what is missing, thaw what was frozen for long enough, do the next fault."""
        for process in [one for one in self._running if one.poll() is not None]:
            self._running.remove(process)
            if process not in self._ended:
                self.codes.append(process.returncode)
        if self._frozen is not None and (calm or now_s >= self._thaw_s):
            self._frozen.send_signal(signal.SIGCONT)
            self._frozen, self._next_s = None, now_s + RECOVERY_S
        if len(self._running) < self.wanted and now_s >= self._start_s:
            self._running.append(self.start())
            self._start_s = now_s + 1.0
        if not calm and self._frozen is None and self._next_s and now_s >= self._next_s:
            self._next_s = now_s + RECOVERY_S + self.dice.expovariate(1 / self.every_s)
            self._fault(now_s)
        self._next_s = self._next_s or now_s + RECOVERY_S

    def _fault(self, now_s: float) -> None:
        what = self.dice.choice(["kill", "freeze", "remove", "add"])
        victim = self.dice.choice(self._running)
        self.faults.append(what)
        match what:
            case "freeze":
                victim.send_signal(signal.SIGSTOP)
                self._frozen = victim
                self._thaw_s = now_s + self.dice.uniform(2, LONGEST_FREEZE_S)
                return
            case "add":
                self._running.append(self.start())
                return
            case "kill":
                victim.kill()
            case _:
                victim.terminate()
        self._ended.append(victim)
        self._start_s = now_s + self.dice.uniform(0.5, 5)
