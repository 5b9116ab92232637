"""What ``up`` makes of command line and configuration, without running it."""

from __future__ import annotations

import argparse
import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.stack import broker, preflight
from monitorpi_cli.stack.console import alert_line
from monitorpi_cli.stack.plan import ON_DEMAND, StackPlan, make_plan
from monitorpi_cli.stack.stack import Stack
from monitorpi_cli.stack.up import greeting
from monitorpi_cli.table import Terminal
from monitorpi_common import settings
from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Service
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import BrokerSettings, ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what is configured on this machine out of the tests."""
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "default.toml")
    monkeypatch.setattr(settings, "DEFAULT_SECRETS", tmp_path / "no-secrets")
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path / "state"))


def plan(config: Path | None = None, site: str | None = None) -> StackPlan:
    """Plan as for a command line with these options."""
    return make_plan(argparse.Namespace(config=config, site=site, interface=None, scale=None))


def test_without_a_cloud_its_bridge_is_not_run() -> None:
    """No configuration: every service but the one that would have nothing to do."""
    assert set(plan().services) == set(Service) - set(ON_DEMAND)


CLOUD = 'channels = { traffic = 1 }\nwrite_keys = { traffic = "KEY" }\n'


def test_a_secret_alone_is_a_destination(tmp_path: Path) -> None:
    """Whom to tell of alerts stands in a secret: its file switches the notifier on."""
    folder = tmp_path / "state" / "secrets" / "notifier"
    folder.mkdir(parents=True)
    (folder / "notifier__destinations__phone__url").write_text("ntfy://x")

    assert Service.NOTIFIER in plan().services


def test_home_assistant_switched_off_is_cleared_once(tmp_path: Path) -> None:
    """What was announced is taken back by a last run, whose file then is gone."""
    folder = tmp_path / "state" / "home-assistant"
    folder.mkdir(parents=True)
    assert Service.HOME_ASSISTANT not in plan().services
    (folder / "announced.json").write_text('["homeassistant/device/x/config"]')

    off = plan()

    assert Service.HOME_ASSISTANT in off.services
    assert off.environment[Service.HOME_ASSISTANT] == {"MONITORPI_HOME_ASSISTANT__ENABLED": "false"}


@pytest.mark.parametrize("table", ["cloud-bridge", "cloud_bridge"])
def test_a_configured_cloud_is_run(tmp_path: Path, table: str) -> None:
    """The table may be spelled either way."""
    file = tmp_path / "own.toml"
    file.write_text(f"[{table}]\n{CLOUD}")

    assert Service.CLOUD_BRIDGE in plan(file).services


def test_the_default_file_counts_too(tmp_path: Path) -> None:
    """A cloud configured in the machine's own file needs no option."""
    (tmp_path / "default.toml").write_text(f"[cloud-bridge]\n{CLOUD}")

    assert Service.CLOUD_BRIDGE in plan().services


def test_a_cloud_configured_by_environment_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables count as much as a file."""
    monkeypatch.setenv("MONITORPI_CLOUD_BRIDGE__INFLUX__URL", "http://127.0.0.1:8086")

    assert Service.CLOUD_BRIDGE in plan().services


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.1"])
def test_a_broker_on_loopback_is_our_own(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """However loopback is spelled, ``up`` runs the broker there."""
    monkeypatch.setenv("MONITORPI_BROKER__HOST", host)

    assert plan().other_broker is None


@pytest.mark.parametrize(
    "variables",
    [
        {"HOST": "192.0.2.1"},
        {"TLS_CA": "CERTIFICATE"},
        {"USERNAME": "somebody"},
        {"PASSWORD": "theirs"},
        {"OWN": "false"},
    ],
)
def test_a_broker_elsewhere_or_with_users_of_its_own_is_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], certificate: tuple[str, str]
) -> None:
    """Such a broker is used as configured, on this machine too."""
    for name, value in variables.items():
        given = value.replace("CERTIFICATE", certificate[0])
        monkeypatch.setenv(f"MONITORPI_BROKER__{name}", given)

    assert plan().other_broker is not None


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    """A full disk, or something in the place of a folder: the remedy, and the lock is let go."""
    (tmp_path / "state").mkdir()
    made = plan()
    (tmp_path / "state" / "secrets").write_text("no folder")

    for _ in range(2):
        with pytest.raises(ResourceError, match="make room on its disk"):
            Stack(made, lambda _: None)


OWN_FILES = (
    "lock", "secrets", "secrets/capture", "secrets/capture/broker__password",
    "secrets/capture/broker__password.draft", "broker", "broker/mosquitto.conf", "broker/acl",
    "broker/passwords", "detector",
)  # fmt: skip


@pytest.mark.parametrize("name", OWN_FILES)
@pytest.mark.parametrize("kind", ["pipe", "folder", "file", "nowhere", "itself"])
def test_whatever_lies_in_place_of_a_file_is_not_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    """It is used, replaced, or named in one line with what to do."""
    state = tmp_path / "state"
    place = state / name
    place.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "file":
            place.write_text("something")
        case "nowhere":
            place.symlink_to(tmp_path / "nowhere")
        case "itself":
            place.symlink_to(place)

    told = str(place)
    try:
        asyncio.run(Stack(plan(), lambda _: None).stop())
    except (ResourceError, ConfigurationError) as error:
        told = str(error)

    assert str(place) in told
    assert "\n" not in told


def test_nobody_else_can_hold_the_lock(tmp_path: Path) -> None:
    """A lock file that everybody may read is one that everybody may keep us from starting with."""
    (tmp_path / "state" / "secrets").mkdir(parents=True)
    (tmp_path / "state" / "lock").touch(mode=0o644)

    stack = Stack(replace(plan(), services=(), other_broker=BrokerSettings()), lambda _: None)
    asyncio.run(stack.stop())

    assert (tmp_path / "state" / "lock").stat().st_mode & 0o777 == 0o600


def taken(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let it look as if others listened on these ports."""
    monkeypatch.setattr(broker, "port_is_free", lambda port, _address="": port not in ports)


