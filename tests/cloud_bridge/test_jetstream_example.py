"""The example's servers of NATS, and a site of theirs: what it may, and that its rows are kept."""

from __future__ import annotations

import gc
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.natsworld import NatsServer
from tests.conftest import ROOT

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import destinations_of
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict

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


def sink(server: NatsServer, authority: str, user: str, site: str) -> Any:
    """Return the first sink of the example's settings, at this server."""
    table = tomllib.loads((EXAMPLE / "site" / "rows.toml").read_text())["cloud-bridge"]
    table["nats"] |= {
        "servers": [f"127.0.0.1:{server.port}"], "tls_ca": authority, "username": user,
        "password": f"of {user}",
    }  # fmt: skip
    return destinations_of(CloudBridgeSettings.model_validate(table), site)[0].sink


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
