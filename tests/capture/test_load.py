"""How busy a device is, and by which clock its frames are dated: by hand."""

from __future__ import annotations

import math

import pytest

from monitorpi_capture.inventory.admission import Entry
from monitorpi_capture.inventory.load import Averaging, load_of
from monitorpi_capture.inventory.stamps import LATE_S, STALE_S, Stamps, stamped
from monitorpi_capture.items import BYTES, PACKETS, WIDTH, MacCounts, Sighting

MAC = b"\x04aaaaa"


def counts(packets: int, size: int) -> list[int]:
    """Return the counts of some frames."""
    found = [0] * WIDTH
    found[PACKETS], found[BYTES] = packets, size
    return found


def averages(entry: Entry) -> list[float]:
    """Return bits and frames a second, sent and received."""
    return [entry.tx_bps, entry.tx_fps, entry.rx_bps, entry.rx_fps]


@pytest.mark.parametrize("side", ["tx", "rx"])
def test_an_average_follows_within_seconds_and_fades(side: str) -> None:
    """A window's rate, weighed by its length against five seconds; each side for itself."""
    entry = Entry(MAC, "eth0", 0.0, 0.0)
    busy = counts(10, 1000)
    row = MacCounts(MAC, busy, ()) if side == "tx" else MacCounts(MAC, (), busy)
    other = MacCounts(MAC, (), counts(1, 1)) if side == "tx" else MacCounts(MAC, counts(1, 1), ())
    new, kept = 1 - math.exp(-2 / 5), math.exp(-3 / 5)
    mine = slice(0, 2) if side == "tx" else slice(2, 4)

    Averaging(100.0, 2.0).add(entry, row)
    assert averages(entry)[mine] == pytest.approx([8000 / 2 * new, 10 / 2 * new])
    assert sum(averages(entry)) == pytest.approx(4005 * new)
    Averaging(103.0, 2.0).add(entry, row)
    twice = [4000 * new * (1 + kept), 5 * new * (1 + kept)]
    assert averages(entry)[mine] == pytest.approx(twice)
    Averaging(106.0, 2.0).add(entry, other)
    assert averages(entry)[mine] == pytest.approx([one * kept for one in twice])
    Averaging(103.0, 2.0).add(entry, other)  # a clock that went back makes nothing of it more
    assert averages(entry)[mine] == pytest.approx([one * kept for one in twice])

    total = entry.tx if side == "tx" else entry.rx
    assert (total[PACKETS], total[BYTES]) == (20, 2000)


def test_what_is_told_of_a_load_is_what_is_left_of_it() -> None:
    """And how much of its link that is, of the busier side."""
    entry = Entry(MAC, "eth0", 0.0, 0.0, tx_bps=1000.0, rx_bps=4000.0, tx_fps=10.0, rx_fps=40.0)
    entry.load_s, entry.link_bps = 100.0, 10_000_000

    now, later = load_of(entry, 100.0), load_of(entry, 105.0)

    assert (now.tx_bps, now.rx_bps, now.tx_frames_per_s, now.rx_frames_per_s) == (1e3, 4e3, 10, 40)
    assert now.utilisation_ratio == 0.0004
    assert (later.rx_bps, later.utilisation_ratio) == (1471.5, 0.000147)
    assert load_of(entry, 90.0) == now
    entry.link_bps = None
    assert load_of(entry, 100.0).utilisation_ratio is None


def test_a_clock_is_followed_by_its_newest_reading() -> None:
    """One that comes late says nothing; five seconds without one are long."""
    one = Stamps()
    assert one.is_stale(0.0)
    assert (one.follow(1000.0, 10.0), one.at(11.0)) == (0.0, 1001.0)
    assert (one.is_stale(10.0 + STALE_S), one.is_stale(10.1 + STALE_S)) == (False, True)

    assert one.follow(5000.0, 9.9) == 0.0
    assert one.at(11.0) == 1001.0
    assert one.follow(5000.0, 10.0) == 4000.0
    assert one.at(11.0) == 5001.0


@pytest.mark.parametrize(("off_s", "is_believed"), [(0, True), (LATE_S, True), (LATE_S + 1, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_stamped_far_off_was_stamped_by_another_clock(
    off_s: float, is_believed: bool, sign: int
) -> None:
    """It is of now, then."""
    sighting = Sighting(MAC, 1000.0 + sign * off_s, "eth0")

    assert stamped(sighting, 1000.0).at_s == (sighting.at_s if is_believed else 1000.0)
