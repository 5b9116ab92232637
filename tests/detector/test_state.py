"""What outlives a restart, and the configuration's ways to be wrong."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import wait_for
from tests.detector.windows import ATTACKER, Detector, at, echoes, syns, window

from monitorpi_common.log import Log
from monitorpi_common.messages import CLASSES, Service, SetThreshold, Silence
from monitorpi_common.service import CommandReceived, Tick
from monitorpi_common.settings import ConfigurationError, load
from monitorpi_detector.items import Kept, Override
from monitorpi_detector.learning import MEASURES
from monitorpi_detector.limits import LimitsTable
from monitorpi_detector.rule import LimitsChange
from monitorpi_detector.settings import DetectorSettings
from monitorpi_detector.sinks.state_file import MAX_BYTES, StateFile, pause_s

if TYPE_CHECKING:
    from pathlib import Path

KEY = "syn-flood-04000000000a"


def test_thresholds_and_silences_outlive_a_restart(tmp_path: Path) -> None:
    """What was set at run time is written at once and holds in the next process."""
    file = StateFile(tmp_path / "detector.json", Log("detector"))
    before = Detector(kept=file.read(), keep=file)
    before.take(window(0))
    before.take(CommandReceived("set_threshold", SetThreshold(rule="icmp-flood", floor=5000), "1"))
    before.take(CommandReceived("silence", Silence(key=KEY, minutes=60), "2"))
    before.core.close()
    file.flush()

    again = StateFile(tmp_path / "detector.json", Log("detector"))
    after = Detector(kept=again.read(), keep=again)
    for second in range(10, 20):
        after.take(window(second, syns(1000), echoes(1000, "04:00:00:00:00:0d")))

    assert after.open() == {}
    assert after.core.detail()["thresholds"] == {"icmp-flood": {"floor": 5000.0}}


def test_baselines_outlive_a_restart() -> None:
    """What is usual is kept, and used by the next process from its first window."""
    kept: list[Kept] = []
    before = Detector(keep=kept.append)
    for second in range(4000):
        before.take(window(second, echoes(40)))

    after = Detector(kept=Kept.model_validate_json(kept[-1].model_dump_json()))
    for second in range(5000, 5005):
        after.take(window(second, echoes(70)))

    assert kept[-1].since == at(1)
    assert ATTACKER in kept[-1].rates
    assert after.open() == {}


def test_baselines_are_learned_on_after_a_restart() -> None:
    """The time away is no silence: what was usual is so after the next hour of the same, too."""
    kept: list[Kept] = []
    before = Detector(keep=kept.append)
    for second in range(3000):
        before.take(window(second, echoes(40)))
    before.core.close()
    old = kept[-1]

    after = Detector(kept=old, keep=kept.append)
    for second in range(90_000, 90_030):
        after.take(window(second, echoes(40)))
    after.core.close()

    usual, learned = (one.rates[ATTACKER]["icmp_echo"][0] for one in (old, kept[-1]))
    assert learned > usual > 20


def test_a_sensor_that_is_gone_wears_no_card() -> None:
    """Ticks alone bring one write per ``save_s``: nothing new is learned while nobody counts."""
    kept: list[Kept] = []
    detector = Detector(keep=kept.append, save_s=600)
    detector.take(window(0))

    for second in range(3610):
        detector.take(Tick(at(second), float(second), clock_synced=True))

    assert len(kept) == 6


def test_what_is_learned_is_kept_after_the_clock_stepped_back() -> None:
    """A year back is no year without a write."""
    kept: list[Kept] = []
    detector = Detector(keep=kept.append, save_s=600)
    detector.take(window(30_000_000))

    detector.take(*[window(second, epoch="e2") for second in range(700)])

    assert len(kept) == 1


def test_the_fullest_state_fits_its_file(tmp_path: Path) -> None:
    """With every table full of the longest entries the file is written and read again."""
    macs = [f"04:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(8192)]
    rates = dict.fromkeys((*CLASSES, "half_open"), (99999.9999, 2592000.0))
    levels = dict.fromkeys(MEASURES, (99999.9999, 2592000.0))
    addresses = [f"fe80::ffff:ffff:ffff:{n:x}%interface" for n in range(8192)]
    change = LimitsChange(enabled=True, floor=1e9, factor=1e6, raise_m=60, raise_n=60,
                        raise_at_once=1e6, close_ratio=0.123, quiet_s=86400.0)  # fmt: skip
    full = Kept(
        since=at(0),
        watched_s=1e9,
        overrides=[Override(rule="surge-syn-ack", mac=mac, change=change) for mac in macs[:1024]],
        silences={f"surge-syn-ack-{n:012d}": at(n) for n in range(256)},
        macs=macs,
        dhcp_servers=macs[:64],
        dhcp_said=dict.fromkeys(macs[:64], [("boot-v6@4094", "x" * 63)] * 512),
        routers=macs[:64],
        routers_said=dict.fromkeys(macs[:64], [("vlan", "4094.4094")] * 512),
        was_up=addresses,
        rates=dict.fromkeys(macs[:4096], rates),
        probes=dict.fromkeys(addresses[:4096], levels),
    )
    file = StateFile(tmp_path / "detector.json", Log("detector"))

    file(full)
    file.flush()

    assert (tmp_path / "detector.json").stat().st_size <= MAX_BYTES
    assert file.read() == full


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"since": "soon"}', b"x" * (MAX_BYTES + 1)]
)
def test_a_broken_file_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read is as good as none."""
    path = tmp_path / "detector.json"
    path.write_bytes(content)

    assert StateFile(path, Log("detector")).read() == Kept()


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    """Where nothing can be kept the detector runs on."""
    (tmp_path / "file").write_text("in the way")
    file = StateFile(tmp_path / "file" / "detector.json", Log("detector"))

    file(Kept(since=at(0)))
    file.flush()


