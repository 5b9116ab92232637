"""What outlives a restart, and the configuration's ways to be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import ATTACKER, Detector, at, echoes, syns, window

from monitorpi_common.log import Log
from monitorpi_common.messages import CLASSES, Service, SetThreshold, Silence
from monitorpi_common.service import Order, Tick
from monitorpi_common.settings import ConfigurationError, load
from monitorpi_detector.core import MEASURES
from monitorpi_detector.rule import Change
from monitorpi_detector.settings import DetectorSettings, LimitsTable
from monitorpi_detector.state import MAX_BYTES, Kept, Override, StateFile

if TYPE_CHECKING:
    from pathlib import Path

KEY = "syn-flood-04000000000a"


def test_thresholds_and_silences_outlive_a_restart(tmp_path: Path) -> None:
    """What was set at run time is written at once and holds in the next process."""
    file = StateFile(tmp_path / "detector.json", Log("detector"))
    before = Detector(kept=file.read(), keep=file)
    before.take(window(0))
    before.take(Order("set_threshold", SetThreshold(rule="icmp-flood", floor=5000), "1"))
    before.take(Order("silence", Silence(key=KEY, minutes=60), "2"))
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
    change = Change(enabled=True, floor=1e9, factor=1e6, raise_m=60, raise_n=60,
                        raise_at_once=1e6, close_ratio=0.123, quiet_s=86400.0)  # fmt: skip
    full = Kept(
        since=at(0),
        watched_s=1e9,
        overrides=[Override(rule="surge-syn-ack", mac=mac, change=change) for mac in macs[:1024]],
        silences={f"surge-syn-ack-{n:012d}": at(n) for n in range(256)},
        macs=macs,
        dhcp_servers=macs[:64],
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
    settings: dict[str, Any] = {
        "rules": {"syn-flood": {"floor": 200}},
        "devices": {ATTACKER: {"syn-flood": {"quiet_s": 60}}},
    }
    table = LimitsTable(DetectorSettings(**settings))

    assert (table.of("syn-flood", None).floor, table.of("syn-flood", None).quiet_s) == (200, 15)
    own = table.of("syn-flood", ATTACKER)
    assert (own.floor, own.quiet_s) == (200, 60)
