"""Tries each configured cloud: name, connection, TLS, and one call that changes nothing. I/O.

No key stands in a finding: keys travel in a header of the call and nowhere else.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitorpi_cli.doctor.finding import CheckResult
from monitorpi_cloud_bridge.sinks.clouds import reveal
from monitorpi_cloud_bridge.sinks.dialects import DIALECTS
from monitorpi_cloud_bridge.sinks.influx import authorization
from monitorpi_cloud_bridge.sinks.thingspeak import KEY_HEADER
from monitorpi_cloud_bridge.sinks.web import SHORT_BYTES, NoAnswerError, ask, client, trusted
from monitorpi_common.endpoint import Keys, unreachable
from monitorpi_common.settings import authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from monitorpi_cloud_bridge.settings import CloudBridgeSettings

TRY_S: Final = 8.0
_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = "cloud-bridge.ca_file"


def look_at_clouds(settings: CloudBridgeSettings) -> Iterator[CheckResult]:
    """Try what is configured; nothing where nothing is."""
    if settings.channels:
        found = connect("ThingSpeak", settings.url, "cloud-bridge.url", settings.ca_file)
        yield found
        if found.mark == "ok":
            with client(settings.ca_file, TRY_S) as web:
                for name in settings.channels:
                    yield _look_at_channel(web, settings, name)
    if settings.influx is not None:
        found = connect("InfluxDB", settings.influx.url, "influx.url", settings.ca_file)
        yield found
        if found.mark == "ok":
            with client(settings.ca_file, TRY_S) as web:
                yield _look_at_influx(web, settings)


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
        with socket.create_connection((host, port), TRY_S) as plain:
            if is_tls:
                trusted(ca_file).wrap_socket(plain, server_hostname=host).close()
    except OSError as error:
        why = unreachable(error, host, tls=is_tls, keys=Keys.of_url(key, _AUTHORITY))
        return CheckResult.parted("wrong", "cloud", f"no connection to {what} at {address}: {why}")
    how = "by TLS" if is_tls else "without TLS"
    return CheckResult("ok", "cloud", f"{what} at {address} is reached {how}")


def _look_at_channel(web: httpx.Client, settings: CloudBridgeSettings, name: str) -> CheckResult:
    """Read no row of a channel: that needs its read key, and shows nothing but that it fits."""
    number = settings.channels[name]
    what = f"ThingSpeak channel {number} ({name})"
    key = settings.read_keys.get(name) or settings.write_keys[name]
    url = f"{settings.url.rstrip('/')}/channels/{number}/feeds.json"
    try:
        answer = ask(
            web, "GET", url, params={"results": "0"}, headers={KEY_HEADER: reveal(key)},
            most=SHORT_BYTES,
        )  # fmt: skip
    except NoAnswerError as error:
        return _silent(what, error)
    match answer.status:
        case HTTPStatus.OK:
            return CheckResult("ok", "cloud", f"{what} can be read with its key")
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return CheckResult(
                "wrong", "cloud", f"{what} refuses its key (HTTP {answer.status})",
                "./monitorpi thingspeak setup fetches the keys anew",
            )  # fmt: skip
        case HTTPStatus.NOT_FOUND:
            return CheckResult(
                "wrong",
                "cloud",
                f"{what} is not there",
                "check the number in cloud-bridge.channels",
            )
    return _odd(what, answer.status)


def _look_at_influx(web: httpx.Client, settings: CloudBridgeSettings) -> CheckResult:
    """Ask for its health, with the token: version 3 wants it there too."""
    influx = settings.influx
    if influx is None:
        raise TypeError("no InfluxDB is configured")
    token = {}
    if influx.token:
        token = {"Authorization": authorization(influx.version, reveal(influx.token))}
    try:
        url = f"{influx.url.rstrip('/')}{DIALECTS[influx.version].health}"
        answer = ask(web, "GET", url, headers=token, most=SHORT_BYTES)
    except NoAnswerError as error:
        return _silent("InfluxDB", error)
    match answer.status:
        case HTTPStatus.OK | HTTPStatus.NO_CONTENT:  # version 1 says so to a ping
            return CheckResult(
                "ok", "cloud", "InfluxDB is in health; its token shows at the first row"
            )
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return CheckResult(
                "wrong", "cloud", f"InfluxDB refuses the token (HTTP {answer.status})",
                "give one that may write the bucket (secret cloud_bridge__influx__token)",
            )  # fmt: skip
    return _odd("InfluxDB", answer.status)


def _silent(what: str, error: NoAnswerError) -> CheckResult:
    return CheckResult(
        "wrong", "cloud", f"{what} does not answer ({error})", "try again in a minute"
    )


def _odd(what: str, status: int) -> CheckResult:
    return CheckResult(
        "wrong", "cloud", f"{what} answers HTTP {status}",
        "is the address right? If so, try again in a minute",
    )  # fmt: skip
