"""What ``sites`` makes of what a broker keeps of several sites."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cli.saidbysites import NOW, alert, link, overview, watch

from monitorpi_cli.sites.command import _print
from monitorpi_cli.sites.overview import MAX_ALERTS, MAX_SITES
from monitorpi_common.watch import MAX_INSTANCES


@pytest.mark.parametrize(
    ("heard", "level", "reason"),
    [
        ([watch("a"), link("a", b"1")], "watching", None),
        ([watch("a")], "watching", None),  # its link is not bridged: a broker of its own
        ([watch("a"), link("a", b"0")], "unconnected", "its broker is not connected"),
        ([link("a", b"1")], "silent", "has not said that it watches"),
        ([watch("a", at=NOW - timedelta(seconds=31))], "silent", "is 31 s old"),
        ([watch("a", at=NOW - timedelta(seconds=30))], "watching", None),
        ([watch("a", at=NOW + timedelta(seconds=31))], "watching", "its clock is 31 s ahead"),
        ([watch("a", at=NOW + timedelta(seconds=30))], "watching", None),
        (
            [watch("a", "blind", reasons=[{"what": "service", "text": "capture is gone"}])],
            "blind", "capture is gone",
        ),
        ([watch("a", "blind"), watch("a", "partly")], "partly", None),  # the later word counts
    ],
)  # fmt: skip
def test_a_sites_state(heard: list[tuple[str, bytes]], level: str, reason: str | None) -> None:
    """What it says of itself, unless that is old, or the broker knows that it is not there."""
    row = overview(*heard).rows(NOW)[0]

    assert row.level == level
    assert reason in row.reason if reason and row.reason else row.reason is reason


def test_what_is_open_is_counted_and_the_worst_is_told() -> None:
    """Closed and taken back are over; of the critical ones the newest speaks."""
    later = NOW + timedelta(seconds=1)
    topic, _ = alert("a", 4)
    one = overview(
        alert("a", 1, severity="warning", opened_at=later, summary="warned"),
        alert("a", 2, summary="old", opened_at=NOW), alert("a", 3, summary="new", opened_at=later),
        alert("a", 4), (topic, b""), alert("a", 5), alert("a", 5, "closed"),
    )  # fmt: skip

    row = one.rows(NOW)[0]

    assert (row.open_alerts, row.critical, row.worst) == (3, 2, "new")


def test_sites_are_in_order_of_need() -> None:
    """The worst first, then by name."""
    one = overview(
        watch("e"), watch("d"), watch("c", "partly"), watch("b", "blind"), link("z", b"0"),
        link("y", b"1"),
    )  # fmt: skip

    assert [row.site for row in one.rows(NOW)] == ["z", "y", "b", "c", "d", "e"]


def test_services_are_counted_with_those_that_are_gone() -> None:
    """Each instance that ever said so."""
    status = "monitorpi/v1/a/{}/status/main"
    one = overview(
        (status.format("capture"), b"online"), (status.format("prober"), b"offline"),
        (status.format("detector"), b"offline"), (status.format("detector"), b"online"),
    )  # fmt: skip

    row = one.rows(NOW)[0]

    assert (row.online, row.instances, row.age_s) == (2, 3, None)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("monitorpi/v1/a/detector/watch/main", b"{"),
        ("monitorpi/v1/a/detector/alert/x", b"[]"),
        ("monitorpi/v2/a/detector/alert/x", b"{}"),
        ("monitorpi/v1/A b/detector/alert/x", b"{}"),
        ("other", b"x"),
        ("monitorpi-sites/a\x1b[2J/link", b"1"),
        ("monitorpi-sites/a/other", b"1"),
    ],
)
def test_garbage_is_counted(topic: str, payload: bytes) -> None:
    """Nothing ends, and no site is made up of what is none."""
    one = overview(watch("b"), (topic, payload))

    assert one.rejected == 1
    assert {row.site for row in one.rows(NOW)} <= {"a", "b"}


def test_memory_is_bounded() -> None:
    """Whoever may write could name as many sites and alerts as he likes."""
    one = overview(*(link(f"s{number}", b"1") for number in range(MAX_SITES + 5)))
    for number in range(MAX_INSTANCES + 5):
        one.take(f"monitorpi/v1/s1/capture/status/i{number}", b"online")
    topic, payload = alert("s1")
    for number in range(MAX_ALERTS + 5):
        one.take(f"{topic}{number}", payload)

    assert len(one.rows(NOW)) == MAX_SITES
    assert max(row.open_alerts for row in one.rows(NOW)) == MAX_ALERTS
    assert max(row.instances for row in one.rows(NOW)) == MAX_INSTANCES


def test_what_a_site_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has a sensor at one site could write over what others show."""
    _print(overview(alert("a", summary="flood\x1b[2J\x1b[H")).rows(NOW), 0)

    assert "a: flood?[2J?[H" in capsys.readouterr().out
