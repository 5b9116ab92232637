"""The loop that takes copies off a tally, held against one that says what it does."""

from __future__ import annotations

import random

from monitorpi_common.messages import CLASSES, Copies, DeviceWindow, Peer
from monitorpi_detector.views import frames


def plainly(tally: dict[str, int], own: Copies, again: float) -> dict[str, int]:
    """Take copies off, a step at a time."""
    to_one = 1 - min(own.unicast, 2 / 3)
    to_group = (1 - min(own.group, 7 / 8)) * (1 - again)
    group = tally.get("broadcast", 0) + tally.get("multicast", 0)
    unicast = max(0, tally.get("packets", group) - group)

    def grouped(name: str, count: int) -> int:
        if name in {"broadcast", "multicast"}:
            return count
        if name in {"arp", "dhcp", "igmp", "mdns"}:
            return min(count, group)
        if name in {"packets", "bytes"}:
            return round(count * group / max(1, group + unicast))
        return max(0, count - unicast)

    def share(count: int, of: float) -> int:
        return max(1, round(count * of)) if count else 0

    return {
        name: share(grouped(name, count), to_group) + share(count - grouped(name, count), to_one)
        for name, count in tally.items()
    }


def test_the_loop_counts_as_it_says() -> None:
    """20,000 tallies, sound and absurd, seeded."""
    dice = random.Random(22)  # noqa: S311 - repeatable on purpose
    names = [*CLASSES, "packets", "bytes", "unheard_of"]
    for _ in range(20_000):
        counts = [0, 1, 2, 3, 10, 1000, 10**6, 2**40]
        tally = {name: dice.choice(counts) for name in dice.sample(names, dice.randint(0, 12))}
        own = Copies(unicast=dice.choice([0, 0.1, 0.5, 2 / 3, 1]), group=dice.choice([0, 0.5, 1]))
        again = dice.choice([0, 0.5, 0.99, 1.0])

        assert frames._tally(tally, own, again) == plainly(tally, own, again), (tally, own, again)


def test_a_row_keeps_all_but_its_counts() -> None:
    """Whatever a row has beside what was counted is the same afterwards."""
    row = DeviceWindow(
        mac="02:00:00:00:00:01", role="router", tx={"packets": 10, "syn": 10}, rx={"packets": 4},
        top_peer={"syn": Peer(mac="02:00:00:00:00:02", packets=8), "icmp": Peer()},
        copies=Copies(unicast=0.5, received=0.5),
    )  # fmt: skip

    found = frames._row(row, row.copies or Copies(), 0.0)

    expected = row.model_dump() | {"tx": {"packets": 5, "syn": 5}, "rx": {"packets": 2}}
    expected["top_peer"]["syn"]["packets"] = 4
    assert found.model_dump() == expected