def test_the_writer_writes_the_newest_and_ends(tmp_path: Path) -> None:
    """What waits when the service stops is written."""
    file = StateFile(tmp_path / "new" / "detector.json", Log("detector"))
    file(Kept(macs=["a"]))
    file(Kept(macs=["a", "b"]))
    file.stop()

    file.run(lambda _: None)

    assert file.read().macs == ["a", "b"]


GOOD = Kept(
    macs=["04:00:00:00:00:0a"],
    silences={KEY: at(100)},
    overrides=[Override(rule="icmp-flood", change=LimitsChange(floor=5000))],
    watched_s=100.0,
)


def written(tmp_path: Path, *states: Kept) -> Path:
    """Write states one after the other and return the file."""
    path = tmp_path / "detector.json"
    for state in states:
        file = StateFile(path, Log("detector"))
        file(state)
        file.flush()
    return path


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 200), st.integers(0, 255), st.sampled_from(["byte", "cut"]))
def test_a_damaged_file_gives_the_copy_before(
    tmp_path: Path, where: int, byte: int, how: str
) -> None:
    """Whatever byte is wrong, limits, silences and known MACs are there, and a copy is kept."""
    path = written(tmp_path, GOOD, GOOD)
    data = bytearray(path.read_bytes())
    where %= len(data)
    data[where:] = bytes([byte]) + data[where + 1 :] if how == "byte" else b""
    path.write_bytes(data)

    kept = StateFile(path, Log("detector")).read()

    if path.exists():  # still JSON: at worst single values are others, or a part is lost
        assert sum((kept.macs != [], kept.silences != {}, kept.overrides != [])) >= 2
    else:
        assert kept == GOOD
        assert path.with_name("detector.json.damaged").read_bytes() == bytes(data)


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ({"silences": {KEY: "soon"}}, "silences"),
        ({"watched_s": float("inf")}, "watched_s"),
        ({"rates": {"a": {"syn": [float("inf"), 1]}}}, "rates"),
        ({"overrides": [{"rule": "icmp-flood", "change": {"floor": float("inf")}}]}, "overrides"),
        ({"since": "0000-01-01T00:00:00Z"}, "since"),
        ({"macs": "all"}, "macs"),
    ],
)
def test_a_damaged_part_costs_that_part(tmp_path: Path, damage: dict[str, Any], lost: str) -> None:
    """The rest goes on as it was; what is lost is named."""
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(json.loads(GOOD.model_dump_json()) | damage))

    kept = StateFile(path, Log("detector")).read()

    assert {name for name, value in kept if value != getattr(GOOD, name)} <= {lost}
    assert getattr(kept, lost) == getattr(Kept(), lost)


def test_a_number_beyond_all_is_refused(tmp_path: Path) -> None:
    """1e999 is no limit and no rate."""
    path = tmp_path / "detector.json"
    path.write_text('{"watched_s": 1e999, "macs": ["04:00:00:00:00:0a"]}')

    assert StateFile(path, Log("detector")).read() == Kept(macs=["04:00:00:00:00:0a"])


