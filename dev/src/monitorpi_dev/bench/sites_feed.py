"""The two programs of ``bench sites``: many sites that publish, and who stores what they say."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from nats.aio.client import Client
from nats.js.api import Header

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.mapping import DEFAULTS
from monitorpi_cloud_bridge.sinks.rowjson import RowForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

PREFIX: Final = "monitorpi-rows"
MINUTE_S: Final = 60.0
ROWS: Final = ("traffic", "health")
ROW_VALUES: Final = 8
_UNACKNOWLEDGED: Final = 64
_BATCH: Final = 50
_IDLE_S: Final = 10.0
_ANSWER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class SitesLoad:
    """What is sent: each minute, and spread over it, a message of devices and two rows a site."""

    sites: int
    devices: int
    values: int
    """Of each device, a minute."""
    seconds: float
    servers: list[str]
    """Addresses of the servers of NATS."""
    store: str
    """Address of VictoriaMetrics."""

    @property
    def site_minutes(self) -> int:
        """Minutes of single sites, in all."""
        return round(self.seconds * self.sites / MINUTE_S)

    @property
    def samples(self) -> int:
        """Values in all."""
        return self.site_minutes * (self.devices * self.values + len(ROWS) * ROW_VALUES)


@dataclass(slots=True)
class Latencies:
    """Seconds that something took, each time."""

    seconds: list[float] = field(default_factory=list)

    def quantiles(self) -> dict[str, float]:
        """Return half, nearly all and the longest."""
        found = sorted(self.seconds) or [0.0]
        last = len(found) - 1
        return {"p50": found[last // 2], "p99": found[last * 99 // 100], "most": found[-1]}


# --- the sites ------------------------------------------------------------------------------------


async def publish(load: SitesLoad) -> dict[str, Any]:
    """Publish as so many sites do; returns how long acknowledgements took."""
    client = Client()
    await client.connect(servers=load.servers)
    stream, took, limit = client.jetstream(), Latencies(), asyncio.Semaphore(_UNACKNOWLEDGED)
    forms = {
        name: {f"field{one.field}": one.label for one in DEFAULTS if one.channel == name}
        for name in ROWS
    }
    dice = random.Random(1)  # noqa: S311 - repeatable on purpose
    began_s, late_s, tasks = time.time(), 0.0, []
    for number in range(load.site_minutes):
        due_s = began_s + number * MINUTE_S / load.sites
        await asyncio.sleep(max(0.0, due_s - time.time()))
        late_s = max(late_s, time.time() - due_s)
        site, second = f"s{number % load.sites:05d}", int(due_s)
        said = [("devices", f"{site}/devices/{second}", _devices(load, site, second, dice))]
        for name, labels in forms.items():
            values = {key: str(dice.randrange(10**4)) for key in labels}
            form = RowForm(f"{site}/{name}", labels)
            said.append((name, form.id(second), form.line(OutboxRow("", second, values))))
        for kind, id_, payload in said:
            await limit.acquire()
            sent = _send(stream, f"{PREFIX}.{site}.{kind}", id_, payload, took, limit)
            tasks.append(asyncio.create_task(sent))
    await asyncio.gather(*tasks)
    await client.close()
    return {"messages": len(tasks), "acknowledged_s": took.quantiles(), "late_s": late_s}


def _devices(load: SitesLoad, site: str, second: int, dice: random.Random) -> bytes:
    number = int(site[1:])
    values = {
        f"0200{number:04x}{device:04x}": [dice.randrange(10**6) for _ in range(load.values)]
        for device in range(load.devices)
    }
    head = {"id": f"{site}/devices/{second}", "second": second, "sent": time.time()}
    return json.dumps({**head, "devices": values}).encode()


async def _send(
    stream: JetStreamContext, subject: str, id_: str, payload: bytes, took: Latencies,
    limit: asyncio.Semaphore,
) -> None:  # fmt: skip
    """Publish one message and wait for the stream to have it."""
    began_s = time.monotonic()
    try:
        headers = {Header.MSG_ID.value: id_}
        await stream.publish(subject, payload, timeout=_ANSWER_S, headers=headers)
    finally:
        limit.release()
    took.seconds.append(time.monotonic() - began_s)


# --- who stores it --------------------------------------------------------------------------------


async def store(load: SitesLoad) -> dict[str, Any]:
    """Write what comes in the stream into VictoriaMetrics, until nothing more comes."""
    client, lag, pending, messages = Client(), Latencies(), 0, 0
    await client.connect(servers=load.servers)
    reader = await client.jetstream().pull_subscribe(f"{PREFIX}.>", durable="store")
    async with httpx.AsyncClient(timeout=_ANSWER_S, trust_env=False) as web:
        while True:
            try:
                batch = await reader.fetch(_BATCH, timeout=_IDLE_S)
            except TimeoutError:
                break
            lines, sent = _lines(batch)
            answer = await web.post(f"{load.store}/write?precision=s", content=lines)
            if answer.status_code != httpx.codes.NO_CONTENT:
                raise RuntimeError(f"VictoriaMetrics: {answer.status_code} {answer.text[:200]}")
            lag.seconds += [time.time() - at_s for at_s in sent]
            for message in batch:
                await message.ack()
            messages += len(batch)
            pending = max(pending, batch[-1].metadata.num_pending)
    await client.close()
    return {"messages": messages, "lag_s": lag.quantiles(), "pending": pending}


def _lines(batch: Sequence[Msg]) -> tuple[bytes, list[float]]:
    """Return messages as InfluxDB's lines, and when those of devices were sent."""
    lines: list[str] = []
    sent: list[float] = []
    for message in batch:
        _, site, kind = message.subject.split(".")
        said = json.loads(message.data)
        if kind != "devices":
            values = ",".join(
                f"{label.replace(' ', '_')}={value}" for label, value in said["values"].items()
            )
            lines.append(f"{kind},site={site} {values} {said['second']}")
            continue
        sent.append(said["sent"])
        for mac, device in said["devices"].items():
            values = ",".join(f"v{number}={value}" for number, value in enumerate(device))
            lines.append(f"device,site={site},mac={mac} {values} {said['second']}")
    return "\n".join(lines).encode(), sent
