"""Deliveries to real services, by real processes; the wall clock is the test's own.

An outage of an hour takes no hour: only the time between two tries is event time.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from tests.notifier.counterparts import MailServer, WebHook

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.backoff import BackOff
from monitorpi_common.log import Log
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.folding import Folding
from monitorpi_notifier.items import Attempt, NoticeChange
from monitorpi_notifier.sinks.outbox import Outbox
from monitorpi_notifier.sinks.post import scrub
from monitorpi_notifier.sinks.postbox import Postbox, PostedDestination, check, open_lock
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = 1_800_000_000.0
SECRET = "tk-5a9c0f1e7d"


class Rig:
    """An outbox, a postbox and a clock."""

    def __init__(self, folder: Path, **urls: str) -> None:
        plugins = check(urls)
        self.now_s = T
        self.step_s = 0.0
        self.attempts: list[Attempt] = []
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.postbox = Postbox(
            self.outbox,
            [
                PostedDestination(name, url, plugins[name] or "", open_lock(folder, name))
                for name, url in urls.items()
            ],
            Folding(6), Wording(Directory(), UTC, None), BackOff(5.0, 600.0), Log("test", "error"),
            wall=lambda: self.now_s,
            boot=lambda: self.now_s - self.step_s,
        )  # fmt: skip

    def change(self, number: int, destination: str = "desk", **more: Any) -> NoticeChange:
        """Return a change that happens now."""
        known = NoticeChange(
            destination, "opened", f"syn-flood-{number}", f"id-{number}", "syn-flood", "critical",
            self.now_s, self.now_s, self.now_s, f"CRITICAL flood {number}", f"body {number}",
            f"Flood {number}.",
        )  # fmt: skip
        return replace(known, **more)

    def add(self, *numbers: int, destination: str = "desk") -> None:
        """Let alerts open now."""
        self.outbox.add([self.change(number, destination) for number in numbers], [])

    def work(self, seconds: float = 0.0, step_s: float = 5.0) -> None:
        """Let time pass and messages be delivered; each is waited for."""
        end_s = self.now_s + seconds
        deadline = time.monotonic() + 60
        while True:
            while self.postbox.step(self.attempts.append):
                assert time.monotonic() < deadline, "a delivery hangs"
                time.sleep(0.01)
            if self.now_s >= end_s:
                return
            self.now_s = min(self.now_s + step_s, end_s)

    def close(self) -> None:
        """Let everything go."""
        self.postbox.close()
        self.outbox.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Run a mail server."""
    with MailServer() as server:
        yield server


@pytest.fixture
def web() -> Iterator[WebHook]:
    """Run a web server."""
    with WebHook() as server:
        yield server


@pytest.mark.parametrize("step_s", [-86_400.0, -2.0, 3600.0])
def test_how_long_a_message_took_does_not_depend_on_the_clock(
    tmp_path: Path, web: WebHook, step_s: float
) -> None:
    """The clock is set while it is on its way: it waited three seconds and took two."""
    rig = Rig(tmp_path, desk=f"json://127.0.0.1:{web.port}/hook")
    rig.add(1)
    rig.now_s += 3.0
    assert rig.postbox.step(rig.attempts.append)

    rig.now_s += 2.0 + step_s
    rig.step_s += step_s
    while not rig.attempts:
        rig.work()

    assert [round(one.waited_s, 3) for one in rig.attempts] == [5.0]
    assert rig.attempts[0].at_s == rig.now_s
    rig.close()


def test_a_mail_arrives_once(tmp_path: Path, mail: MailServer) -> None:
    """From the outbox through SMTP, as it was worded."""
    rig = Rig(tmp_path, desk=mail.url)
    rig.add(1)

    rig.work(30)

    assert [(one.subject, one.text.strip()) for one in mail.mails] == [
        ("CRITICAL flood 1", "body 1")
    ]
    assert rig.outbox.counts() == {}
    assert [one.is_delivered for one in rig.attempts] == [True]
    rig.close()


def test_a_webhook_and_ntfy_take_messages(tmp_path: Path, web: WebHook) -> None:
    """Two more kinds of service, each by its own plugin, at the same time."""
    rig = Rig(
        tmp_path, hook=f"json://127.0.0.1:{web.port}/hook",
        phone=f"ntfy://127.0.0.1:{web.port}/alerts",
    )  # fmt: skip
    rig.add(1, destination="hook")
    rig.add(1, destination="phone")

    rig.work()

    by_path = {one["path"]: one for one in web.taken}
    assert by_path["/hook"]["title"] == "CRITICAL flood 1"
    assert by_path["/hook"]["type"] == "failure"
    ntfy = next(one for one in web.taken if one.get("topic") == "alerts")
    assert ntfy["title"] == "CRITICAL flood 1"
    rig.close()


def test_an_outage_of_an_hour_loses_nothing_and_doubles_nothing(
    tmp_path: Path, mail: MailServer
) -> None:
    """What opened meanwhile is one summary when the way is open again."""
    rig = Rig(tmp_path, desk=mail.url)
    mail.stop()
    rig.add(1)
    rig.work(1800, step_s=60)
    rig.add(2, 3)
    rig.work(1800, step_s=60)
    mail.start()

    rig.work(600, step_s=60)

    assert len(mail.mails) == 1
    assert mail.mails[0].subject == "CRITICAL 3 alerts: 3 open, 0 over"
    assert all(f"Flood {number}." in mail.mails[0].text for number in (1, 2, 3))
    failed = [one for one in rig.attempts if not one.is_delivered]
    assert 8 <= len(failed) <= 14
    assert rig.outbox.counts() == {}
    rig.close()


