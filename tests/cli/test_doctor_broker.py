"""The doctor at a real broker: each way it cannot be used, and what it keeps of the watch."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.conftest import Broker, publish, wait_for

from monitorpi_cli.doctor.broker import try_login, try_logins
from monitorpi_cli.doctor.command import check_bus
from monitorpi_cli.doctor.watch import Remembered, Sites, check_watch, judge_watch
from monitorpi_cli.stack import broker as files
from monitorpi_cli.stack.console import Console
from monitorpi_cli.stack.logins import Login
from monitorpi_cli.table import Terminal
from monitorpi_common.bus import Raw
from monitorpi_common.examples import example
from monitorpi_common.messages import Health, Service, WatchReason, WatchState
from monitorpi_common.settings import BrokerSettings, NoSection, load
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Subscriber

    from monitorpi_common.messages import WatchLevel

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[[str], tuple[Broker, dict[str, str]]]]:
    """Start a Mosquitto with our accounts, and access rules after a change."""
    started: list[Broker] = []

    def start(change: str = "") -> tuple[Broker, dict[str, str]]:
        folder = tmp_path / "own"
        passwords = files.ensure_passwords(folder / "secrets")
        port = files.free_port()
        config = files.write_files(folder / "broker", [f"{port} 127.0.0.1"], passwords)
        rules = folder / "broker" / "acl"
        if change:
            rules.write_text(rules.read_text().replace(*change.split("|")))
        process = subprocess.Popen(
            tied(files.command(config), user=files.user(config)), stderr=subprocess.DEVNULL
        )
        started.append(Broker(folder, port=port, process=process))
        wait_for(started[0]._accepts, what="the broker")
        return started[0], passwords

    yield start
    for one in started:
        one.kill()


def login(broker: Broker, user: str, password: str) -> Login:
    """Return the login of a service."""
    settings = BrokerSettings(port=broker.port, username=user, password=SecretStr(password))
    return Login(Service(user), settings)


def test_every_account_is_tried_and_leaves_nothing(
    guarded: Callable[..., tuple[Broker, dict[str, str]]], subscribe: Callable[..., Subscriber]
) -> None:
    """Connected, logged in, subscribed, published, received, by each service's own rules."""
    broker, passwords = guarded()
    logins = [login(broker, service.value, passwords[service.value]) for service in Service]

    [found] = try_logins(logins, "lab")

    assert found.mark == "ok"
    names = ", ".join(service.value for service in Service)
    assert f"as {names}; published and" in found.text
    viewer = ("-u", "viewer", "-P", passwords["viewer"], "--retained-only", "-W", "1")
    assert subscribe(broker.port, "monitorpi/#", *viewer).poll() == []


def test_a_wrong_password_is_said_and_the_others_are_tried_on(
    guarded: Callable[..., tuple[Broker, dict[str, str]]],
) -> None:
    """Once it is refused, once it is well."""
    broker, passwords = guarded()
    logins = [login(broker, "capture", "x"), login(broker, "prober", passwords["prober"])]

    refused, fine = try_logins(logins, "lab")

    assert (refused.mark, fine.mark) == ("wrong", "ok")
    assert refused.remedy == "check broker.username and its password"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("readwrite monitorpi/v1/+/capture/#|read monitorpi/v1/+/capture/#", "may not write"),
        ("readwrite monitorpi/v1/+/capture/#|write monitorpi/v1/+/capture/#", "does not receive"),
    ],
)
def test_rules_that_keep_a_service_from_its_topics_are_named(
    guarded: Callable[..., tuple[Broker, dict[str, str]]], change: str, words: str
) -> None:
    """A broker of somebody else's may grant a subscription and deliver nothing."""
    broker, passwords = guarded(change)

    finding, _ = try_login(login(broker, "capture", passwords["capture"]), "lab", 2.0)

    assert finding is not None
    assert words in finding.text
    assert "access rules" in (finding.remedy or "")


