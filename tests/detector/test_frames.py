"""What a mirror shows and what there was: windows are judged by frames, in one place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.detector.windows import ATTACKER, VICTIM, Detector, echoes, plain, syns, window

from monitorpi_common.messages import CLASSES, Copies, DeviceWindow, Repeats
from monitorpi_detector.views.frames import by_frames

TWICE = Copies(unicast=0.5, group=0.5, received=0.5)


def test_a_window_without_copies_is_left_as_it_is() -> None:
    """The usual case costs nothing."""
    one = window(0, syns(50), copies_ratio=0.0, repeats=Repeats(ratio=0.1, senders=2))

    assert by_frames(one) is one


def test_thirty_pings_shown_twice_are_no_flood() -> None:
    """Thresholds hold for frames: 60 shown are 30."""
    detector = Detector()
    for second in range(20):
        detector.take(window(second, echoes(60), copies=TWICE, copies_ratio=0.5))

    assert detector.alerts == []


def test_a_flood_shown_twice_is_told_with_its_true_rate() -> None:
    """And the alert says what was left out."""
    detector = Detector()
    for second in range(3):
        detector.take(window(second, syns(600), copies=TWICE, copies_ratio=0.5))

    [alert] = detector.open().values()
    assert (alert.evidence.value, alert.evidence.copies_ratio) == (300, 0.5)
    assert "the mirror port shows frames 2 times on average, each counted once" in alert.summary


def test_nothing_but_copies_is_a_sentence_too() -> None:
    """A sensor may say that every frame was one."""
    detector = Detector()
    for second in range(3):
        detector.take(window(second, syns(60_000), copies_ratio=1.0))

    assert "shows frames 100 times on average" in detector.alerts[0].summary


def test_connections_shown_twice_are_completed_once() -> None:
    """Answers are divided as requests are: a busy server's connections come to life."""
    row = syns(
        300, rx={"packets": 1200, "tcp": 1200, "syn_ack": 300}, packets=1500, tcp=1500, fin=300
    )
    detector = Detector()
    for second in range(10):
        detector.take(window(second, row, copies=TWICE))

    assert detector.alerts == []


def test_a_devices_own_share_goes_before_the_wires() -> None:
    """Of three ports two are mirrored both ways: what goes to the third is shown once."""
    single = echoes(80).model_copy(update={"copies": Copies()})
    detector = Detector()
    for second in range(3):
        detector.take(window(second, single, copies=TWICE))

    [alert] = detector.open().values()
    assert alert.evidence.value == 80


def test_kinds_are_divided_apart() -> None:
    """A broadcast that eight ports show is one, a ping that two show is one."""
    row = plain(
        ATTACKER, packets=80 + 60, bytes=1400, broadcast=80, arp=80, icmp=60, icmp_echo=60, ipv4=60
    )
    shown = window(0, row, copies=Copies(unicast=0.5, group=0.875))

    [reported] = by_frames(shown).devices

    assert reported.tx == {
        "packets": 40, "bytes": 400, "broadcast": 10, "arp": 10, "icmp": 30, "icmp_echo": 30,
        "ipv4": 30,
    }  # fmt: skip
    assert by_frames(shown).packets == 40


TALLIES = st.dictionaries(st.sampled_from(["packets", "bytes", *CLASSES]), st.integers(0, 10**6))
SHARES = st.builds(Copies, unicast=st.floats(0, 1), group=st.floats(0, 1), received=st.floats(0, 1))


@given(TALLIES, TALLIES, SHARES)
def test_whatever_a_sensor_says_the_bounds_hold(
    tx: dict[str, int], rx: dict[str, int], copies: Copies
) -> None:
    """No count falls below an eighth of what was shown, none rises, none that was there goes."""
    row = DeviceWindow(mac=ATTACKER, tx=tx, rx=rx, copies=copies)

    [reported] = by_frames(window(0, row)).devices

    for name, count in tx.items():
        assert count // 8 <= reported.tx[name] <= count
        assert (reported.tx[name] > 0) == (count > 0)
    for name, count in rx.items():
        assert count // 3 <= reported.rx[name] <= count


# --- loops ----------------------------------------------------------------------------------------

DEVICES = [f"04:00:00:00:01:{number:02x}" for number in range(40)]


def looping(second: int, each: int = 200, **more: object) -> object:
    """Build a window in which a loop repeats broadcasts of forty devices."""
    rows = [plain(one, packets=each, bytes=60 * each, arp=each, broadcast=each) for one in DEVICES]
    reported = {"repeats": Repeats(ratio=0.99, senders=38)} | more
    return window(second, *rows, **reported)  # type: ignore[arg-type]  # fields of a window


def test_a_loop_is_one_alert_that_says_so() -> None:
    """Nobody is named: the frames are everybody's."""
    detector = Detector()
    for second in range(5):
        detector.take(looping(second))

    [alert] = detector.open().values()
    assert alert.key == "loop-wire-eth0"
    assert "loop on eth0" in alert.summary
    assert alert.evidence.value == 7920


def test_a_loop_closes_when_the_cable_is_out() -> None:
    """After the quiet time."""
    detector = Detector()
    for second in range(5):
        detector.take(looping(second))
    for second in range(5, 30):
        detector.take(window(second, repeats=Repeats(ratio=0.0, senders=0)))

    assert {one.key for one in detector.alerts} == {"loop-wire-eth0"}
    assert (detector.alerts[-1].state, detector.alerts[-1].close_reason) == ("closed", "quiet")


def test_storms_told_before_the_loop_was_seen_are_linked_to_it() -> None:
    """The window in which it began may have no sample of it."""
    detector = Detector()
    detector.take(*(looping(second, each=400, repeats=None) for second in range(3)))
    storms = {one.key for one in detector.open().values()}
    for second in range(3, 6):
        detector.take(looping(second, each=400))

    assert storms
    assert {detector.open()[key].caused_by for key in storms} == {"loop-wire-eth0"}
    assert {detector.open()[key].severity for key in storms} == {"info"}


def test_a_broken_device_is_named() -> None:
    """One host that repeats its frame is a storm of that host."""
    row = plain(ATTACKER, packets=3000, bytes=180_000, broadcast=3000, ipv4=3000, udp=3000)
    detector = Detector()
    for second in range(5):
        detector.take(window(second, row, repeats=Repeats(ratio=0.99, senders=1)))

    assert list(detector.open()) == [f"broadcast-storm-{ATTACKER.replace(':', '')}"]


def test_a_few_repeats_are_no_loop() -> None:
    """Hellos and retries of many devices, all the same each second."""
    detector = Detector()
    for second in range(20):
        detector.take(looping(second, each=3))

    assert detector.alerts == []


def test_a_flood_during_a_loop_is_told() -> None:
    """A loop repeats broadcasts; it excuses no SYNs."""
    detector = Detector()
    for second in range(4):
        shown = looping(second)
        rows = [*shown.devices, syns(300), plain(VICTIM, packets=1)]  # type: ignore[attr-defined]
        counts = dict(shown.counts) | {"syn": 300, "tcp": 300}  # type: ignore[attr-defined]
        detector.take(shown.model_copy(update={"devices": rows, "counts": counts}))  # type: ignore[attr-defined]

    assert set(detector.open()) == {"loop-wire-eth0", f"syn-flood-{ATTACKER.replace(':', '')}"}