def test_a_name_that_does_not_resolve_is_an_outage(tmp_path: Path) -> None:
    """DNS fails: the first alert waits, and the reason is known."""
    rig = Rig(tmp_path, desk="json://no-such-host.invalid/hook")
    rig.add(1)

    rig.work()

    assert rig.outbox.counts() == {"desk": 1}
    assert not rig.attempts[0].is_delivered
    assert rig.attempts[0].error
    rig.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_refuses_is_tried_again(tmp_path: Path, web: WebHook, status: int) -> None:
    """With growing pauses, until it takes the message; it is taken once."""
    rig = Rig(tmp_path, hook=f"json://127.0.0.1:{web.port}/hook")
    web.statuses = [status] * 3
    rig.add(1, destination="hook")

    rig.work(60, step_s=1)

    assert (web.calls, len(web.taken)) == (4, 1)
    assert [one.tries for one in rig.attempts] == [1, 2, 3, 4]
    rig.close()


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_pause_does_not_wait_for_the_clock(tmp_path: Path, web: WebHook, step_s: float) -> None:
    """A message failed, and the clock is set before the next try: it comes as soon as ever."""
    rig = Rig(tmp_path, hook=f"json://127.0.0.1:{web.port}/hook")
    web.statuses = [503]
    rig.add(1, destination="hook")
    rig.work()
    rig.now_s += step_s
    rig.step_s = step_s

    rig.work(10, step_s=1)

    assert len(web.taken) == 1
    rig.close()


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_minute_is_a_minute_whatever_the_clock_is_set_to(
    tmp_path: Path, web: WebHook, step_s: float
) -> None:
    """Three went out, and the clock is set: what comes then waits as ever, in one summary."""
    rig = Rig(tmp_path, hook=f"json://127.0.0.1:{web.port}/hook")
    rig.add(1, 2, 3, destination="hook")
    rig.work(3, step_s=1)
    rig.now_s += step_s
    rig.step_s = step_s

    rig.add(4, 5, 6, destination="hook")
    rig.work(10, step_s=1)
    assert len(web.taken) == 3
    rig.work(15, step_s=1)

    assert len(web.taken) == 4
    rig.close()


def test_one_destination_that_hangs_holds_up_no_other(tmp_path: Path, web: WebHook) -> None:
    """Each has its own process."""
    deaf = MailServer()
    deaf.on_data = lambda: time.sleep(3)
    with deaf:
        rig = Rig(tmp_path, desk=deaf.url, hook=f"json://127.0.0.1:{web.port}/hook")
        rig.add(1)
        rig.add(1, destination="hook")
        deadline = time.monotonic() + 20
        while not web.taken:
            rig.postbox.step(rig.attempts.append)
            assert time.monotonic() < deadline
            time.sleep(0.01)

        assert deaf.mails == []
        rig.work()
        assert len(deaf.mails) == 1
        rig.close()


def test_a_thousand_alerts_in_a_minute(tmp_path: Path, mail: MailServer) -> None:
    """At most six mails a minute; together they tell of each."""
    rig = Rig(tmp_path, desk=mail.url)

    for second in range(60):
        rig.add(*range(second * 1000 // 60, (second + 1) * 1000 // 60))
        rig.work(1, step_s=1)
    rig.work(60)

    assert rig.outbox.counts() == {}
    assert sum(len(one.letter.changes) for one in rig.attempts) == 1000
    assert 4 <= len(mail.mails) <= 8
    assert mail.mails[0].subject == "CRITICAL flood 0"
    rig.close()


def test_what_a_killed_sender_leaves_is_sent_again_and_says_so(
    tmp_path: Path, mail: MailServer
) -> None:
    """Whoever sent it died without a note: it may come twice, and then it says why."""
    rig = Rig(tmp_path, desk=mail.url)
    rig.add(1)

    def kill() -> None:
        posting = rig.postbox.destinations[0].posting
        assert posting is not None
        posting.process.kill()

    mail.on_data = kill
    rig.work()
    mail.on_data = lambda: None

    rig.work(30)

    assert "You may have this already" in mail.mails[-1].text
    rig.close()


def test_no_secret_is_in_an_error(tmp_path: Path, web: WebHook) -> None:
    """What a plugin complains of is published: its URL is taken out."""
    web.statuses = [403] * 9
    rig = Rig(tmp_path, hook=f"json://user:{SECRET}@127.0.0.1:{web.port}/{SECRET}?x={SECRET}")
    rig.add(1, destination="hook")

    rig.work()

    assert rig.attempts[0].error
    assert SECRET not in rig.attempts[0].error
    url = f"https://user:{SECRET}@example.org/{SECRET}"
    assert scrub(f"cannot reach {url}: refused", url).count("***") >= 2
    assert SECRET not in scrub(f"cannot reach {url}: refused", url)
    rig.close()


def test_the_outbox_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit the oldest go, first those that a newer word of the alert follows."""
    rig = Rig(tmp_path, desk=f"json://127.0.0.1:{free_port()}/")
    many = [rig.change(number % 3000, what="closed" if number >= 3000 else "opened")
            for number in range(3000)]  # fmt: skip

    rig.outbox.add(many, [])

    assert rig.outbox.counts() == {"desk": 2000}
    assert rig.outbox.dropped_total == 1000
    rig.close()


def test_a_url_that_apprise_does_not_take_is_named() -> None:
    """The others are reported with their plugin."""
    found = check({"a": "json://localhost", "b": "nonsense://x", "c": "mailto://"})

    assert found == {"a": "apprise.plugins.custom_json:NotifyJSON", "b": None, "c": None}