def test_a_broker_that_is_away_is_said_once() -> None:
    """Not once for each account."""
    settings = BrokerSettings(port=files.free_port())
    logins = [Login(service, settings) for service in (Service.CAPTURE, Service.PROBER)]

    [found] = try_logins(logins, "lab")

    assert found.mark == "wrong"
    assert "nobody listens there" in found.text
    assert "start the broker" in (found.remedy or "")


def test_a_frozen_broker_is_said(broker: Broker) -> None:
    """The kernel takes the connection, and nobody answers."""
    broker.freeze()

    finding, reached = try_login(
        Login(Service.CAPTURE, BrokerSettings(port=broker.port)), "lab", 1.0
    )

    assert not reached
    assert finding is not None
    assert "takes the connection and says nothing" in finding.text


def configured(folder: Path, *lines: str) -> list[str]:
    """Look at the broker that settings name; returns what is printed."""
    file = folder / "monitorpi.toml"
    file.write_text("\n".join(["site = 'home'", f"state_dir = '{folder}'", "[broker]", *lines]))
    common = load(None, NoSection, file=file).common
    return [f"{one.mark} {one}" for one in check_bus(file, common)]


def test_a_broker_of_somebody_elses_is_tried_as_configured(broker: Broker, tmp_path: Path) -> None:
    """One account for all services is tried once; nobody watches there yet."""
    found = configured(tmp_path, f"port = {broker.port}", "own = false")

    assert len(found) == 2
    assert found[0].startswith(f"ok broker: 127.0.0.1:{broker.port}: connected without a name")
    assert found[1].startswith("note watch: no detector has ever been at this broker")


def test_a_configured_broker_that_is_away_is_wrong(tmp_path: Path) -> None:
    """No word of a watch that cannot be asked for."""
    [found] = configured(tmp_path, f"port = {files.free_port()}", "own = false")

    assert found.startswith("wrong broker: no connection to the broker at 127.0.0.1")


def test_a_broker_with_tls_is_greeted_by_it(tmp_path: Path, certificate: tuple[str, str]) -> None:
    """By the authority in the settings; a broker without TLS is said."""
    secure = Broker(
        tmp_path,
        settings=f"allow_anonymous true\ncertfile {certificate[0]}\nkeyfile {certificate[1]}",
    )
    secure.start()
    try:
        found = configured(tmp_path, f"port = {secure.port}", f"tls_ca = '{certificate[0]}'")
    finally:
        secure.kill()

    assert "connected by TLS without a name" in found[0]


def test_no_broker_yet_is_looked_at_by_its_ports(tmp_path: Path) -> None:
    """`up` would start one."""
    found = configured(tmp_path, f"port = {files.free_port()}")

    assert found[0].startswith("ok broker: ")
    assert "none runs yet" in found[0]
    assert " page: " in found[1]


# --- the watch ------------------------------------------------------------------------------------


def state(level: WatchLevel, age_s: float = 1.0, *reasons: WatchReason) -> WatchState:
    """Return a conclusion of so long ago."""
    at = NOW - timedelta(seconds=age_s)
    return WatchState(state=level, since=at, at=at, reasons=list(reasons))


CABLE = WatchReason(what="interface", text="No window of eth0 for 9 s.", remedy="plug it in")


@pytest.mark.parametrize(
    ("site", "mark", "words"),
    [
        (None, "note", "no detector has ever been at this broker"),
        (Remembered(online=False, state=state("watching")), "wrong", "no detector runs"),
        (Remembered(online=True, state=state("watching", 60)), "wrong", "says nothing for 60 s"),
        (Remembered(online=True, state=state("watching", -60)), "wrong", "is dated 60 s ahead"),
        (Remembered(online=True), "wrong", "says nothing"),
        (Remembered(online=True, state=state("watching")), "ok", "watching"),
        (Remembered(online=True, state=state("partly", 1, CABLE)), "note", "partly: No window of"),
        (Remembered(online=True, state=state("blind", 1, CABLE)), "wrong", "eth0 for 9 s: plug it"),
    ],
)
def test_what_the_detector_concluded_is_said(
    site: Remembered | None, mark: str, words: str
) -> None:
    """Retained state of a detector that is gone says nothing of now."""
    [found] = judge_watch(Sites({"home": site} if site else {}), NOW)

    assert found.mark == mark
    assert words in str(found)


