"""The doctor at a cloud: name, connection, TLS, keys; and no key in anything it says."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.serving import serving

from monitorpi_cli.doctor.cloud import check_clouds, connect
from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_cli.doctor.finding import CheckResult

WRONG = "WRONG-KEY-OF-A-TEST"


@pytest.fixture
def double() -> Iterator[Double]:
    """Run a cloud with one channel."""
    with Double(Switches()) as one:
        one.cloud.add_channel("traffic", ["one"])
        yield one


def channel_of(
    double: Double, number: int | None = None, key: str | None = None
) -> list[CheckResult]:
    """Look at the double's channel, or at another number or with another key."""
    channel = next(iter(double.cloud.channels.values()))
    settings = CloudBridgeSettings(
        url=double.url,
        channels={"traffic": number or channel.id},
        write_keys={"traffic": SecretStr(channel.write_key)},
        read_keys={"traffic": SecretStr(key or channel.read_key)},
    )
    found = list(check_clouds(settings))
    said = "".join(map(str, found))
    assert channel.write_key not in said
    assert channel.read_key not in said
    assert WRONG not in said
    return found


def test_a_channel_that_opens_is_well(double: Double) -> None:
    """Reached, and read with its key; nothing is written."""
    found = channel_of(double)

    assert [one.mark for one in found] == ["ok", "ok"]
    assert "can be read with its key" in found[1].text
    assert all(request.method == "GET" for request in double.log)


def test_a_wrong_key_is_wrong(double: Double) -> None:
    """The remedy is the command that fetches keys."""
    found = channel_of(double, key=WRONG)[-1]

    assert found.mark == "wrong"
    assert "refuses its key" in found.text
    assert "thingspeak setup" in (found.remedy or "")


def test_a_channel_that_is_not_there_is_wrong(double: Double) -> None:
    """Its number is said."""
    found = channel_of(double, number=99_999_999)[-1]

    assert found.mark == "wrong"
    assert "99999999" in found.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://no-such-host.invalid", "does not resolve: check cloud-bridge.url"),
        ("http://127.0.0.1:{free}", "nobody listens there: start the server, or check"),
    ],
)
def test_a_cloud_that_is_not_reached_is_said_by_cause(url: str, words: str) -> None:
    """The setting of its address is named."""
    found = connect("ThingSpeak", url.format(free=free_port()), "cloud-bridge.url", None)

    assert found.mark == "wrong"
    assert words in str(found)


def test_a_cloud_whose_certificate_nobody_vouches_for(certificate: tuple[str, str]) -> None:
    """Until its authority is given."""
    with Double(Switches(), certificate=certificate) as double:
        refused = connect("ThingSpeak", double.url, "cloud-bridge.url", None)
        taken = connect("ThingSpeak", double.url, "cloud-bridge.url", Path(certificate[0]))

    assert (refused.mark, taken.mark) == ("wrong", "ok")
    assert "cloud-bridge.ca_file" in str(refused)


@contextmanager
def influx(status: int) -> Iterator[str]:
    """Serve an answer to everything; yields the address."""
    with serving(lambda path, _: (status if path == "/health" else 404, b"")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("status", "mark", "words"),
    [
        (200, "ok", "in health"),
        (401, "wrong", "refuses the token"),
        (503, "wrong", "answers HTTP 503"),
    ],
)
def test_influx_is_asked_for_its_health(status: int, mark: str, words: str) -> None:
    """The token is in no line."""
    with influx(status) as url:
        settings = CloudBridgeSettings.model_validate({"influx": {"url": url, "token": WRONG}})
        reached, found = check_clouds(settings)

    assert (reached.mark, found.mark) == ("ok", mark)
    assert words in found.text
    assert WRONG not in str(found)


def test_nothing_is_called_where_nothing_is_configured() -> None:
    """No network without a cloud."""
    assert list(check_clouds(CloudBridgeSettings())) == []
