"""What ``bench outages`` finds missing, twice or changed."""

from __future__ import annotations

from typing import Any

from monitorpi_dev.bench import outages_verdict as verdict
from monitorpi_dev.bench.outages_verdict import StreamRow

COUNTS = {
    name: 10 * number
    for number, name in enumerate(
        ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http", "https")
    )
}
TOPIC = "monitorpi/v1/berlin/detector/alert/x"


def row(second: int, site: str = "berlin", **values: Any) -> StreamRow:
    """Return a row of the channel `traffic`."""
    named = {name.replace("_", " "): value for name, value in values.items()}
    return StreamRow(site, "traffic", f"{site}/traffic/{second}", second, named, 0.0)


def halves(**more: Any) -> list[StreamRow]:
    """Return two rows that count all frames; the second may differ."""
    whole = {
        "broadcast": 0.0, "DHCP": 10.0, "DNS": 20.0, "ARP": 30.0, "ICMP": 40.0, "IGMP": 50.0,
        "SYN": 60.0, "HTTP_and_HTTPS": 150.0,
    }  # fmt: skip
    half = {name: value / 2 for name, value in whole.items()}
    return [row(2, **half), row(4, **{**half, **more}), row(2, "paris", SYN=7.0)]


def test_every_frame_is_in_a_row() -> None:
    """By class; those of another site count for that one."""
    assert verdict.count_differences("berlin", COUNTS, halves()) == []
    assert verdict.count_differences("berlin", COUNTS, halves(SYN=31.0, status="OPEN x")) == [
        "berlin: SYN: sent 60, in rows 61.0"
    ]
    assert (
        len(verdict.count_differences("berlin", COUNTS, halves()[:1])) == 7
    )  # there was no broadcast


def test_a_row_is_there_once() -> None:
    """By its id."""
    assert verdict.doubled([row(2), row(4), row(2, "paris")]) == []
    assert verdict.doubled([row(2), row(4), row(2)]) == ["berlin/traffic/2 is there 2 times"]


def test_rows_behind_newer_ones_are_counted() -> None:
    """Each channel for itself."""
    assert verdict.overtaken([row(2), row(2, "paris"), row(4)]) == 0
    assert verdict.overtaken([row(8), row(2), row(4), row(10)]) == 2


def test_every_value_is_stored_once() -> None:
    """At its second; a text is none."""
    series = {("berlin", "traffic", "monitorpi_SYN"): [(2, 1.0), (4, 2.0)]}
    rows = [row(4, SYN=2), row(2, SYN=1.0, status="OPEN x")]
    name = "berlin/traffic/monitorpi_SYN"

    assert verdict.store_differences(rows, series) == []
    assert verdict.store_differences([*rows, row(6, SYN=0)], series) == [f"{name} at 6: not stored"]
    assert verdict.store_differences(rows[:1], series) == [f"{name} at 2: stored, not sent"]
    series["berlin", "traffic", "monitorpi_SYN"].append((4, 2.0))
    assert verdict.store_differences(rows, series) == [f"{name} at 4: stored, not sent"]
    assert verdict.name_of("HTTP and HTTPS") == "monitorpi_HTTP_and_HTTPS"


def test_the_last_word_stands_at_the_centre() -> None:
    """Health is not passed on."""
    published = {TOPIC: "b", "monitorpi/v1/berlin/detector/health/main": "h"}

    assert verdict.retained_differences(published, {TOPIC: "b"}) == []
    assert verdict.retained_differences(published, {TOPIC: "a"}) == [f"{TOPIC}: is another"]
    assert verdict.retained_differences(published, {}) == [f"{TOPIC}: is missing"]


def test_every_word_was_told_in_order() -> None:
    """What is retained may come before those that waited, and again; it is the last word, too."""
    published = {TOPIC: ["a", "b", "c"]}
    for received in (["a", "b", "c"], ["a", "c", "a", "b", "b", "c"], ["c", "a", "b", "c", "c"]):
        assert verdict.order_differences(published, {TOPIC: received}) == []
    for received in (["a", "c"], ["a", "c", "b"], ["a", "b", "c", "b"], []):
        assert len(verdict.order_differences(published, {TOPIC: received})) == 1


def test_many_differences_are_counted_and_few_named() -> None:
    """Of each kind."""
    found = verdict.Differences()
    found.add(*(f"a{number}" for number in range(9)))
    found.add("b")

    assert found.number == 10
    assert found.named == ["a0", "a1", "a2", "a3", "a4", "b"]
