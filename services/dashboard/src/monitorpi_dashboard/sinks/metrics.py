"""The picture as metrics for Prometheus: made when they are asked for, from what the page shows.

Wire, services, alerts and targets always, at most as many as the page holds of each; devices by
choice, the busiest first, since every MAC address is a series of its own. Names and units are
Prometheus' own: ``_total`` for counters, seconds, bytes and ratios. Counters begin anew with an
epoch of capture, as Prometheus expects of a counter.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    Rows = Iterable[tuple[Sequence[str], float]]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_LEVELS: Final = ("watching", "partly", "blind")
_ROUND_TRIP: Final = ("rtt_min_ms", "rtt_avg_ms", "rtt_p50_ms", "rtt_p95_ms", "rtt_max_ms")

Picture = dict[str, Any]


class Metrics:
    """Turns the newest picture into text."""

    def __init__(
        self,
        picture: Callable[[], Picture],
        rates: Callable[[str], dict[str, Any]],
        max_devices: int,
    ) -> None:
        self._picture = picture
        self._rates = rates
        self._max_devices = max_devices
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family; for the registry."""
        picture = self._picture()
        if not picture:
            return
        yield from _watch(picture)
        yield from _services(list(picture["services"].values()))
        yield from _wire(list(picture["interfaces"].values()))
        yield from _alerts(list(picture["alerts"].values()))
        yield from _targets(list(picture["targets"].values()))
        devices = picture["devices"].values()
        yield _gauge("devices", "Devices of the inventory.", ["present"], [
            ((present,), sum(one["present"] is (present == "true") for one in devices))
            for present in ("true", "false")
        ])  # fmt: skip
        if self._max_devices:
            yield from _devices(self._busiest(picture))

    def _busiest(self, picture: Picture) -> list[Picture]:
        """Return the busiest devices with every class they send and are sent."""
        found = sorted(picture["devices"].values(), key=_traffic, reverse=True)
        return [one | self._rates(one["mac"]) for one in found[: self._max_devices]]