def test_a_silence_without_a_zone_is_utc(tmp_path: Path) -> None:
    """It holds, and the detector judges on."""
    path = tmp_path / "detector.json"
    path.write_text(json.dumps({"silences": {KEY: at(60).isoformat().removesuffix("+00:00")}}))
    detector = Detector(kept=StateFile(path, Log("detector")).read())

    for second in range(20):
        detector.take(window(second, syns(1000)))

    assert detector.open() == {}


def test_a_file_of_a_later_version_is_kept_aside(tmp_path: Path) -> None:
    """It is not overwritten: after an upgrade that was taken back it can be used again."""
    path = tmp_path / "detector.json"
    path.write_text('{"version": 2, "macs": ["a"]}')

    kept = StateFile(path, Log("detector")).read()

    assert kept == Kept()
    assert "2" in path.with_name("detector.json.later").read_text()


def test_limits_of_unknown_rules_are_told(tmp_path: Path) -> None:
    """They are named; the others hold."""
    path = written(tmp_path, Kept(overrides=[Override(rule="gone", change=LimitsChange(floor=1))]))
    log = Log("detector-unknown")
    lines: list[str] = []
    log.warning = lambda event, **fields: lines.append(f"{event} {fields}")  # type: ignore[method-assign]

    StateFile(path, log).read({"syn-flood"})

    assert lines == ["limits of unknown rules are dropped {'rules': 'gone'}"]


def test_what_is_learned_is_written_as_its_size_allows() -> None:
    """By hand: a minute. A new MAC: ten. Rates: a file of 214 kB each 77 minutes."""
    learned = GOOD.model_copy(update={"rates": {"a": {"syn": (1.0, 1.0)}}})
    newcomer = learned.model_copy(update={"macs": ["a"]})
    by_hand = newcomer.model_copy(update={"silences": {}})

    assert pause_s(GOOD, learned, 214_000) == pytest.approx(77 * 60, rel=0.01)
    assert pause_s(GOOD, learned, 4_000_000) == pytest.approx(86_400)
    assert pause_s(GOOD, newcomer, 214_000) == 600
    assert pause_s(GOOD, newcomer, 2_000) == pytest.approx(43, abs=1)
    assert pause_s(GOOD, by_hand, 214_000) == 60


def test_a_write_that_is_not_due_waits(tmp_path: Path) -> None:
    """The newest is kept for later, and written at the latest when the service ends."""
    file = StateFile(tmp_path / "detector.json", Log("detector"))
    big = GOOD.model_copy(update={"rates": {f"{n}": {"syn": (1.0, 1.0)} for n in range(2000)}})
    file(big)
    thread = threading.Thread(target=file.run, args=(lambda _: None,))
    thread.start()
    wait_for(lambda: file.read().rates, 10)

    file(big.model_copy(update={"watched_s": 200.0}))
    time.sleep(0.3)
    before = file.read().watched_s
    file.stop()
    thread.join(10)

    assert (before, file.read().watched_s) == (100.0, 200.0)


def settings_from(tmp_path: Path, text: str) -> DetectorSettings:
    """Read a configuration file as the service does."""
    config = tmp_path / "monitorpi.toml"
    config.write_text(text)
    return load(Service.DETECTOR, DetectorSettings, file=config).section


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[detector.rules.syn-flood]\nfloor = -1", "greater than 0"),
        ("[detector.rules.sin-flood]\nfloor = 1", "there is no rule 'sin-flood'; known: "),
        ("[detector.rules.syn-flood]\nflor = 1", "unknown key"),
        ('[detector.devices."nonsense".syn-flood]\nfloor = 1', "no MAC address"),
        ("[detector]\nlearning_s = -1", "greater than or equal to 0"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    """Each way to be wrong is named in one line."""
    with pytest.raises(ConfigurationError) as raised:
        settings_from(tmp_path, text)

    assert len(raised.value.lines) == 1
    assert message in raised.value.lines[0]


def test_limits_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """Five of three windows can never be."""
    with pytest.raises(ConfigurationError, match="make raise_m at most raise_n"):
        settings_from(tmp_path, "[detector.rules.syn-flood]\nraise_m = 5")


def test_what_is_said_of_a_device_wins() -> None:
    """Run time wins over configuration, a device over all."""
    given = DetectorSettings.model_validate(
        {
            "rules": {"syn-flood": {"floor": 200}},
            "devices": {ATTACKER: {"syn-flood": {"quiet_s": 60}}},
        }
    )
    table = LimitsTable(given.rules, given.devices)

    assert (table.of("syn-flood", None).floor, table.of("syn-flood", None).quiet_s) == (200, 15)
    own = table.of("syn-flood", ATTACKER)
    assert (own.floor, own.quiet_s) == (200, 60)