def test_a_taken_page_port_is_passed_by_and_the_true_one_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with the broker's: the page moves on, and what is printed is where it is."""
    taken(monkeypatch, 1883, 8080, 8081)

    one = plan()

    assert one.page == "http://127.0.0.1:8082/"
    assert one.environment[Service.DASHBOARD] == {"MONITORPI_DASHBOARD__PORT": "8082"}


def test_a_configured_page_port_that_is_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who chose a port wants that one."""
    monkeypatch.setenv("MONITORPI_DASHBOARD__PORT", "8080")
    taken(monkeypatch, 8080)

    with pytest.raises(ResourceError, match=r"port 8080 is taken: .* \(dashboard.port\)"):
        plan()


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("0.0.0.0", "http://127.0.0.1:8080/"),
        ("::1", "http://[::1]:8080/"),
        ("::", "http://[::1]:8080/"),
        ("2001:db8::1", "http://[2001:db8::1]:8080/"),
    ],
)
def test_the_greeting_says_where_the_page_is(
    monkeypatch: pytest.MonkeyPatch, listen: str, url: str
) -> None:
    """An IPv6 address has its brackets, of page and broker; all addresses are told as loopback."""
    monkeypatch.setenv("MONITORPI_DASHBOARD__LISTEN", listen)
    monkeypatch.setenv("MONITORPI_DASHBOARD__TRUST_PROXY", "true")
    monkeypatch.setattr(preflight, "is_foreign", lambda _: False)  # one of the documentation's
    elsewhere = BrokerSettings(host="2001:db8::2", port=1883)
    stack = Stack(replace(plan(), other_broker=elsewhere), lambda _: None)
    asyncio.run(stack.stop())

    said = greeting(stack)

    assert f"  page      {url}" in said.splitlines()
    assert "  broker    [2001:db8::2]:1883 (as configured)" in said.splitlines()


def test_an_alert_is_a_line() -> None:
    """Time in UTC, severity, rule, sentence; foreign text cannot steer the terminal."""
    alert = example(Alert)
    odd = alert.model_copy(update={"summary": "flood from \x1b[2J"})
    closed = alert.model_copy(update={"state": "closed", "close_reason": "quiet"})
    plain, colourful = Terminal(80, colour=False), Terminal(80, colour=True)

    at = alert.at.strftime("%H:%M:%SZ")
    assert alert_line(odd, plain) == f"{at} CRITICAL syn-flood: flood from ?[2J"
    assert alert_line(alert, colourful).startswith(f"{at} \x1b[31mCRITICAL\x1b[0m syn-flood: ")
    assert alert_line(closed, plain) == f"{at} closed   syn-flood: {alert.summary} (quiet)"


@pytest.mark.parametrize(
    ("toml", "broker_port", "page", "history"),
    [
        ("[dashboard]\nport = {0}", None, 0, None),
        ("[history]\nport = {0}", None, None, 0),
        ("[broker]\nport = {0}", 0, None, None),
    ],
)
def test_a_port_that_one_of_ours_has_is_chosen_for_no_other(
    tmp_path: Path, toml: str, broker_port: int | None, page: int | None, history: int | None
) -> None:
    """Whoever is given another's usual port has it; the other moves on to the next."""
    usual = {Service.DASHBOARD: 8080, Service.HISTORY: 8083, None: 1883}
    for port in usual.values():
        file = tmp_path / "own.toml"
        file.write_text(toml.format(port))

        found = plan(file)

        ports = [
            found.port,
            int(found.environment[Service.DASHBOARD]["MONITORPI_DASHBOARD__PORT"]),
            int(found.environment[Service.HISTORY]["MONITORPI_HISTORY__PORT"]),
        ]
        given = [n for n, one in enumerate((broker_port, page, history)) if one is not None]
        assert [ports[n] for n in given] == [port]
        assert len(set(ports)) == 3


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("capture=2", "'capture=2' is not SERVICE=N with one of prober, detector, cloud-bridge"),
        ("prober", "'prober' is not SERVICE=N"),
        ("prober=0", "and 1 to 64"),
        ("prober=65", "and 1 to 64"),
        ("cloud-bridge=2", "cloud-bridge does not run here: it is not configured"),
    ],
)
def test_what_cannot_be_scaled_is_said(given: str, error: str) -> None:
    """The argument, and what may stand there."""
    with pytest.raises(ConfigurationError, match="--scale") as raised:
        make_plan(argparse.Namespace(config=None, site=None, interface=None, scale=[given]))

    assert error in raised.value.lines[0]


def test_a_service_is_scaled() -> None:
    """By its name; the others are one each."""
    found = make_plan(
        argparse.Namespace(config=None, site=None, interface=None, scale=["prober=3"])
    )

    assert [found.count(one) for one in (Service.PROBER, Service.DETECTOR)] == [3, 1]
