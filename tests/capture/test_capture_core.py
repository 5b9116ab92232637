"""The capture core: what becomes of windows and commands."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from statistics import median

import pytest
from tests.capture.windows import BOOT, SENDER, Steered, core, counts, mac, traffic, window
from tests.drive import received

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.count.listing import MAX_PAYLOAD
from monitorpi_capture.items import (
    WIDTH,
    EngineReport,
    ListenerReport,
    MacCounts,
    PacketLine,
    SpreadCounts,
    TopPeer,
)
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.pacing import PacedCore
from monitorpi_common.examples import example
from monitorpi_common.messages import CLASSES, Device, Mark, Packet, Target, Watch, Wire
from monitorpi_common.service import CommandReceived, CommandRefusedError, Tick
from monitorpi_common.topics import mac_id

AT_MOST_JSONS = 6
"""Times parsing and writing a message as JSON: 2 were measured for 256 MACs, 4 for 4,096."""
RECEIVER = MacCounts(mac(2), (), counts(packets=30, syn=30))


def test_the_wire_alone_has_the_same_numbers() -> None:
    """A small message beside the large one: the same window but for who it was."""
    said = list(core().handle(window(5, SENDER, RECEIVER, losses={"socket": 3})))

    (small,) = [one for one in said if type(one.message).KIND == "wire"]
    wire = Wire.model_validate_json(small.message.encode())
    whole = traffic(said).model_dump(exclude={"devices", "omitted", "has_times"})
    assert small.id == "eth0"
    assert wire.model_dump() == whole


def test_the_wire_of_a_full_window_stays_small() -> None:
    """About a kilobyte, however many devices there are."""
    rows = [MacCounts(mac(n), counts(packets=9, **dict.fromkeys(CLASSES, 9)), ())
            for n in range(256)]  # fmt: skip
    said = list(core(reporting_level=0.1).handle(window(5, *rows)))

    sizes = {type(one.message).KIND: len(one.message.encode()) for one in said
             if type(one.message).KIND in ("wire", "traffic")}  # fmt: skip
    assert sizes["wire"] < 1500
    assert sizes["traffic"] > 40 * sizes["wire"]


def test_a_file_tells_each_window_once() -> None:
    """Nobody needs the small message beside the large one in a pipe."""
    said = CaptureCore("e", CaptureSettings(), steering=None).handle(window(5, SENDER, live=False))

    assert [type(one.message).KIND for one in said] == ["traffic"]


def test_a_window_becomes_a_traffic_message() -> None:
    """Everything an engine counted is in the message, under its name and as readers know it."""
    said = list(
        core().handle(
            window(5, SENDER, RECEIVER, losses={"socket": 3, "softnet": 0}, link_bps=10**8)
        )
    )
    message = traffic(said)

    assert said[0].id == "eth0"
    assert (message.epoch, message.seq, message.window_s) == ("e", 0, 1.0)
    assert message.start == datetime.fromtimestamp(4, UTC)
    assert message.end == datetime.fromtimestamp(5, UTC)
    assert (message.packets, message.bytes, message.counts) == (30, 1800, {"syn": 30})
    assert message.totals == {"packets": 30, "bytes": 1800, "syn": 30}
    assert (message.kernel_drops, message.losses) == (3, {"socket": 3})
    assert (message.link_bps, message.engine) == (10**8, "socket")
    assert (message.source_macs, message.new_macs) == (1, 1)
    sender, receiver = message.devices
    assert sender.mac == "02:00:00:00:00:01"
    assert sender.tx == {"packets": 30, "bytes": 1800, "syn": 30}
    assert sender.spread.model_dump(exclude_none=True) == {
        "src_ips": 1,
        "dst_ips": 2,
        "dst_ports": 3,
    }
    assert sender.top_peer["syn"].model_dump() == {
        "mac": "02:00:00:00:00:02", "ip": "192.0.2.2", "port": 80, "packets": 30,
    }  # fmt: skip
    assert receiver.rx == {"packets": 30, "bytes": 1800, "syn": 30}
    assert message.omitted.model_dump() == {"devices": 0, "packets": 0, "bytes": 0, "classes": {}}


def test_the_floor_of_the_list() -> None:
    """First who floods, the most first; then the busiest; the rest is summed per class."""
    rows = [
        MacCounts(mac(1), counts(packets=1000), ()),
        MacCounts(mac(2), counts(packets=11, arp=11), ()),
        MacCounts(mac(3), counts(packets=50, syn=50), ()),
        MacCounts(mac(4), counts(packets=10, broadcast=10), ()),
        MacCounts(mac(5), (), counts(packets=500)),
        MacCounts(mac(6), counts(packets=7, udp=7), ()),
    ]

    message = traffic(core(listed_devices=4).handle(window(1, *rows)))

    assert [device.mac[-1] for device in message.devices] == ["3", "2", "1", "5"]
    assert message.omitted.devices == 2
    assert message.omitted.packets == 17
    assert message.omitted.bytes == 17 * 60
    assert message.omitted.classes == {"broadcast": 10, "udp": 7}


def test_wire_is_listed_plus_omitted() -> None:
    """What found no row in the engine is omitted too: no frame is missing from the message."""
    overflow = counts(packets=100, syn=100)
    one = window(1, SENDER, overflow_tx=overflow, source_macs=91, wire=counts(packets=130, syn=130))

    message = traffic(core(listed_devices=1).handle(one))

    assert message.packets == 130
    assert message.devices[0].tx["packets"] + message.omitted.packets == 130
    assert message.omitted.classes == {"syn": 100}
    assert message.omitted.devices == 90
    assert (message.source_macs, message.new_macs) == (91, 91)


def test_replies_are_seen_when_a_mac_is_answered() -> None:
    """A MAC that sent SYNs and was sent SYN-ACKs shows both directions, and that stays known."""
    answered = MacCounts(
        mac(1), counts(packets=2, tcp=2, syn=1), counts(packets=1, tcp=1, syn_ack=1)
    )
    one = core()

    found = [
        traffic(one.handle(window(s, row))).sees_replies
        for s, row in enumerate((SENDER, answered, SENDER))
    ]

    assert found == [None, True, True]


def test_replies_are_seen_in_any_row() -> None:
    """Also behind rows that say nothing of TCP, or of one direction alone."""
    quiet = MacCounts(mac(2), counts(packets=9, udp=9), ())
    heard = MacCounts(mac(3), (), counts(packets=5, tcp=5))
    sided = MacCounts(mac(4), counts(packets=40, tcp=40), ())
    answered = MacCounts(
        mac(1), counts(packets=2, tcp=2, syn=1), counts(packets=1, tcp=1, syn_ack=1)
    )

    message = traffic(core().handle(window(0, quiet, heard, sided, answered)))

    assert message.sees_replies is True


def test_replies_are_not_seen_when_connections_are_one_sided() -> None:
    """Ten windows of TCP data that nobody acknowledges: only one direction is mirrored."""
    sided = MacCounts(mac(1), counts(packets=40, tcp=40), ())
    one = core()

    found = [traffic(one.handle(window(second, sided))).sees_replies for second in range(11)]

    assert found == [None] * 9 + [False] * 2


def test_a_flood_at_a_dead_host_is_no_evidence() -> None:
    """SYNs that nobody answers say nothing about the mirror port."""
    flood = MacCounts(mac(1), counts(packets=1000, tcp=1000, syn=1000), ())
    one = core()

    assert {traffic(one.handle(window(second, flood))).sees_replies for second in range(30)} == {
        None
    }


def test_watch_reaches_the_source_and_lines_become_packets() -> None:
    """Packet lines are numbered and valid; a class that does not exist is refused."""
    steered = Steered()
    one = CaptureCore("e", CaptureSettings(), steering=steered)
    order = Watch(seconds=5)

    list(one.handle(CommandReceived("watch", order, "1")))
    (said,) = one.handle(
        PacketLine("eth0", 1.0, "a > b", "02:00:00:00:00:01", "02:00:00:00:00:02", None, None, 60)
    )

    assert steered.watched == [order]
    assert isinstance(said.message, Packet)
    assert (said.id, said.message.seq, said.message.line) == ("eth0", 0, "a > b")
    with pytest.raises(CommandRefusedError, match="there is no class 'sin'"):
        one.handle(CommandReceived("watch", Watch.model_validate({"class": "sin"}), "1"))


def test_a_device_is_marked_by_a_command() -> None:
    """It is published with that at once; of who is no device nothing can be said."""
    one = CaptureCore("e", CaptureSettings(), steering=Steered())
    for second in (1, 20):
        row = MacCounts(mac(1), counts(packets=1), (), None, None)
        list(one.handle(window(float(second), row)))
    list(one.handle(Tick(datetime.fromtimestamp(21, UTC), BOOT + 21, clock_synced=True)))

    mark = Mark(mac="02:00:00:00:00:01", name="printer", pinned=True)
    (said,) = one.handle(CommandReceived("mark", mark, "1"))

    assert isinstance(said.message, Device)
    assert (said.message.hostname, said.message.marks.pinned) == ("printer", True)
    with pytest.raises(CommandRefusedError, match="there is no such device"):
        one.handle(CommandReceived("mark", Mark(mac="02:00:00:00:00:02", known=True), "2"))


def test_live_devices_are_published_with_the_tick() -> None:
    """Not with each window; a file, which has no ticks, publishes with windows and at its end."""
    row = MacCounts(mac(1), counts(packets=1), (), None, None)

    def devices(one: CaptureCore, *seconds: int, ticks: bool) -> list[str]:
        said = []
        for second in seconds:
            steps = [window(float(second), row, live=ticks)]
            if ticks:
                at = datetime.fromtimestamp(second, UTC)
                steps.append(Tick(at, BOOT + second, clock_synced=True))  # type: ignore[arg-type]
            for step in steps:
                kinds = {type(said.message).KIND for said in one.handle(step)}
                said += [f"{second} {type(step).__name__}"] * ("device" in kinds)
        return said

    assert devices(core(), 1, 20, 21, ticks=True) == ["20 Tick"]
    file = CaptureCore("e", CaptureSettings())
    assert devices(file, 1, 20, ticks=False) == ["20 WindowCounts"]


def test_what_the_bus_remembers_is_taken_up() -> None:
    """Devices that are retained, and counters for who answers the prober; nothing of others."""
    steered = Steered()
    one = CaptureCore("e", CaptureSettings(), steering=steered)
    names = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    for number, (name, retained) in enumerate(zip(names, (True, False), strict=True)):
        at = datetime.fromtimestamp(1 + number, UTC)
        device = Device(mac=name, first_seen=at, last_seen=at, present=True)
        list(one.handle(received(device, mac_id(name), retained=retained)))
    for name, state in ((names[0], "up"), (names[1], "down")):
        target = example(Target).model_copy(update={"mac": name, "state": state})
        list(one.handle(received(target, "192-0-2-1")))

    assert one.detail()["devices"] == 1
    tick = Tick(datetime.fromtimestamp(21, UTC), BOOT + 21, clock_synced=True)
    list(one.handle(tick))
    assert steered.pinned == [mac(1)]


def test_a_mark_says_what_it_says() -> None:
    """What is left out stays as it was."""
    one = CaptureCore("e", CaptureSettings(), steering=Steered())
    name = "02:00:00:00:00:01"
    at = datetime.fromtimestamp(1, UTC)
    device = Device(mac=name, first_seen=at, last_seen=at, present=True)
    list(one.handle(received(device, mac_id(name), retained=True)))
    for mark in (Mark(mac=name, name="printer"), Mark(mac=name, known=True)):
        list(one.handle(CommandReceived("mark", mark, "1")))

    marks = one._inventory._devices[mac(1)].marks
    assert marks.model_dump() == {
        "name": "printer", "known": True, "pinned": False, "ignored": False,
    }  # fmt: skip


def test_nobody_watches_a_file() -> None:
    """The command is refused with its reason."""
    with pytest.raises(CommandRefusedError, match="a capture file is read"):
        CaptureCore("e", CaptureSettings()).handle(CommandReceived("watch", Watch(), "1"))


def test_health_tells_the_engine_and_why_not_a_better_one() -> None:
    """The details name engine, refusals, interfaces that are away and what was dropped."""
    one = PacedCore(core())
    before = one.detail()
    assert (before["inventory_dropped_total"], before["inventory_undissected_total"]) == (0, 0)
    one.handle(
        EngineReport("socket", {"ebpf": "CAP_BPF is missing"}, ["eth0"], {"eth0": "is down"})
    )
    one.handle(ListenerReport(7, 2))
    one.handle(window(1, SENDER))

    detail = one.detail()

    assert detail["engine"] == "socket"
    assert detail["engines_refused"] == {"ebpf": "CAP_BPF is missing"}
    assert detail["interfaces_away"] == {"eth0": "is down"}
    assert (detail["inventory_dropped_total"], detail["inventory_undissected_total"]) == (7, 2)
    assert isinstance(detail["lag_ms"], float)


def full_row(number: int) -> MacCounts:
    """Return the largest row there is."""
    most = [10**9 + number] * WIDTH
    peer = TopPeer(mac(2), bytes(range(16)), 65535, 10**9)
    return MacCounts(mac(number), most, most, SpreadCounts(10**6, 10**6, 65535), peer, peer)


def test_the_payload_is_bounded() -> None:
    """However large the numbers, a message stays below its limit and omits the rest."""
    rows = [full_row(number) for number in range(4096)]
    said = list(core(listed_devices=4096).handle(window(1, *rows)))
    payload = said[0].message.encode()
    message = traffic(said)

    assert len(payload) <= MAX_PAYLOAD
    assert 100 < len(message.devices) < 4096
    assert message.omitted.devices == 4096 - len(message.devices)
    assert (
        message.omitted.packets + sum(one.tx["packets"] for one in message.devices)
        == message.packets
    )
    assert MAX_PAYLOAD == 262_144


@pytest.mark.parametrize("rows", [256, 4096])
def test_a_window_costs_a_few_times_its_json(rows: int) -> None:
    """However many MACs a window lists: a row costs as much, held against plain JSON of the same.

    A limit in milliseconds would measure who else runs.
    """
    one = core(listed_devices=4096)
    sample = [
        MacCounts(mac(n), counts(packets=n, syn=n % 7, tcp=n, ipv4=n), counts(packets=3, ipv4=3))
        for n in range(1, rows + 1)
    ]
    for second in (1, 20):
        list(one.handle(window(second, *sample)))
    times = []
    for second in range(21, 30):
        now = window(second, *sample)
        begun = time.process_time()
        payloads = [answer.message.encode() for answer in one.handle(now)]
        made = time.process_time()
        json.dumps(json.loads(payloads[0]))
        times.append((made - begun) / (time.process_time() - made))

    assert median(times) < AT_MOST_JSONS


def test_rows_of_devices_are_pinned_so_that_they_keep_their_counters() -> None:
    """Confirmed and pinned devices are handed to the engine with the next tick."""
    steered = Steered()
    one = CaptureCore("e", CaptureSettings(pinned_macs=("02:00:00:00:00:09",)), steering=steered)
    for second in (1, 12):
        list(one.handle(window(second, SENDER)))

    list(one.handle(Tick(datetime.fromtimestamp(13, UTC), BOOT, clock_synced=True)))

    assert steered.pinned == [mac(9), mac(1)]


def test_json_of_a_message_has_no_empty_noise() -> None:
    """Counts of zero and empty parts of a device are left out: 256 devices stay small."""
    (said, *_) = core().handle(window(1, SENDER))
    device = json.loads(said.message.encode())["devices"][0]

    assert "rx" not in device
    assert device["tx"] == {"packets": 30, "bytes": 1800, "syn": 30}