def test_the_watch_is_read_from_the_brokers_memory(broker: Broker) -> None:
    """Status and conclusion are retained; what is not of the contract is passed over."""
    now = datetime.now(UTC)
    message = WatchState(state="blind", since=now, at=now, reasons=[CABLE])
    for topic, payload in (
        ("status/main", "online"),
        ("watch/main", message.model_dump_json()),
        ("watch/odd", "{}"),
    ):
        publish(broker, f"monitorpi/v1/home/detector/{topic}", payload, "--retain")

    [found] = check_watch(BrokerSettings(port=broker.port), "home")

    assert found.mark == "wrong"
    assert "site 'home': blind: No window of eth0 for 9 s" in found.text


LAST, FIRST = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"
GARBAGE = (
    b"\xff\xfe",
    b"{}",
    b"null",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"watching"',
    b'{"state":"watching","since":1e999,"at":NaN}',
    *(f'{{"state":"watching","since":"{time}","at":"{time}"}}'.encode() for time in (LAST, FIRST)),
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda one: one[:24].decode(errors="replace"))
@pytest.mark.parametrize("kind", ["watch", "alert", "health", "status", "nothing"])
def test_garbage_where_the_detector_speaks_ends_nobody_and_is_not_believed(
    kind: str, garbage: bytes
) -> None:
    """The doctor passes it over, and so does ``up``, which says what it concludes itself."""
    raw = Raw(f"monitorpi/v1/home/detector/{kind}/main", garbage, retained=True)
    sites = Sites({"home": Remembered(online=True)})
    said: list[str] = []
    console = Console(said.append, Terminal.of(sys.stdout))

    sites.receive(raw)
    for retained in (True, False):
        console.receive(Raw(raw.topic, garbage, retained))
    for second in range(30):
        console.tick(float(second))

    [found] = judge_watch(sites, NOW)
    assert found.mark == "wrong"
    assert any("BLIND" in line for line in said)
    assert not any("WATCHING" in line for line in said)


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999999999/", "\x00", "//"])
def test_a_page_that_says_it_is_nowhere_ends_no_doctor(broker: Broker, url: str) -> None:
    """What anybody can publish is looked at before it is used."""
    health = example(Health).model_copy(update={"detail": {"url": url}})
    for topic, payload in (
        ("detector/status/main", "online"),
        ("dashboard/health/main", health.model_dump_json()),
    ):
        publish(broker, f"monitorpi/v1/home/{topic}", payload, "--retain")

    [found, *_] = check_watch(BrokerSettings(port=broker.port), "home")

    assert "says nothing" in found.text


def test_a_page_that_is_not_where_it_says_is_wrong(broker: Broker) -> None:
    """The dashboard's own word is followed, if it is of this machine."""
    url = f"http://127.0.0.1:{files.free_port()}/"
    now = datetime.now(UTC)
    state = WatchState(state="watching", since=now, at=now)
    health = example(Health).model_copy(update={"detail": {"url": url}})
    for topic, payload in (
        ("detector/status/main", "online"),
        ("detector/watch/main", state.model_dump_json()),
        ("dashboard/health/main", health.model_dump_json()),
    ):
        publish(broker, f"monitorpi/v1/home/{topic}", payload, "--retain")

    watch, page = check_watch(BrokerSettings(port=broker.port), "home")

    assert (watch.mark, page.mark, page.topic) == ("ok", "wrong", "page")
    assert f"{url} does not answer" in page.text
