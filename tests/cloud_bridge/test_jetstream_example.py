"""The example's servers of NATS, and a site of theirs: what it may, and that its rows are kept."""

from __future__ import annotations

import gc
import re
import ssl
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from nats.errors import TimeoutError as NoAnswer
from nats.js.api import AckPolicy, ConsumerConfig
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.natsworld import NatsServer, asked
from tests.conftest import ROOT

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import destinations_of
from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "sites"

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # as in test_jetstream


@pytest.fixture
def centre(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[NatsServer]:
    """Run one of the example's servers, without the two others that it would wait for."""
    text = (EXAMPLE / "centre" / "nats.conf").read_text()
    text = re.sub(r"^cluster \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^jetstream \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = text.replace('listen: "0.0.0.0:4222"\n', "")
    for name, file in zip(("server.crt", "server.key"), certificate, strict=True):
        text = text.replace(f"/etc/nats/{name}", file)
    one = NatsServer(tmp_path / "nats", text)
    one.start()
    yield one
    one.kill()
    gc.collect()


def sink(server: NatsServer, authority: str, user: str, site: str, channel: int = 0) -> Any:
    """Return a sink of the example's settings, at this server."""
    table = tomllib.loads((EXAMPLE / "site" / "rows.toml").read_text())["cloud-bridge"]
    table["nats"] |= {
        "servers": [f"127.0.0.1:{server.port}"], "tls_ca": authority, "username": user,
        "password": f"of {user}",
    }  # fmt: skip
    return destinations_of(CloudBridgeSettings.model_validate(table), site)[channel].sink


def test_a_site_publishes_below_its_own_name(
    centre: NatsServer, certificate: tuple[str, str]
) -> None:
    """Whoever stores what comes makes the stream; a site writes its own rows, and no other's."""

    def send(user: str, site: str) -> UploadVerdict:
        one = sink(centre, certificate[0], user, site)
        body = one.prepare([OutboxRow("nats/traffic", START, {"field7": "1"})])
        verdict: UploadVerdict = one.send(body).verdict
        return verdict

    assert send("store", "store") is UploadVerdict.STORED
    assert send("berlin", "berlin") is UploadVerdict.STORED
    assert send("berlin", "paris") is UploadVerdict.FORBIDDEN


def test_a_site_finds_its_own_rows_and_no_others(
    centre: NatsServer, certificate: tuple[str, str]
) -> None:
    """What an outage left in doubt is looked up, in each channel, behind any number of rows."""
    now = int(time.time()) - 2000

    def rows(user: str, site: str, number: int, channel: int = 0) -> Any:
        one = sink(centre, certificate[0], user, site, channel)
        lane = ("nats/traffic", "nats/health")[channel]
        for first in range(0, number, 500):
            part = [
                OutboxRow(lane, now + n, {"field7": "1"})
                for n in range(first, min(first + 500, number))
            ]
            assert one.send(one.prepare(part)).verdict is UploadVerdict.STORED
        return one

    rows("store", "store", 1)  # makes the stream
    paris, health = rows("paris", "paris", 1), rows("berlin", "berlin", 1, channel=1)
    berlin = rows("berlin", "berlin", 1500)

    asked_for = [now, now + 1499, now + 1500]
    assert berlin.verify(asked_for) == {now, now + 1499}
    assert health.verify(asked_for) == {now}
    assert paris.verify(asked_for) == {now}
    with pytest.raises(RefusedError, match="permissions violation"):
        sink(centre, certificate[0], "berlin", "paris").verify(asked_for)


def test_a_site_cannot_touch_who_stores_the_rows(
    centre: NatsServer, certificate: tuple[str, str]
) -> None:
    """One that is taken over would else make it blind to all others."""
    sent = sink(centre, certificate[0], "store", "store")
    sent.send(sent.prepare([OutboxRow("nats/traffic", START, {"field7": "1"})]))
    there = {"tls": ssl.create_default_context(cafile=certificate[0])}

    async def read(stream: Any) -> None:
        await stream.pull_subscribe("monitorpi-rows.>", durable="store", stream="monitorpi-rows")

    asked([centre.port], read, user="store", password="of store", **there)

    async def take(stream: Any) -> None:
        for name in ("store", "berlin-traffic"):
            config = ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT)
            for subject in ("monitorpi-rows.>", "monitorpi-rows.berlin.traffic"):
                config.name, config.filter_subject = name, subject
                if (name, subject) != ("berlin-traffic", "monitorpi-rows.berlin.traffic"):
                    with pytest.raises(NoAnswer):
                        await stream.add_consumer("monitorpi-rows", config, timeout=1)

    asked([centre.port], take, user="berlin", password="of berlin", **there)
