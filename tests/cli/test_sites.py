"""Several sites at one broker: what they pass on, who may, and what ``sites`` makes of it."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from argparse import Namespace
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.saidbysites import CountingRelay, alert, watch
from tests.conftest import ROOT, Broker, wait_for

from monitorpi_cli.doctor.broker import try_elsewhere
from monitorpi_cli.sites.travels import message_bytes
from monitorpi_cli.stack import broker as broker_files
from monitorpi_cli.stack.centre import CENTRE_KEYS, Centre
from monitorpi_cli.stack.plan import make_plan
from monitorpi_common.handover import Handover
from monitorpi_common.settings import CentreSettings
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

from tests.conftest import Subscriber

SITES = ("berlin", "paris")


# --- real brokers ---------------------------------------------------------------------------------


class CentralBroker(Broker):
    """That of the example."""

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", self.folder / "config" / "mosquitto.conf"], stdout=log, stderr=log
            )
        wait_for(self._accepts, what="the central broker")


@dataclass
class World:
    """A central broker as in the example, and the own brokers of two sites."""

    folder: Path
    centre: Broker
    authority: str
    sites: dict[str, Broker] = field(default_factory=dict)
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    by_way_of: int | None = None
    """Port through which sites reach the centre; None: straight."""

    def start(self, site: str) -> None:
        """Start a site's broker, as `up` does."""
        home = self.folder / site
        self.passwords[site] = broker_files.ensure_passwords(home / "secrets")
        settings = CentreSettings.model_validate(
            {
                "host": "127.0.0.1", "port": self.by_way_of or self.centre.port,
                "tls_ca": self.authority, "password": f"of {site}",
            }
        )  # fmt: skip
        known = self.sites.get(site)
        port = known.port if known else broker_files.free_port()
        config = broker_files.write_files(
            home / "broker", [f"{port} 127.0.0.1"], self.passwords[site], Centre(site, settings)
        )
        process = subprocess.Popen(
            tied(broker_files.command(config), user=broker_files.user(config)),
            stderr=subprocess.DEVNULL,
        )
        self.sites[site] = Broker(home, port=port, process=process)
        wait_for(self.sites[site]._accepts, what="the broker of a site")

    def say(self, site: str, word: tuple[str, bytes], account: str = "detector") -> None:
        """Publish as one of a site's services."""
        password = self.passwords[site][account]
        subprocess.run(
            [
                "mosquitto_pub", "-V", "mqttv5", "-q", "1", "-r", "-p", str(self.sites[site].port),
                "-u", account, "-P", password, "-t", word[0], "-m", word[1].decode(),
            ],
            check=True, timeout=20,
        )  # fmt: skip

    def ask(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run the command against the centre; returns its exit code and the rows by site."""
        secret = self.folder / "watcher"
        secret.write_text("of watcher\n")
        done = subprocess.run(
            [
                sys.executable, "-P", "-m", "monitorpi_cli", "sites", "--json", "--broker",
                f"127.0.0.1:{self.centre.port}", "--username", "watcher",
                "--password-file", str(secret), "--tls-ca", self.authority, *words,
            ],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, {row["site"]: row for row in json.loads(done.stdout)["sites"]}

    def levels(self) -> dict[str, str]:
        """Return what the command says of each site's state."""
        return {site: row["level"] for site, row in self.ask()[1].items()}


@pytest.fixture
def world(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[World]:
    """Run the example's central broker on loopback, with two sites."""
    config = tmp_path / "config"
    shutil.copytree(ROOT / "examples" / "sites" / "centre", config)
    (tmp_path / "data").mkdir()
    for name, file in zip(("server.crt", "server.key"), certificate, strict=True):
        shutil.copy(file, config / name)
    plain = [f"{name}:of {name}\n" for name in (*SITES, "watcher")]
    (config / "passwords").write_text("".join(plain))
    subprocess.run(["mosquitto_passwd", "-U", config / "passwords"], check=True)
    centre = CentralBroker(tmp_path)
    text = (config / "mosquitto.conf").read_text().replace("/mosquitto/", f"{tmp_path}/")
    listener = f"user root\nlistener {centre.port} 127.0.0.1"
    (config / "mosquitto.conf").write_text(text.replace("listener 8883", listener))
    one = World(tmp_path, centre, certificate[0])
    try:
        centre.start()
        for site in SITES:
            one.start(site)
        yield one
    finally:
        for broker in (*one.sites.values(), centre):
            broker.kill()


def test_sites_are_seen_at_the_centre(world: World) -> None:
    """What each says is there by its name; a site that is killed is known, and comes back."""
    now = datetime.now(UTC)
    world.say("berlin", watch("berlin", at=now))
    world.say("paris", watch("paris", "blind", at=now))
    world.say("paris", alert("paris", summary="a flood in Paris"))
    wait_for(lambda: world.levels() == {"berlin": "watching", "paris": "blind"}, 30)

    code, rows = world.ask()
    assert code == 1
    assert rows["paris"]["worst"] == "a flood in Paris"
    assert rows["berlin"]["open_alerts"] == 0

    world.sites["berlin"].kill()
    wait_for(lambda: world.levels()["berlin"] == "unconnected", 30)
    world.start("berlin")
    world.say("berlin", watch("berlin", at=datetime.now(UTC)))
    wait_for(lambda: world.levels()["berlin"] == "watching", 60)


def test_what_was_said_while_the_centre_was_away_arrives(
    world: World, subscribe: Callable[..., Subscriber]
) -> None:
    """Every change of an alert, in order; what stands last is said again when a site comes back."""
    wait_for(lambda: set(world.levels()) == set(SITES), 30)
    world.say("paris", watch("paris", at=datetime.now(UTC)))
    wait_for(lambda: world.levels()["paris"] == "watching", 30)

    world.centre.kill()
    for number in range(20):
        state = "closed" if number % 2 else "open"
        world.say("paris", alert("paris", 1, state, summary=f"change {number}"))
    world.centre.start()
    reader = ["-u", "watcher", "-P", "of watcher", "--cafile", world.authority, "-h", "127.0.0.1"]
    seen = subscribe(world.centre.port, "monitorpi/v1/paris/detector/alert/+", *reader)
    wait_for(lambda: seen.of("alert/"), 60)

    def told() -> list[str]:
        return [json.loads(text)["summary"] for text in seen.of("alert/")]

    wait_for(lambda: "change 19" in told(), 60)
    changes = [f"change {number}" for number in range(20)]
    assert told()[:20] == changes
    assert set(told()[20:]) <= {"change 19"}


def test_a_message_takes_as_many_bytes_as_the_table_counts(
    world: World, subscribe: Callable[..., Subscriber]
) -> None:
    """What goes through the socket to the centre, TLS and all, is what `sites --sends` counts."""
    wait_for(lambda: set(world.levels()) == set(SITES), 30)
    reader = ["-u", "watcher", "-P", "of watcher", "--cafile", world.authority, "-h", "127.0.0.1"]
    seen = subscribe(world.centre.port, "monitorpi/v1/paris/detector/alert/+", *reader)
    world.sites["paris"].kill()
    with CountingRelay(world.centre.port) as relay:
        world.by_way_of = relay.port
        world.start("paris")
        world.say("paris", alert("paris", 1, summary="the first"))
        wait_for(lambda: seen.of("alert/"), 60)
        before, words = relay.upwards, [alert("paris", number) for number in range(2, 42)]

        for word in words:
            world.say("paris", word)
        wait_for(lambda: len({topic for topic, *_ in seen.poll()}) == 1 + len(words), 60)

        counted = sum(message_bytes(topic, len(payload), expires=False) for topic, payload in words)
        assert relay.upwards - before == pytest.approx(counted, rel=0.02)


def test_a_site_writes_below_its_own_name_and_reads_nothing(
    world: World, subscribe: Callable[..., Subscriber]
) -> None:
    """Whoever takes a sensor at one site can neither speak for another nor listen to it."""
    wait_for(lambda: set(world.levels()) == set(SITES), 30)
    there = ["-h", "127.0.0.1", "--cafile", world.authority, "-p", str(world.centre.port)]
    berlin = [*there, "-V", "mqttv5", "-u", "berlin", "-P", "of berlin", "-i", "somebody"]
    reader = [*there[:4], "-u", "watcher", "-P", "of watcher"]
    seen = subscribe(world.centre.port, "#", *reader)
    deaf = subscribe(world.centre.port, "#", *there[:4], "-u", "berlin", "-P", "of berlin")
    topic, text = watch("paris", at=datetime.now(UTC))

    for target in (topic, "monitorpi-sites/paris/link", topic.replace("paris", "berlin")):
        words = ["mosquitto_pub", *berlin, "-q", "1", "-t", target, "-m", text.decode()]
        subprocess.run(words, check=False, timeout=20)
    wait_for(lambda: seen.of("berlin/detector/watch"), 20)

    assert seen.of("paris/detector/watch") == []
    assert all(payload in ("0", "1") for payload in seen.of("sites/paris/link"))
    assert deaf.of("") == []


@pytest.mark.filterwarnings(
    "ignore:.*unclosed <ssl:pytest.PytestUnraisableExceptionWarning",
    "ignore:unclosed <ssl:ResourceWarning",
)  # paho leaves the socket of a handshake that failed
def test_doctor_tries_the_centre(world: World) -> None:
    """As the site's broker would connect; each way that fails has its words."""
    given = {
        "host": "127.0.0.1", "port": world.centre.port, "tls_ca": world.authority,
        "password": "of berlin",
    }  # fmt: skip

    def said(**change: object) -> str:
        account = CentreSettings.model_validate(given | change).account("berlin")
        found = try_elsewhere("centre", account, Handover(account, "doctor", CENTRE_KEYS))
        return f"{found.mark} {found}"

    assert said() == f"ok centre: 127.0.0.1:{world.centre.port}: connected as berlin"
    assert "check the account 'paris' and its password" in said(username="paris")
    assert "check the account 'berlin' and its password" in said(password=None)
    assert "give the one that signed" in said(tls_ca=None)
    assert "broker.centre.tls_ca" in said(tls_ca=None)
    assert "it hung up" in said(tls=False)
    assert "nobody listens there: start the broker, or check broker.centre.host" in said(port=1)


def test_nobody_else_can_guess_who_a_site_is_to_the_centre() -> None:
    """A broker ends the older of two connections of one client id, whoever has the account."""
    given = {"host": "10.0.0.1", "password": "of berlin"}
    lines = Centre("berlin", CentreSettings.model_validate(given)).lines("/x", "viewer")
    again = Centre("berlin", CentreSettings.model_validate(given)).lines("/x", "viewer")

    [known] = [line for line in lines if line.startswith("remote_clientid ")]
    assert re.fullmatch("remote_clientid monitorpi-berlin-[0-9a-f]{16}", known)
    assert known in again


# --- the settings ---------------------------------------------------------------------------------


def test_a_password_is_the_brokers_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service can read it; one in the settings is taken too."""
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path))
    broker_files.ensure_passwords(tmp_path / "secrets")
    (tmp_path / "secrets" / "broker" / "broker__centre__password").write_text("of berlin\n")
    file = tmp_path / "monitorpi.toml"
    file.write_text('site = "berlin"\n[broker.centre]\nhost = "10.0.0.1"\ntls = false\n')

    plan = make_plan(Namespace(config=file, site=None, interface=None, scale=None))

    assert plan.centre is not None
    lines = plan.centre.lines("/run/x", "viewer")
    assert "remote_password of berlin" in lines
    assert "remote_username berlin" in lines
    assert "topic monitorpi/v1/berlin/detector/alert/+ out 1" in lines
    assert not [line for line in lines if line.endswith(" in 1") or " both " in line]
    assert stat.S_IMODE((tmp_path / "secrets" / "broker").stat().st_mode) == 0o700


def test_the_example_of_a_site_is_taken() -> None:
    """Its settings are those of the documentation."""
    table = tomllib.loads((ROOT / "examples" / "sites" / "site" / "monitorpi.toml").read_text())
    table["broker"]["centre"].pop("tls_ca")

    settings = CentreSettings.model_validate(table["broker"]["centre"])

    assert Centre(table["site"], settings).lines("/x", "viewer")[2] == (
        "address centre.example.net:8883"
    )
