"""What a day was like, once a day: what changed, the worst delays, the busiest devices. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Alert, Device, Target
from monitorpi_notifier.advice import advice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, tzinfo

    from monitorpi_common.messages import Message
    from monitorpi_notifier.directory import Directory

MOST: Final = 4_096
_SHOWN: Final = 5
_LATE: Final = timedelta(hours=1)
_STEPS: Final = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Digest:
    """Gathers a day; in memory only, and it says since when."""

    directory: Directory
    zone: tzinfo
    at: str | None
    """Local time of day, ``07:30``; None: no digest."""
    page: str | None = None
    _since: datetime | None = None
    _next: datetime | None = None
    _alerts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By id: rule and the sentence."""
    _bytes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By MAC address: bytes since the sensor's epoch as last seen, and of the day."""
    _delays: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By address: the worst round trip in ms, and the worst loss."""

    def receive(self, message: Message) -> None:
        """Take what may be worth a line."""
        if self.at is None:
            return
        match message:
            case Alert():
                is_new = self._since is not None and message.opened_at >= self._since
                if is_new and (message.id in self._alerts or len(self._alerts) < MOST):
                    self._alerts[message.id] = (message.rule, message.summary)
            case Device():
                self._count(message.mac, message.totals.tx.get("bytes", 0))
            case Target():
                last = message.last
                delay, loss = self._delays.get(message.address, (0.0, 0.0))
                found = (max(delay, last.rtt_p95_ms or 0.0), max(loss, last.loss_ratio or 0.0))
                if message.address in self._delays or len(self._delays) < MOST:
                    self._delays[message.address] = found
            case _:
                pass

    def _count(self, mac: str, total: int) -> None:
        known = self._bytes.get(mac)
        if known is None and len(self._bytes) >= MOST:
            return
        before, day = known or (total, 0)
        # less than before: the sensor began anew
        self._bytes[mac] = (total, day + (total - before if total >= before else total))

    def due(self, at: datetime) -> Iterator[tuple[str, str]]:
        """Yield subject line and text, once a day."""
        if self.at is None:
            return
        if self._since is None:
            self._since, self._next = at, self._after(at)
        if self._next is None or at < self._next:
            return
        since, self._since, self._next = self._since, at, self._after(at)
        yield self._write(since, at)
        self._alerts.clear()
        self._delays.clear()
        self._bytes = {mac: (total, 0) for mac, (total, _) in self._bytes.items()}

    def clock_set(self, at: datetime, step_s: float) -> None:
        """Go on by another clock: a digest comes at its time of day, and once a day.

        Args:
            at: what the clock shows now.
            step_s: by how much it was set ahead, in seconds.

        """
        if self._since is None or self._next is None:
            return
        self._since += timedelta(seconds=step_s)
        if not at - _LATE <= self._next <= at:  # what was jumped over by little comes now
            self._next = self._after(at)

    def _after(self, at: datetime) -> datetime:
        hour, minute = map(int, (self.at or "0:0").split(":"))
        local = at.astimezone(self.zone)
        next_ = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return next_ if next_ > local else next_ + timedelta(days=1)

    def _write(self, since: datetime, at: datetime) -> tuple[str, str]:
        lines = [f"Since {since.astimezone(self.zone):%a %d %b %H:%M}:", ""]
        rules: dict[str, list[str]] = {}
        for rule, summary in self._alerts.values():
            rules.setdefault(rule, []).append(summary)
        most_first = sorted(rules.items(), key=lambda item: -len(item[1]))
        lines += [
            f"- {len(found)} {advice(rule).title}: {found[-1]}" for rule, found in most_first
        ] or ["- no alert"]
        lines += ["", "Worst delays:", *self._slowest(), "", "Busiest:", *self._busiest()]
        if self.page:
            lines += ["", f"Page: {self.page}"]
        count = len(self._alerts)
        title = f"MonitorPi, {at.astimezone(self.zone):%a %d %b}: "
        return title + (f"{count} alerts" if count != 1 else "1 alert"), "\n".join(lines)

    def _slowest(self) -> list[str]:
        found = sorted(self._delays.items(), key=lambda item: (-item[1][1], -item[1][0]))
        lines = []
        for address, (delay_ms, loss) in found[:_SHOWN]:
            card = self.directory.at(address)
            name = card.name if card and card.name else address
            lines.append(f"- {name}: up to {delay_ms:.1f} ms, {100 * loss:.0f} % lost at worst")
        return lines or ["- nothing is pinged"]

    def _busiest(self) -> list[str]:
        found = sorted(self._bytes.items(), key=lambda item: -item[1][1])
        return [
            f"- {self.directory.device(mac).short}: {size(day)} sent"
            for mac, (_, day) in found[:_SHOWN]
            if day
        ] or ["- nothing was counted"]


def size(count: float) -> str:
    """Write a number of bytes: ``1.5 GB``."""
    for step in _STEPS[:-1]:
        if count < 1000:  # noqa: PLR2004 - decimal steps
            return f"{count:.0f} {step}" if step == "B" else f"{count:.1f} {step}"
        count /= 1000
    return f"{count:.1f} {_STEPS[-1]}"
