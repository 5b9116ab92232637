"""The words of messages, the watch, tests and the digest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.drive import received
from tests.notifier.rig import SAMPLE, Rig, T

from monitorpi_common.examples import example
from monitorpi_common.messages import Device, NotifyTest, Sent
from monitorpi_common.service import CommandReceived, CommandRefusedError, Presence
from monitorpi_common.topics import Topic
from monitorpi_notifier.items import Attempt, Letter

# --- words --------------------------------------------------------------------------------------


def test_a_message_says_what_a_person_needs() -> None:
    """What, which device, whom, since when, how bad against what is usual, what to do."""
    rig = Rig(page="http://pi:8080/")
    camera = example(Device).model_copy(
        update={"mac": "b8:27:eb:12:34:56", "hostname": "camera", "vendor": "Acme",
                "ips": ["192.168.1.20"]}
    )  # fmt: skip
    list(rig.core.handle(received(camera, "b827eb123456")))
    rig.core.wording._page = "http://pi:8080/"
    evidence = {**SAMPLE.evidence.model_dump(), "baseline": 3.0}

    rig.alert(severity="critical", evidence=evidence)

    change = rig.box.changes[0]
    assert change.title == "CRITICAL SYN flood: camera"
    assert change.body == (
        "B8:27:eb:12:34:56 sends 1012 SYN/s to 192.168.1.10 port 80; 0 % are answered.\n"
        "\n"
        "Device: camera (Acme), 192.168.1.20, b8:27:eb:12:34:56\n"
        "Victim: 02:00:5e:10:00:01\n"
        "Since: Mon 30 Nov 12:00:00\n"
        "How bad: 1,012 frames/s; it is an alert from 100 frames/s, usual here is 3 frames/s\n"
        "What to do: Unplug it or shut its switch port, then look at what it runs. "
        "From beyond the router: limit it there.\n"
        "Page: http://pi:8080/"
    )


def test_the_end_says_how_long_and_how_bad_it_was() -> None:
    """Duration, peak, who, by name."""
    rig = Rig()
    rig.alert(severity="critical")
    rig.tick(252)
    rig.alert(state="closed", opened_at=T, severity="critical")

    change = rig.box.changes[-1]
    assert change.title == "OVER SYN flood: 192.168.1.20"
    assert change.body.startswith("It lasted 4 min 12 s: Mon 30 Nov 12:00:00 to")
    assert "Peak: 1,012 frames/s" in change.body


# --- the watch, tests, the digest ---------------------------------------------------------------


def test_a_blind_watch_is_told_and_its_end() -> None:
    """Nobody else could: the detector is not there."""
    rig = Rig()
    gone = Presence(Topic("lab", "detector", "status", "main"), online=False)
    list(rig.core.handle(gone))
    for _ in range(40):
        rig.tick()
    assert rig.reported() == ["opened watch-blind"]
    assert "The detector is not running" in rig.box.changes[0].body

    list(rig.core.handle(Presence(gone.topic, online=True)))
    for _ in range(5):
        rig.tick()

    assert rig.reported() == ["opened watch-blind", "closed watch-blind"]


def test_a_restart_of_the_detector_is_nobodys_news() -> None:
    """A few seconds blind are not told."""
    rig = Rig()
    topic = Topic("lab", "detector", "status", "main")
    list(rig.core.handle(Presence(topic, online=False)))
    for _ in range(10):
        rig.tick()
    list(rig.core.handle(Presence(topic, online=True)))
    rig.tick()

    assert rig.reported() == []


def test_a_test_goes_to_whom_it_names() -> None:
    """One destination, or all; an unknown one is refused by name."""
    rig = Rig(destinations={name: {"url": "json://localhost"} for name in ("phone", "desk")})

    list(rig.core.handle(CommandReceived("test", NotifyTest(destination="desk"), "x")))
    list(rig.core.handle(CommandReceived("test", NotifyTest(), "y")))

    assert rig.reported("desk") == ["test test", "test test"]
    assert rig.reported("phone") == ["test test"]
    with pytest.raises(CommandRefusedError, match="'nobody'; there are: phone, desk"):
        list(rig.core.handle(CommandReceived("test", NotifyTest(destination="nobody"), "z")))


def test_a_delivery_is_published_without_its_text() -> None:
    """Which alerts, whether it was taken, how long it took."""
    rig = Rig()
    rig.alert()
    change = rig.box.changes[0]
    letter = Letter("phone", change.title, change.body, (change,))

    said = list(rig.core.handle(Attempt(letter, T.timestamp(), 1.5, is_delivered=True, tries=2)))

    sent = said[0].message
    assert isinstance(sent, Sent)
    assert (sent.ok, sent.tries, sent.waited_s, sent.what) == (True, 2, 1.5, "opened")
    assert [one.key for one in sent.alerts] == ["syn-flood-b827eb123456"]


def test_the_digest_comes_once_a_day() -> None:
    """What changed, the worst delays, the busiest, at its time."""
    rig = Rig(digest_at="12:30")
    rig.alert(opened_at=T + timedelta(seconds=1))
    device = example(Device)
    more = device.totals.tx | {"bytes": device.totals.tx.get("bytes", 0) + 2_500_000}
    busy = device.model_copy(update={"totals": device.totals.model_copy(update={"tx": more})})
    for one in (device, busy):
        list(rig.core.handle(received(one, "b827eb123456")))
    for _ in range(3):
        rig.tick(29 * 60)

    digests = [one for one in rig.box.changes if one.what == "digest"]
    assert len(digests) == 1
    assert digests[0].title == "MonitorPi, Mon 30 Nov: 1 alert"
    assert "- 1 SYN flood:" in digests[0].body
    assert "2.5 MB sent" in digests[0].body
