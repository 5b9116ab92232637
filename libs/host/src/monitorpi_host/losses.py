"""What a machine lost of the frames its cards took in: cards, drivers, receive queues. I/O."""

from __future__ import annotations

from pathlib import Path

from monitorpi_host.interfaces import number_in, sysfs_folder


class Losses:
    """Frames lost below the tap, as differences since it was last asked."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}
        self._softnet = _softnet_dropped()

    def of(self, name: str) -> dict[str, int]:
        """Return what an interface lost since the last call, by place.

        A counter that went back (the interface was made anew) counts from zero.
        """
        now = _interface_losses(name)
        before = self._seen.get(name)
        self._seen[name] = now
        if before is None:
            return {}
        return {
            place: lost - was if lost >= (was := before.get(place, 0)) else lost
            for place, lost in now.items()
        }

    def softnet(self) -> int:
        """Return what the whole machine's receive queues dropped since the last call."""
        before, self._softnet = self._softnet, _softnet_dropped()
        return max(self._softnet - before, 0)


def _interface_losses(name: str) -> dict[str, int]:
    folder = sysfs_folder(name)
    if folder is not None:
        statistics = folder / "statistics"
        return {
            "rx_missed": number_in(statistics / "rx_missed_errors") or 0,
            "rx_dropped": number_in(statistics / "rx_dropped") or 0,
        }
    try:
        table = Path("/proc/self/net/dev").read_text(encoding="ascii")
    except OSError:
        return {}
    for line in table.splitlines():
        head, _, counters = line.partition(":")
        if head.strip() == name:
            return {"rx_dropped": int(counters.split()[3])}
    return {}


def _softnet_dropped() -> int:
    """Return the second column of softnet_stat (hexadecimal), over all CPUs."""
    try:
        table = Path("/proc/self/net/softnet_stat").read_text(encoding="ascii")
        return sum(int(line.split()[1], 16) for line in table.splitlines())
    except (OSError, ValueError, IndexError):
        return 0
