"""Loop: a cable that leads back into the same LAN repeats every broadcast for ever.

What comes again and again are the frames of whoever sent one: the MAC addresses say nothing of the
cause. A broken device that sends its own frames without end has a storm rule's alert with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule
from monitorpi_detector.views.frames import group_frames, loops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_detector.views.window import WindowView


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find broadcasts and multicasts of several senders that come again and again."""
    seen = view.shown.repeats
    if seen is None or not loops(view.shown):
        return
    yield Finding(
        subject=view.wire_subject,
        value=view.rate(seen.ratio * group_frames(view.shown.counts)),
        threshold=limits(None).floor,
        text=f"loop on {view.traffic.interface}: broadcasts of many devices come again and again, "
        "as when a cable leads back into the same LAN",
        unit="repeated frames/s",
    )


RULE: Final = Rule(
    name="loop", title="loop", unit="repeated frames/s", judge=judge,
    defaults=Limits(floor=200.0, raise_at_once=1.5),
)  # fmt: skip
