"""Any program that takes the notifier's place must pass this; it is given an environment only.

Who is reported is a real mail server on loopback.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender
from tests.contract.litter import scatter
from tests.memory import pss_mb
from tests.notifier.counterparts import MailServer

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Health, Sent, timestamp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker, Subscriber

SAMPLE = example(Alert)
MOST_MB = 35
"""Between deliveries, as a process of its own."""
MOMENTS = ("published", "written", "on its way", "taken")


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Run a mail server."""
    with MailServer() as server:
        yield server


@pytest.fixture
def start(
    broker: Broker, mail: MailServer, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start notifiers that never outlive the test; the URL comes from the secrets directory."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "notifier__destinations__desk__url").write_text(mail.url + "\n")

    def run(**more: str) -> subprocess.Popen[bytes]:
        known = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_SECRETS_DIR": str(secrets),
            "MONITORPI_TRUST_CLOCK": "true",
        }
        environment = broker.environment(**(known | more))
        with (tmp_path / "stderr").open("ab") as log:
            processes.append(contender.start("notifier", environment, stdout=log, stderr=log))
        return processes[-1]

    return run


def alert(broker: Broker, number: int = 1, state: str = "open", **more: Any) -> None:
    """Publish an alert that opens now, retained as the detector does."""
    at = timestamp(datetime.now(UTC))
    key = f"syn-flood-0200000000{number:02x}"
    message = {
        **SAMPLE.model_dump(mode="json"), "key": key, "subject": key.removeprefix("syn-flood-"),
        "id": f"8f3e0b8e-3c0b-5d0a-9a55-{number:012d}", "opened_at": at, "at": at, "state": state,
        "summary": f"flood {number}", **more,
    }  # fmt: skip
    Alert.model_validate(message)
    publish(broker, f"monitorpi/v1/lab/detector/alert/{key}", json.dumps(message), "-r")


def is_online(seen: Subscriber) -> bool:
    """Return whether the notifier has said that it is there, as its last word."""
    said = seen.of("notifier/status/main")
    return bool(said) and said[-1] == "online"


def test_litter_on_what_it_reads_keeps_no_alert_from_its_reader(
    broker: Broker,
    subscribe: Callable[..., Subscriber],
    start: Callable[..., Any],
    mail: MailServer,
) -> None:
    """Kept by the broker from before its start and coming while it runs; the next alert is sent."""
    topics = ["detector/watch/main", "detector/alert/x-y", "capture/device/020000000001",
              "prober/target/192-0-2-1", "detector/status/main"]  # fmt: skip
    seen = subscribe(broker.port, "monitorpi/v1/lab/notifier/#")
    scatter(broker, topics)
    process = start()
    wait_for(lambda: is_online(seen), 40, "the notifier to be online")
    scatter(broker, topics)

    alert(broker, 7)
    wait_for(lambda: mail.mails, 40, "the mail")

    assert process.poll() is None


def test_it_lives_as_every_service_does(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any], tmp_path: Path
) -> None:
    """Online within ten seconds; garbage does not stop it; SIGTERM ends it with offline and 0."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/notifier/#")
    process = start()
    wait_for(lambda: is_online(seen), 40, "the notifier to be online")
    publish(broker, "monitorpi/v1/lab/detector/alert/x", "{garbage")

    healths = wait_for(
        lambda: [
            Health.model_validate_json(text) for text in seen.of("/health/")
            if json.loads(text)["rejected_total"] >= 1
        ],
        30, "health",
    )  # fmt: skip

    assert healths[-1].detail["destinations"]["desk"]["waiting"] == 0  # type: ignore[index,call-overload]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    wait_for(lambda: not is_online(seen), 5, "offline")
    assert "mailto" not in (tmp_path / "stderr").read_text()


def test_an_alert_arrives_as_a_mail(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any],
    mail: MailServer,
) -> None:  # fmt: skip
    """From the topic to the mail server, and the delivery is published."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/notifier/#")
    start()
    wait_for(lambda: is_online(seen), 40, "the notifier to be online")

    alert(broker)
    wait_for(lambda: mail.mails, 30, "the mail")

    assert mail.mails[0].subject.startswith("CRITICAL SYN flood")
    assert "Flood 1." in mail.mails[0].text
    sent = wait_for(
        lambda: [Sent.model_validate_json(text) for text in seen.of("/sent/desk")],
        30, "the delivery to be published",
    )  # fmt: skip
    assert sent[0].ok
    assert [one.key for one in sent[0].alerts] == ["syn-flood-020000000001"]
    assert all("mailto" not in text for _, text, _ in seen.poll())