def _gauge(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"monitorpi_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = CounterMetricFamily(f"monitorpi_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _watch(picture: Picture) -> Iterator[Metric]:
    state = picture["watch"]["state"]
    yield _gauge("watch_state", "1 for the state of the watch, 0 for the others.", ["state"], [
        ((level,), float(level == state)) for level in _LEVELS
    ])  # fmt: skip
    if picture["silent_s"] is not None:
        rows = [((), picture["silent_s"])]
        yield _gauge("silent_seconds", "Since the end of the newest window.", [], rows)


def _services(services: list[Picture]) -> Iterator[Metric]:
    labels = ["service", "instance"]
    named = [(tuple(one["name"].split("/", 1)), one) for one in services]
    yield _gauge("service_up", "An instance of a service is connected.", labels, [
        (name, float(one["online"])) for name, one in named
    ])  # fmt: skip
    healthy = [(name, one["health"]) for name, one in named if one["health"]]
    yield _gauge("service_start_time_seconds", "When it was started, since 1970.", labels, [
        (name, _seconds(health["started_at"])) for name, health in healthy
    ])  # fmt: skip
    yield _gauge("service_resident_memory_bytes", "Its resident memory.", labels, [
        (name, health["rss_bytes"]) for name, health in healthy
    ])  # fmt: skip
    for key, text in (
        ("published", "Messages it sent."),
        ("received", "Messages it received."),
        ("rejected", "Messages it received that are not of the contract."),
        ("refused", "Messages of its own that the broker refused."),
        ("queue_dropped", "Messages it dropped because they came too fast."),
    ):
        yield _counter(f"service_messages_{key}", text, labels, [
            (name, health[f"{key}_total"]) for name, health in healthy
        ])  # fmt: skip


def _wire(interfaces: list[Picture]) -> Iterator[Metric]:
    yield _counter("wire_frames", "Frames seen on the wire.", ["interface"], [
        ((one["name"],), one["totals"].get("packets", 0)) for one in interfaces
    ])  # fmt: skip
    yield _counter("wire_bytes", "Their bytes, without checksum.", ["interface"], [
        ((one["name"],), one["totals"].get("bytes", 0)) for one in interfaces
    ])  # fmt: skip
    yield _counter("wire_class_frames", "Frames by class; classes overlap.", [
        "interface", "class"], [
        ((one["name"], name), count)
        for one in interfaces
        for name, count in one["totals"].items()
        if name not in ("packets", "bytes")
    ])  # fmt: skip
    yield _counter("wire_lost_windows", "Windows that never arrived here.", ["interface"], [
        ((one["name"],), one["lost_windows"]) for one in interfaces
    ])  # fmt: skip
    yield _gauge("wire_lost_frames", "Frames lost in the newest window.", ["interface"], [
        ((one["name"],), one["kernel_drops"]) for one in interfaces
    ])  # fmt: skip
    yield _gauge("wire_source_macs", "Source MAC addresses in the newest window.", ["interface"], [
        ((one["name"],), one["source_macs"]) for one in interfaces
    ])  # fmt: skip


def _alerts(alerts: list[Picture]) -> Iterator[Metric]:
    opened = [one for one in alerts if one["state"] == "open"]
    labels = ["rule", "severity", "subject", "interface"]
    yield _gauge("alert_open", "1 for each open alert.", labels, [
        ((one["rule"], one["severity"], one["subject"], one["interface"] or ""), 1.0)
        for one in opened
    ])  # fmt: skip
    yield _gauge("alerts_open", "Open alerts.", [], [((), len(opened))])


def _targets(targets: list[Picture]) -> Iterator[Metric]:
    labels = ["name", "address"]
    named = [((one["name"], one["address"]), one) for one in targets]
    yield _gauge("target_up", "A target answers: 1; it is down: 0.", labels, [
        (name, float(one["state"] != "down")) for name, one in named if one["state"] != "unknown"
    ])  # fmt: skip
    yield _gauge("target_loss_ratio", "Requests of the last round nothing came back for.", labels, [
        (name, one["last"]["loss_ratio"])
        for name, one in named if one["last"]["loss_ratio"] is not None
    ])  # fmt: skip
    yield _gauge("target_round_trip_seconds", "Of the last round.", [*labels, "statistic"], [
        ((*name, key.split("_")[1]), one["last"][key] / 1000)
        for name, one in named for key in _ROUND_TRIP if one["last"][key] is not None
    ])  # fmt: skip
    yield _gauge("target_jitter_seconds", "Of the last round.", labels, [
        (name, one["last"]["jitter_ms"] / 1000)
        for name, one in named if one["last"]["jitter_ms"] is not None
    ])  # fmt: skip
    yield _gauge("target_mos", "Estimated quality of a call, 1 to 5.", labels, [
        (name, one["last"]["mos"]) for name, one in named if one["last"]["mos"] is not None
    ])  # fmt: skip


def _devices(busiest: list[Picture]) -> Iterator[Metric]:
    """Yield what devices send and are sent: rates of the newest window."""
    labels = ["mac", "name", "direction"]
    named = [((one["mac"], one["hostname"] or ""), one) for one in busiest]
    for key, name, text in (
        ("packets", "device_frames_per_second", "Frames of the newest window."),
        ("bytes", "device_bytes_per_second", "Bytes of the newest window."),
    ):
        yield _gauge(name, text, labels, [
            ((*who, way), one[way].get(key, 0.0)) for who, one in named for way in ("tx", "rx")
        ])  # fmt: skip
    yield _gauge("device_class_frames_per_second", "By class; only what is not 0.", [
        *labels, "class"], [
        ((*who, way, word), rate)
        for who, one in named
        for way in ("tx", "rx")
        for word, rate in one[way].items()
        if word not in ("packets", "bytes") and rate
    ])  # fmt: skip


def _traffic(device: Picture) -> float:
    return float(device["tx"].get("bytes", 0.0) + device["rx"].get("bytes", 0.0))


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()
