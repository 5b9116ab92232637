"""What programs that are none of ours leave, at once for all who bring alerts to people.

Each as a process, at a real broker: nobody ends, nobody is busy with it, the next alert arrives.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender
from tests.contract.litter import LITTER, scatter, scatter_years
from tests.dashboard.pageserver import Page
from tests.notifier.counterparts import MailServer

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, RuleState, timestamp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker, Subscriber

TOPICS = ("detector/watch/main", "detector/alert/x-y", "capture/device/020000000001")
KEY = "icmp-flood-020000000007"
IDLE_S = 2.0
MOST_BUSY = 0.25
"""Of a processor, when all was read; a picture each second takes a few hundredths."""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Run a mail server."""
    with MailServer() as server:
        yield server


@pytest.fixture
def page(broker: Broker, processes: list[subprocess.Popen[bytes]]) -> Page:
    """Run a dashboard that never outlives the test."""
    one = Page(broker)
    processes.append(one.process)  # type: ignore[arg-type] # it writes text; it is ended alike
    one.await_answer()
    return one


def alert(broker: Broker) -> None:
    """Publish an ordinary alert that opens now, as the detector does."""
    at = timestamp(datetime.now(UTC))
    message = example(Alert).model_dump(mode="json") | {
        "key": KEY, "rule": "icmp-flood", "subject": "020000000007", "opened_at": at, "at": at,
        "id": "8f3e0b8e-3c0b-5d0a-9a55-000000000007", "summary": "an ordinary flood",
    }  # fmt: skip
    publish(broker, f"monitorpi/v1/lab/detector/alert/{KEY}", json.dumps(message), "-r")


def busy_s(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time a process has taken."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # utime and stime, proc(5)


def test_litter_ends_nobody_who_tells_people(
    broker: Broker,
    subscribe: Callable[..., Subscriber],
    mail: MailServer,
    page: Page,
    tmp_path: Path,
    processes: list[subprocess.Popen[bytes]],
) -> None:
    """Garbage, and every message of the contract stamped with the first year and the last."""
    settings = {
        "MONITORPI_NOTIFIER__DESTINATIONS__DESK__URL": mail.url,
        "MONITORPI_NOTIFIER__MOST_PER_MINUTE": "60",
        "MONITORPI_TRUST_CLOCK": "true",
    }
    seen = subscribe(broker.port, "monitorpi/v1/lab/+/status/+")
    house = subscribe(broker.port, "monitorpi/v1/lab/home-assistant/rule/+")
    for name in ("notifier", "home-assistant"):
        state = {"MONITORPI_STATE_DIR": str(tmp_path / name)}
        processes.append(contender.start(name, broker.environment(**settings, **state)))
    for name in ("notifier", "home-assistant", "dashboard"):
        wait_for(lambda name=name: "online" in seen.of(f"{name}/status/main"), 40, name)

    scatter(broker, TOPICS)
    scatter_years(broker)
    alert(broker)

    def is_on() -> bool:
        states = [RuleState.model_validate_json(text) for text in house.of("/rule/icmp-flood")]
        return bool(states) and states[-1].state == "ON"

    wait_for(lambda: any("An ordinary flood" in one.text for one in mail.mails), 40, "the mail")
    wait_for(is_on, 20, "Home Assistant")
    wait_for(lambda: KEY in page.state()["alerts"], 20, "the page")
    before = [busy_s(process) for process in processes]
    time.sleep(IDLE_S)  # while nothing comes
    taken = [busy_s(process) - one for process, one in zip(processes, before, strict=True)]
    assert [process.poll() for process in processes] == [None] * 3
    assert max(taken) < MOST_BUSY * IDLE_S
    assert len(LITTER) > 20