@pytest.mark.parametrize("url", ["nonsense://x", "mailto://", "no url at all"])
def test_a_wrong_url_is_named_and_not_shown(
    start: Callable[..., Any], tmp_path: Path, url: str
) -> None:
    """Exit code 2 and one line; the URL may hold a password."""
    (tmp_path / "secrets" / "notifier__destinations__phone__url").write_text(f"{url}SECRET")

    assert start().wait(60) == 2

    said = (tmp_path / "stderr").read_text()
    assert said.count("\n") == 1
    assert "notifier.destinations.phone" in said
    assert "SECRET" not in said


def waiting(tmp_path: Path) -> int:
    """Return how many changes are in the outbox."""
    with closing(sqlite3.connect(tmp_path / "state" / "outbox.sqlite")) as db:
        return int(db.execute("SELECT COUNT(*) FROM change").fetchone()[0])


def kill_at(
    moment: str, number: int, broker: Broker, process: subprocess.Popen[bytes],
    mail: MailServer, tmp_path: Path,
) -> None:  # fmt: skip
    """Publish an alert and kill the notifier at a moment of its way."""

    def kill() -> None:
        process.kill()
        process.wait()

    if moment == "on its way":
        mail.on_data = kill
    elif moment == "taken":
        mail.on_taken = kill
    alert(broker, number)
    if moment == "written":
        wait_for(lambda: waiting(tmp_path) or process.poll() is not None, 10, "the change")
    if moment in ("published", "written"):
        kill()
    assert wait_for(lambda: process.poll() is not None, 20, "the kill")
    mail.on_data = mail.on_taken = lambda: None


def kill_and_count(
    rounds: int, broker: Broker, start: Callable[..., Any], mail: MailServer,
    subscribe: Callable[..., Subscriber], tmp_path: Path,
) -> dict[int, int]:  # fmt: skip
    """Kill the notifier once per alert, at each moment in turn; returns the mails per alert."""
    for number in range(1, rounds + 1):
        seen = subscribe(broker.port, "monitorpi/v1/lab/notifier/#")
        process = start(MONITORPI_NOTIFIER__MOST_PER_MINUTE="60")
        wait_for(lambda seen=seen: is_online(seen), 40, "the notifier to be online")
        kill_at(MOMENTS[number % len(MOMENTS)], number, broker, process, mail, tmp_path)
        wait_for(lambda seen=seen: not is_online(seen), 20, "the last will")
    start(MONITORPI_NOTIFIER__MOST_PER_MINUTE="60")
    words = [f"Flood {number}." for number in range(1, rounds + 1)]
    wait_for(
        lambda: all(any(word in one.text for one in mail.mails) for word in words), 60, "all mails"
    )
    wait_for(lambda: waiting(tmp_path) == 0, 60, "the outbox to be empty")
    return {
        number: sum(f"Flood {number}." in one.text for one in mail.mails)
        for number in range(1, rounds + 1)
    }


@pytest.mark.ours
def test_killed_at_any_moment_each_alert_arrives_once(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any],
    mail: MailServer, tmp_path: Path,
) -> None:  # fmt: skip
    """Before it is written, before it is sent, while it is sent, after it was taken."""
    counts = kill_and_count(len(MOMENTS), broker, start, mail, subscribe, tmp_path)

    assert set(counts.values()) == {1}, counts


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_killed_fifty_times_each_alert_arrives_once(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any],
    mail: MailServer, tmp_path: Path,
) -> None:  # fmt: skip
    """The same, fifty times."""
    counts = kill_and_count(50, broker, start, mail, subscribe, tmp_path)

    assert set(counts.values()) == {1}, counts


@pytest.mark.ours
def test_it_takes_little_memory_between_deliveries(
    broker: Broker, subscribe: Callable[..., Subscriber], start: Callable[..., Any],
    mail: MailServer,
) -> None:  # fmt: skip
    """Apprise is not in the process that waits, nor is what else it does not need."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/notifier/#")
    process = start()
    wait_for(lambda: is_online(seen), 40, "the notifier to be online")
    alert(broker)
    wait_for(lambda: mail.mails, 30, "the mail")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and children(process.pid):
        time.sleep(0.05)

    assert children(process.pid) == []
    assert "apprise" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert pss_mb(process.pid) <= MOST_MB


def children(pid: int) -> list[str]:
    """Return the children of a process."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
