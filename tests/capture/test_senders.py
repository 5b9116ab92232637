"""Who is new: a bounded memory that a flood of invented addresses does not spoil."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.capture.windows import mac

from monitorpi_capture.count.senders import KnownSenders


def test_after_a_flood_of_invented_addresses_ordinary_devices_are_not_new() -> None:
    """Fifty a second for eleven minutes fill the memory; 250 devices send all the while."""
    seen = KnownSenders()
    devices = [mac(number) for number in range(250)]
    for second in range(660):
        invented = [mac(10_000 + 50 * second + number) for number in range(50)]
        seen.learn([*devices, *invented])

    quiet = [seen.learn(devices) for _ in range(10)]

    assert quiet == [0] * 10
    assert seen.learn([mac(900_000)]) == 1


def test_a_burst_at_line_rate_does_not_make_the_household_new() -> None:
    """Devices that were silent through a minute of thousands of addresses a second come back."""
    seen = KnownSenders()
    devices = [mac(number) for number in range(250)]
    for _ in range(2):
        seen.learn(devices)
    for second in range(60):
        seen.learn([mac(10_000 + 4096 * second + number) for number in range(4096)])

    assert seen.learn(devices) == 0


@given(st.lists(st.lists(st.integers(0, 40), max_size=12, unique=True)), st.integers(1, 10))
def test_memory_is_bounded_and_nobody_is_new_twice_in_a_row(
    windows: list[list[int]], most: int
) -> None:
    """Whatever comes: at most so many of each kind, and who just sent is not new."""
    seen = KnownSenders(most)
    for window in windows:
        new = seen.learn([mac(number) for number in window])

        assert 0 <= new <= len(window)
        assert len(seen) <= 2 * most
        if len(window) <= most:
            assert seen.learn([mac(number) for number in window]) == 0
