"""What demo and drill print: a line for each event, and on a terminal a live line below them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TextIO

from monitorpi_cli.table import Terminal, grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cli.table import Colour
    from monitorpi_common.messages import Traffic

_BARS: Final = "▁▂▃▄▅▆▇█"
_HISTORY: Final = 24
_SHOWN: Final = ("syn", "icmp_echo", "arp", "dns", "http")


class Reporter:
    """Writes to a person. ``clock`` is in seconds since the first window."""

    def __init__(self, stream: TextIO, terminal: Terminal | None = None) -> None:
        self._stream = stream
        self._terminal = terminal or Terminal.of(stream)
        self._tty = stream.isatty()
        self._rates: deque[int] = deque(maxlen=_HISTORY)
        self._status = ""

    def line(self, text: str = "", colour: Colour | None = None) -> None:
        """Write a line as it is."""
        shown = self._terminal.paint(text, colour) if colour else text
        self._write(shown)

    def event(self, clock: float, mark: str, text: str, colour: Colour | None = None) -> None:
        """Write what happened, with the time and a word that says what kind of thing it is."""
        word = self._terminal.paint(f"{mark:<6}", colour) if colour else f"{mark:<6}"
        lines = wrap(text, self._terminal.width - len(_clock(0)) - 12)
        indent = " " * (len(_clock(0)) + 10)
        self._write(f" {_clock(clock)}  {word} " + f"\n{indent}".join(lines))

    def live(self, clock: float, traffic: Traffic, alerts: int) -> None:
        """Renew the live line with a window's rates; without a terminal there is none."""
        self._rates.append(traffic.packets)
        if not self._tty:
            return
        tail = f"  open alerts {alerts}"
        parts = [f" {_clock(clock)}  {sparkline(self._rates)}"]
        parts += [f"{grouped(traffic.packets / traffic.window_s)} frames/s"]
        parts += [
            f"{name} {grouped(traffic.counts[name] / traffic.window_s)}/s"
            for name in _SHOWN
            if traffic.counts.get(name)
        ]
        room = self._terminal.width - len(tail) - 1
        while len(parts) > 1 and len("  ".join(parts)) > room:
            parts.pop()
        self._status = "  ".join(parts) + tail
        self._stream.write(f"\r\x1b[K{self._terminal.paint(self._status, 'dim')}")
        self._stream.flush()

    def _write(self, line: str) -> None:
        if self._status:
            self._stream.write("\r\x1b[K")
        self._stream.write(line + "\n")
        if self._status:
            self._stream.write(self._terminal.paint(self._status, "dim"))
        self._stream.flush()

    def end(self) -> None:
        """Take the live line away."""
        if self._status:
            self._stream.write("\r\x1b[K")
            self._status = ""


def sparkline(values: Sequence[int]) -> str:
    """Draw values as bars of eight heights, the greatest being full: ``▁▁▂█``."""
    top = max(values, default=0)
    if not top:
        return _BARS[0] * len(values)
    return "".join(_BARS[(len(_BARS) - 1) * value // top] for value in values)


def wrap(text: str, width: int) -> list[str]:
    """Break text at spaces into lines of at most ``width`` characters, where it has spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if len(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes:02d}:{rest:02d}"
