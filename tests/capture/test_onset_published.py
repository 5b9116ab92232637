"""What is published of a look at a running window, and of copies: the JSON that readers get."""

from __future__ import annotations

from typing import Any

import pytest
from tests.capture.shown_frames import mac as shown_mac
from tests.capture.shown_frames import talk
from tests.capture.windows import SENDER, core, counts, mac, traffic, window

from monitorpi_capture.count.joining import joined
from monitorpi_capture.items import (
    FloodSums,
    FrameSample,
    MacCounts,
    OnsetCounts,
    SampledFrame,
    SpreadCounts,
    SynTarget,
    TopPeer,
)
from monitorpi_common.messages import Onset, Publication


def onset(said: Any) -> Onset:
    """Return the one onset among what was said, read back as a reader would."""
    (one,) = said
    assert isinstance(one, Publication)
    assert one.id == "eth0"
    return Onset.model_validate_json(one.message.encode())


def sample(*, times: int, back: int) -> FrameSample:
    """Return a conversation as the port shows it: each side's frames so many times."""
    frames = sorted(talk(1, 2, times=times, back=back))
    return FrameSample(("eth0",), [SampledFrame(at, 0, len(data), data) for at, data in frames])


ONE_SIDED = [
    MacCounts(shown_mac(1), counts(packets=60), counts(packets=30)),
    MacCounts(shown_mac(2), counts(packets=30), counts(packets=60)),
]


def test_a_look_is_published_with_who_floods_whom() -> None:
    """It names the window that runs by its number, and what was there before the rise."""
    one = core()
    list(one.handle(window(4, SENDER)))
    look = window(4.25, SENDER, length_s=0.25, late_syn=12)

    message = onset(one.handle(OnsetCounts(look, 0.125, FloodSums(syn=3))))

    assert (message.epoch, message.seq, message.interface) == ("e", 1, "eth0")
    assert (message.window_s, message.rise_s, message.late_syn) == (0.25, 0.125, 12)
    assert (message.end - message.start).total_seconds() == 1.0
    assert message.before == {"syn": 3}
    assert (message.packets, message.bytes, message.counts) == (30, 1800, {"syn": 30})
    assert message.engine == "socket"
    assert message.copies is None
    (device,) = message.devices
    assert (device.mac, device.role, device.tx["syn"]) == ("02:00:00:00:00:01", "unknown", 30)
    assert device.top_peer["syn"].port == 80


def test_a_look_at_an_interface_that_has_no_window_yet() -> None:
    """The first window of all has number 0."""
    message = onset(core().handle(OnsetCounts(window(1, SENDER), 1e-5, FloodSums())))

    assert (message.seq, message.before, message.sees_replies) == (0, {}, None)
    assert message.rise_s == 0.0005


def test_a_look_lists_those_who_send_most_of_what_floods_are_made_of() -> None:
    """Sixty-four at most, whatever they send else."""
    rows = [MacCounts(mac(n), counts(packets=500 - n, syn=n), ()) for n in range(1, 101)]

    message = onset(core().handle(OnsetCounts(window(1, *rows), 0.1, FloodSums())))

    assert [device.tx["syn"] for device in message.devices] == list(range(100, 36, -1))


@pytest.mark.parametrize("shown", [1, 2])
def test_copies_are_published_of_the_wire_and_of_who_has_others(shown: int) -> None:
    """Where a port shows one direction twice, readers learn whose frames to halve."""
    one = core()
    one.handle(sample(times=shown, back=1))

    message = traffic(one.handle(window(5, *ONE_SIDED)))
    look = onset(one.handle(OnsetCounts(window(5.5, *ONE_SIDED), 0.1, FloodSums())))

    for found in (message, look):
        copies = {device.mac[-1]: device.copies for device in found.devices}
        if shown == 1:
            assert copies == {"1": None, "2": None}
            assert found.copies_ratio == 0.0
        else:
            assert copies["1"] is not None
            assert (copies["1"].unicast, copies["1"].received) == (0.5, 0.0)
            assert copies["2"] is not None
            assert (copies["2"].unicast, copies["2"].received) == (0.0, 0.5)
            assert found.copies_ratio == 0.333


