"""A mapping that cannot work is refused at start, in words that say what there is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from monitorpi_cloud_bridge.mapping import (
    DEFAULTS,
    FREE,
    PAID,
    READABLE,
    MappingEntry,
    PlanError,
    check_mapping,
    check_quota,
)
from monitorpi_cloud_bridge.paths import PathError, check, values
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.messages import CLASSES, Health, Probe, Traffic

if TYPE_CHECKING:
    from pathlib import Path

CLASS_NAMES = ", ".join(("packets", "bytes", *CLASSES))


def entry(**more: Any) -> dict[str, Any]:
    """Build a table of the mapping: the SYN counter, or as told."""
    settled = {
        "topic": "capture/traffic/+", "path": "totals.syn", "channel": "traffic", "field": 7,
        "aggregate": "sum",
    }  # fmt: skip
    return settled | more


def settings(*mapping: dict[str, Any], **more: Any) -> CloudBridgeSettings:
    """Build settings with one channel and a mapping."""
    settled: dict[str, Any] = {
        "channels": {"traffic": 1}, "write_keys": {"traffic": "K"},
        "mapping": list(mapping) or None,
    }  # fmt: skip
    return CloudBridgeSettings.model_validate(settled | more)


def refusal(*mapping: dict[str, Any], **more: Any) -> str:
    """Return the sentence settings are refused with."""
    with pytest.raises(ValidationError) as refused:
        settings(*mapping, **more)
    (problem,) = refused.value.errors(include_url=False)
    return str(problem["msg"]).removeprefix("Value error, ")


FIELD = "mapping: field 7 of channel 'traffic': "


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (
            [entry(), entry(path="totals.arp")],
            "mapping: field 7 of channel 'traffic' is mapped twice",
        ),
        (
            [entry(channel="other")],
            "mapping: channel 'other' is not configured; there are: traffic",
        ),
        (
            [entry(topic="capture/packet/+", path="length")],
            (f"{FIELD}topic 'capture/packet/+': nothing is relayed from it; there are: "
            "capture/wire, capture/traffic, capture/device, prober/probe, prober/target, "
            "detector/alert, "
            "capture/health, prober/health, detector/health"),
        ),
        (
            [entry(path="totals.sny")],
            (f"{FIELD}path 'totals.sny' of capture/traffic: there is no 'sny'; there are: "
            f"{CLASS_NAMES}"),
        ),
        (
            [entry(path=["totals.syn", "totals.htpps"])],
            (f"{FIELD}path 'totals.htpps' of capture/traffic: there is no 'htpps'; there are: "
            f"{CLASS_NAMES}"),
        ),
        (
            [entry(path=["totals.syn", "packets"])],
            f"{FIELD}path ['totals.syn', 'packets']: counters (totals.) and values cannot be added",
        ),
        (
            [entry(topic="prober/probe/+", path="targets.rtt_avg_ms")],
            (f"{FIELD}path 'targets.rtt_avg_ms' of prober/probe: 'targets' is a list: "
            "write targets[]"),
        ),
        (
            [entry(topic="prober/probe/+", path="source[].echo_per_s")],
            f"{FIELD}path 'source[].echo_per_s' of prober/probe: 'source' is no list",
        ),
        (
            [entry(topic="prober/probe/+", path="targets[state=upp].#")],
            (f"{FIELD}path 'targets[state=upp].#' of prober/probe: there is no 'upp'; there are: "
            "up, down, flapping, unknown"),
        ),
        (
            [entry(topic="capture/device/+", path="vendor")],
            f"{FIELD}path 'vendor' of capture/device: 'vendor' is no number",
        ),
        (
            [entry(topic="capture/device/+", path="load")],
            f"{FIELD}path 'load' of capture/device: 'load' is no number",
        ),
        (
            [entry(path="packets.syn")],
            f"{FIELD}path 'packets.syn' of capture/traffic: there is nothing inside 'packets'",
        ),
        ([entry(path="targets[.rtt")], "'targets[' in 'targets[.rtt' is no step of a path"),
        (
            [entry(aggregate="median")],
            "Input should be 'last', 'sum', 'mean', 'min', 'max' or 'rate'",
        ),
        ([entry(field=0)], "Input should be greater than or equal to 1"),
        ([entry(field=9)], "Input should be less than or equal to 8"),
        (
            [entry(topic="capture/traffic")],
            "String should match pattern '^[a-z-]+/[a-z]+/([a-z0-9-]+|\\+)$'",
        ),
    ],
)  # fmt: skip
def test_each_way_to_be_wrong_has_its_sentence(mapping: list[dict[str, Any]], said: str) -> None:
    """What is wrong, where, and what there is instead."""
    assert refusal(*mapping) == said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"channels": dict.fromkeys("abcde", 1) | {n: i for i, n in enumerate("abcde", 1)},
             "write_keys": dict.fromkeys("abcde", "K"), "interval_s": 3600},
            "mapping: 5 channels are configured, a free licence has 4",
        ),
        (
            {"channels": {"traffic": 1, "health": 2},
             "write_keys": {"traffic": "K", "health": "K"}},
            ("mapping: 2 channels x 86400 s / 20 s x 365 days = 3,153,600 rows a year; a free "
            "licence takes 3,000,000: set interval_s to 22 or more"),
        ),
        (
            {"channels": {n: i for i, n in enumerate("abcd", 1)},
             "write_keys": dict.fromkeys("abcd", "K"), "interval_s": 15},
            ("mapping: 4 channels x 86400 s / 15 s x 365 days = 8,409,600 rows a year; a free "
            "licence takes 3,000,000: set interval_s to 43 or more"),
        ),
        (
            {"channels": {"traffic": 1, "health": 1},
             "write_keys": {"traffic": "K", "health": "K"}, "interval_s": 30},
            "channels: two names have one number; their rows would take each other's seconds",
        ),
        (
            {"channels": {"traffic": 1}, "write_keys": {}},
            ("write_keys: the key of channel 'traffic' is missing; put it into the secrets "
            "directory as a file cloud_bridge__write_keys__traffic"),
        ),
        ({"write_keys": {"traffic": "\n"}},
         "empty, or not all plain letters and digits; copy it again"),
        ({"write_keys": {"traffic": "schl\u00fcssel"}},
         "empty, or not all plain letters and digits; copy it again"),
        ({"talkback": {"id": 1, "key": "K\nL"}},
         "empty, or not all plain letters and digits; copy it again"),
        ({"pacing_s": 15}, "pacing_s: the service takes a call each 15 s; use 16"),
        ({"interval_s": 14}, "interval_s: a free licence takes a row each 15 s"),
        ({"talkback": {"id": 1, "key": "K", "poll_s": 14}},
         "talkback.poll_s: look every 15 s or more"),
        ({"url": "http://api.thingspeak.com"},
         "url: plain http would show the key; use https, or set allow_http"),
        ({"url": "api.thingspeak.com"},
         "url: 'api.thingspeak.com' is not an http or https address"),
        ({"url": "https://[::1"}, "url: 'https://[::1' is not an http or https address"),
        ({"url": "https://a:99999"}, "url: 'https://a:99999' is not an http or https address"),
        ({"url": "https://a:0"}, "url: 'https://a:0' is not an http or https address"),
        ({"url": "https:///a"}, "url: 'https:///a' is not an http or https address"),
        ({"url": "https://me:word@api.thingspeak.com"},
         "url: no user, password or query in an address: keys are secrets"),
        ({"influx": {"url": "http://influx.lan:8086"}},
         "influx.url: plain http would show the key; use https, or set allow_http"),
    ],
)  # fmt: skip
def test_each_plan_that_breaks_a_limit_has_its_sentence(values: dict[str, Any], said: str) -> None:
    """The arithmetic stands in the message, and what would be right."""
    assert refusal(**values) == said


def test_a_wrong_mapping_ends_the_process_with_one_line(tmp_path: Path) -> None:
    """The sentence is all a user sees: no traceback, no key, exit code 2."""
    file = tmp_path / "m.toml"
    file.write_text(
        'site = "lab"\n[cloud-bridge]\nchannels = { traffic = 1 }\n'
        "write_keys = { traffic = 4711471147114711 }\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cloud_bridge", "--config", file, "--bus", "-"],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("cloud_bridge.write_keys.traffic: input should be a valid string")


def test_a_file_that_holds_no_certificate_ends_the_process_with_one_line(tmp_path: Path) -> None:
    """Before anything is sent: what the setting is called, and what is wrong with the file."""
    (tmp_path / "ca.pem").write_text("nothing to trust")
    file = tmp_path / "m.toml"
    file.write_text(
        f'site = "lab"\nstate_dir = "{tmp_path}"\n[cloud-bridge]\nchannels = {{ traffic = 1 }}\n'
        f'write_keys = {{ traffic = "K" }}\nca_file = "{tmp_path}/ca.pem"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cloud_bridge", "--config", file, "--bus", "-"],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{file}: cloud_bridge.ca_file: no PEM file" in line


def test_the_default_mapping_is_sound() -> None:
    """Every default path exists in the contract and one free channel fits the quota."""
    check_mapping(DEFAULTS, ["traffic", "health"])
    check_quota(1, 20, FREE)
    check_quota(2, 22, FREE)
    check_quota(4, 43, FREE)
    check_quota(2, 2, PAID)

    for channel in ("traffic", "health"):
        fields = [one.field for one in DEFAULTS if one.channel == channel]
        assert fields == list(range(1, 9))


@pytest.mark.parametrize(("channels", "interval"), [(1, 10), (2, 21), (3, 31), (4, 42)])
def test_the_interval_a_refusal_names_is_the_least_that_fits(channels: int, interval: int) -> None:
    """One second less would break the quota again."""
    with pytest.raises(PlanError):
        check_quota(channels, interval, FREE)

    check_quota(channels, interval + 1, FREE)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Traffic, "packets"), (Traffic, "losses.rx_missed"), (Traffic, "devices[].tx.syn"),
        (Traffic, "devices[role=router].spread.src_ips"), (Traffic, "devices[].#"),
        (Traffic, "omitted.classes.arp"), (Traffic, "sees_replies"), (Traffic, "link_bps"),
        (Traffic, "devices[].top_peer.syn.packets"), (Probe, "targets[state=up].#"),
        (Probe, "sources[].echo_per_s"), (Health, "detail.lanes.whatever.deep"),
    ],
)  # fmt: skip
def test_paths_the_contract_knows_are_allowed(message: type[BaseModel], path: str) -> None:
    """Every number of every message can be relayed."""
    check(message, path)


def test_every_path_that_is_allowed_can_be_walked() -> None:
    """The check and the walk read a path alike: a real message gives a number."""
    window = {"packets": 3, "devices": [{"role": "router", "tx": {"syn": 2}}]}
    assert values(window, "devices[role=router].tx.syn") == [2.0]
    with pytest.raises(PathError):
        check(Traffic, "devices[role=routr].tx.syn")
    assert values(window, "devices[role=routr].tx.syn") == []


@pytest.mark.parametrize("place", READABLE)
def test_topics_are_covered_by_kind_and_by_name(place: str) -> None:
    """A plus takes every id, a name only its own."""
    path = "uptime_s" if place.endswith("health") else "at"
    every = MappingEntry.model_validate(entry(topic=f"{place}/+", path=path))
    one = MappingEntry.model_validate(entry(topic=f"{place}/eth0", path=path))

    assert every.covers(f"{place}/eth1")
    assert not one.covers(f"{place}/eth1")
    assert one.covers(f"{place}/eth0")
    assert not every.covers(f"{place}s/eth0")
    assert not one.covers(f"{place}/eth01")
    assert not every.covers("other/kind/eth0")
