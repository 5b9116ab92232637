"""Tries each configured cloud: name, connection, TLS, and one call that changes nothing. I/O.

No key stands in a finding: keys travel in a header of the call and nowhere else.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitorpi_cli.doctor.finding import ok, parted, wrong
from monitorpi_cli.doctor.server import REFUSED, answer_of, reach
from monitorpi_cloud_bridge.sinks.clouds import reveal
from monitorpi_cloud_bridge.sinks.dialects import DIALECTS
from monitorpi_cloud_bridge.sinks.influx import authorisation
from monitorpi_cloud_bridge.sinks.thingspeak import KEY_HEADER
from monitorpi_cloud_bridge.web import client
from monitorpi_common.endpoint import Keys, unreachable
from monitorpi_common.settings import authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import httpx

    from monitorpi_cli.doctor.finding import CheckResult
    from monitorpi_cloud_bridge.settings import CloudBridgeSettings

TRY_S: Final = 8.0
_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = "cloud-bridge.ca_file"
_SILENT: Final = "try again in a minute"
_ODD: Final = "is the address right? If so, try again in a minute"
_NEW_KEYS: Final = "./monitorpi thingspeak setup fetches the keys anew"
_NEW_TOKEN: Final = "give one that may write the bucket (secret cloud_bridge__influx__token)"  # noqa: S105 - its name


def check_clouds(settings: CloudBridgeSettings) -> Iterator[CheckResult]:
    """Try what is configured; nothing where nothing is."""
    clouds = []
    if settings.channels:
        clouds.append(("ThingSpeak", settings.url, "cloud-bridge.url", _check_channels))
    if settings.influx is not None:
        clouds.append(("InfluxDB", settings.influx.url, "influx.url", _check_influx))
    for what, url, key, look in clouds:
        found = connect(what, url, key, settings.ca_file)
        yield found
        if found.mark == "ok":
            with client(settings.ca_file, TRY_S) as web:
                yield from look(web, settings)


def connect(what: str, url: str, key: str, ca_file: Path | None) -> CheckResult:
    """Connect to a server, and greet it by TLS where its address says so.

    Args:
        what: the service's name.
        url: its address.
        key: what the setting of the address is called.
        ca_file: authorities that are trusted besides the public ones.

    """
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or _PORTS[parts.scheme]
    address = authority(host, port)
    try:
        reach(host, port, TRY_S, is_tls=is_tls, ca_file=ca_file)
    except OSError as error:
        why = unreachable(error, host, tls=is_tls, keys=Keys.of_url(key, _AUTHORITY))
        return parted("cloud", f"no connection to {what} at {address}: {why}")
    return ok("cloud", f"{what} at {address} is reached {'by TLS' if is_tls else 'without TLS'}")


def _check_channels(web: httpx.Client, settings: CloudBridgeSettings) -> Iterator[CheckResult]:
    """Read no row of each channel: that needs its read key, and shows nothing but that it fits."""
    for name, number in settings.channels.items():
        what = f"ThingSpeak channel {number} ({name})"
        answers: dict[int, CheckResult] = {
            HTTPStatus.OK: ok("cloud", f"{what} can be read with its key"),
            HTTPStatus.NOT_FOUND: wrong(
                "cloud", f"{what} is not there", "check the number in cloud-bridge.channels"
            ),
            **_refusals(REFUSED, f"{what} refuses its key", _NEW_KEYS),
        }
        url = f"{settings.url.rstrip('/')}/channels/{number}/feeds.json"
        key = reveal(settings.read_keys.get(name) or settings.write_keys[name])
        yield answer_of(
            web, "cloud", what, url, answers,
            silent=_SILENT, odd=_ODD, headers={KEY_HEADER: key}, params={"results": "0"},
        )  # fmt: skip


def _check_influx(web: httpx.Client, settings: CloudBridgeSettings) -> Iterator[CheckResult]:
    """Ask for its health, with the token: version 3 wants it there too."""
    if (influx := settings.influx) is None:
        raise TypeError("no InfluxDB is configured")
    well = "InfluxDB is in health; its token shows at the first row"
    answers: dict[int, CheckResult] = {
        HTTPStatus.OK: ok("cloud", well),
        HTTPStatus.NO_CONTENT: ok("cloud", well),  # version 1, to a ping
        **_refusals(REFUSED[1:], "InfluxDB refuses the token", _NEW_TOKEN),
    }
    url = f"{influx.url.rstrip('/')}{DIALECTS[influx.version].health}"
    headers = authorisation(influx.version, reveal(influx.token) if influx.token else None)
    yield answer_of(
        web, "cloud", "InfluxDB", url, answers, silent=_SILENT, odd=_ODD, headers=headers
    )


def _refusals(statuses: Sequence[HTTPStatus], text: str, remedy: str) -> dict[int, CheckResult]:
    """Return what each of some refusals means."""
    return {status: wrong("cloud", f"{text} (HTTP {status})", remedy) for status in statuses}