def test_a_target_is_named_where_the_spread_alone_says_too_little() -> None:
    """One of several hosts or ports; who has one alone has its top peer."""
    aims = [(1, 1), (2, 1), (1, 2)]
    rows = [
        MacCounts(mac(number), counts(packets=9, syn=9), (), SpreadCounts(1, ips, ports), None,
                  TopPeer(mac(9), None, None, 4), SynTarget(b"\xc0\0\2\7", 22))
        for number, (ips, ports) in enumerate(aims)
    ]  # fmt: skip

    devices = traffic(core().handle(window(1, *rows))).devices

    assert [(one.spread.a_host, one.spread.a_port) for one in devices] == [
        (None, None), ("192.0.2.7", 22), ("192.0.2.7", 22),
    ]  # fmt: skip
    assert devices[0].top_peer["icmp_echo"].model_dump(exclude_none=True) == {
        "packets": 4, "mac": "02:00:00:00:00:09",
    }  # fmt: skip


def test_a_peer_that_is_a_group_has_no_mac() -> None:
    """A flood to a multicast address has a victim by address alone."""
    row = MacCounts(
        mac(1), counts(packets=9, icmp_echo=9), (), SpreadCounts(1, 1, 0), None,
        TopPeer(b"\x01\0\x5e\0\0\x01", b"\xe0\0\0\x01", None, 9),
    )  # fmt: skip

    peer = traffic(core().handle(window(1, row))).devices[0].top_peer["icmp_echo"]

    assert peer.model_dump(exclude_none=True) == {"packets": 9, "ip": "224.0.0.1"}


# --- two windows as one ---------------------------------------------------------------------------


def flooder(
    sent: int, peer: TopPeer | None, spread: tuple[int, int, int], **more: Any
) -> MacCounts:
    """Return the row of who sends SYNs."""
    return MacCounts(
        mac(1), counts(packets=sent, syn=sent), more.get("rx", ()), SpreadCounts(*spread), peer,
        more.get("echo"), more.get("target"),
    )  # fmt: skip


def both(last: MacCounts | None, running: MacCounts) -> MacCounts:
    """Return the row of both windows as one."""
    before = window(5, last) if last else window(5)
    (row,) = joined(before, window(5.25, running, length_s=0.25)).rows
    return row


VICTIM = TopPeer(mac(2), b"\xc0\0\2\2", 80, 30)


def test_counts_of_both_windows_add_up() -> None:
    """From the start of the first on; who is silent in the running one is left out."""
    silent = MacCounts(mac(7), counts(packets=5), ())
    last, running = window(5, SENDER, silent), window(5.25, SENDER, length_s=0.25)

    one = joined(last, running)

    assert (one.start, one.end, one.length_s) == (last.start, running.end, 1.25)
    assert (one.wire[0], [row.mac for row in one.rows]) == (65, [mac(1)])
    assert one.rows[0].tx[0] == 60
    assert one.rows[0].syn_peer == VICTIM._replace(packets=60)


def test_a_side_that_was_silent_once_is_that_of_the_other_window() -> None:
    """Nothing and something is something, whichever came first."""
    got = counts(packets=4)

    assert both(flooder(1, None, (1, 1, 1), rx=got), flooder(1, None, (1, 1, 1))).rx == got
    assert both(flooder(1, None, (1, 1, 1)), flooder(1, None, (1, 1, 1), rx=got)).rx == got
    assert both(None, flooder(1, VICTIM, (1, 1, 1))) == flooder(1, VICTIM, (1, 1, 1))


def test_few_ends_may_be_the_same_ones_and_many_are_others() -> None:
    """Up to four are taken as the same in both windows."""
    row = both(flooder(9, None, (1, 4, 5)), flooder(9, None, (1, 3, 2)))

    assert row.spread == SpreadCounts(1, 4, 7)
    first, second = MacCounts(mac(1), counts(packets=1), ()), flooder(9, None, (1, 2, 3))
    assert both(first, second).spread == both(second, first).spread == SpreadCounts(1, 2, 3)


def test_of_two_victims_the_one_that_got_more_is_named() -> None:
    """Of one window alone, the one it had."""
    other = TopPeer(mac(3), b"\xc0\0\2\3", 443, 40)
    target = SynTarget(b"\xc0\0\2\2", 22)

    assert both(flooder(9, VICTIM, (1, 1, 1)), flooder(9, other, (1, 1, 1))).syn_peer == other
    assert both(flooder(9, other, (1, 1, 1)), flooder(9, VICTIM, (1, 1, 1))).syn_peer == other
    assert both(flooder(9, VICTIM, (1, 1, 1)), flooder(9, None, (1, 1, 1))).syn_peer == VICTIM
    echo = both(flooder(9, None, (1, 1, 1), echo=other), flooder(9, None, (1, 1, 1), target=target))
    assert (echo.echo_peer, echo.syn_target) == (other, target)
    again = both(flooder(9, None, (1, 1, 1), target=target), flooder(9, None, (1, 1, 1)))
    assert again.syn_target == target
