"""What follows from each fact, at the edges of every limit: the level, the reason, its fields."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from monitorpi_common.conclusion import Facts, WireFacts, conclude

HERE = {"capture": True, "detector": True, "prober": True}
NOW = 1000.0


def wire(arrived_s: float = NOW, **more: Any) -> WireFacts:
    """Return an interface whose windows come."""
    return WireFacts(arrived_s, **{"received_s": NOW, "sees_replies": True, **more})


def facts(**changes: Any) -> Facts:
    """Return a site where all is well, but for some changes."""
    plain: dict[str, Any] = {"now_s": NOW, "began_s": 0.0, "broker": None, "online": HERE,
                             "wires": {"eth0": wire()}, "away": {}}  # fmt: skip
    return Facts(**plain | changes)


def told(**changes: Any) -> tuple[str, list[tuple[str, str | None, str | None, str]]]:
    """Return the level, and each reason's kind, service, interface and sentence."""
    level, reasons = conclude(facts(**changes))
    assert all(reason.remedy for reason in reasons)
    return level, [(one.what, one.service, one.interface, one.text) for one in reasons]


def lost(*windows: tuple[int, int]) -> WireFacts:
    """Return an interface of which frames were lost in its last windows."""
    return wire(frames=deque(windows, maxlen=10))


def test_all_is_well() -> None:
    """Nothing is said."""
    assert told() == ("watching", [])


def test_without_a_broker_nothing_else_matters() -> None:
    """Nobody knows."""
    assert told(broker="refused", online={}) == (
        "blind", [("broker", None, None, "No connection to the broker: refused.")])  # fmt: skip


@pytest.mark.parametrize(
    ("online", "began_s", "level", "texts"),
    [
        (HERE | {"capture": False}, 0, "blind", ["The capture is not running."]),
        (HERE | {"detector": False}, 0, "blind", ["The detector is not running."]),
        (HERE | {"prober": False}, 0, "partly", ["The prober is not running."]),
        (HERE | {"notifier": False}, 0, "partly", ["The notifier is not running."]),
        ({"capture": True, "detector": True}, 0, "partly", ["The prober is not running."]),
        ({"detector": True, "prober": True}, 985.1, "blind",
         ["The capture has not been heard of yet."]),
        ({"detector": True, "prober": True}, 985.0, "blind", ["The capture is not running."]),
        ({}, 0, "blind", ["The capture is not running.", "The detector is not running.",
                          "The prober is not running."]),
    ],
)  # fmt: skip
def test_who_is_not_there(
    online: dict[str, bool], began_s: float, level: str, texts: list[str]
) -> None:
    """Without capture or detector nobody watches; fifteen seconds are given to start."""
    found = told(online=online, began_s=began_s)

    assert found[0] == level
    assert sorted(text.replace("received from", "heard of") for *_, text in found[1]) == texts
    assert all(what == "service" for what, *_ in found[1])
    assert {service for _, service, *_ in found[1]} == {text.split()[1] for text in texts}


@pytest.mark.parametrize(("age_s", "silent"), [(5.0, False), (5.1, True)])
def test_an_interface_that_falls_silent(age_s: float, silent: bool) -> None:
    """All of them: blind; one of two: partly; after five seconds."""
    quiet = wire(NOW - age_s, received_s=NOW - age_s)
    reason = ("interface", "capture", "eth0", "No window of eth0 for 5 s.")

    assert told(wires={"eth0": quiet}) == (("blind", [reason]) if silent else ("watching", []))
    assert told(wires={"eth0": quiet, "eth1": wire()}) == (
        ("partly", [reason]) if silent else ("watching", []))  # fmt: skip


def test_a_cable_that_is_out_is_told_as_such() -> None:
    """While windows of nothing come; then its silence is the matter again."""
    out = wire(NOW - 60, has_link=False)
    assert told(wires={"eth0": out})[1][0][3] == "eth0 has had no link for 60 s."
    for other in (wire(NOW - 60, has_link=False, received_s=NOW - 5.1), wire(NOW - 60)):
        assert told(wires={"eth0": other})[1][0][3] == "No window of eth0 for 60 s."
    still = wire(NOW - 60, has_link=False, received_s=NOW - 5)
    assert told(wires={"eth0": still})[1][0][3] == "eth0 has had no link for 60 s."


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"broker": "refused"}, "see the broker's log, and the lines of ./monitorpi doctor"),
        ({"wires": {"eth0": wire(NOW - 60)}}, "is its cable plugged in, and does capture run?"),
        ({"wires": {"eth0": wire(NOW - 60, has_link=False)}},
         "is its cable plugged in at both ends, and the switch's port on?"),
        ({"wires": {"eth0": wire(NOW - 60)}, "away": {"eth0": "it is down"}},
         "bring it up (ip link set eth0 up), or take it out of capture.interfaces"),
        ({"away": {"eth1": "it is down"}},
         "bring it up (ip link set eth1 up), or take it out of capture.interfaces"),
    ],
)  # fmt: skip
def test_each_cause_has_its_own_remedy(changes: dict[str, Any], remedy: str) -> None:
    """What people can do is another thing each time."""
    assert [reason.remedy for reason in conclude(facts(**changes))[1]] == [remedy]


def test_before_the_first_window_nobody_watches() -> None:
    """What to do depends on how long that has been so."""
    assert told(wires={}) == (
        "blind", [("interface", "capture", None, "No window of counts has come yet.")])  # fmt: skip
    remedies = [conclude(facts(wires={}, began_s=began_s))[1][0].remedy for began_s in (0, 990)]
    assert remedies[0] != remedies[1]


def test_an_interface_that_cannot_be_counted_on() -> None:
    """It is said once: with its silence where there is one."""
    away = {"eth1": "it is down"}
    text = "Interface eth1 is not counted on: it is down."
    assert told(away=away) == ("partly", [("interface", "capture", "eth1", text)])
    silent = {"eth0": wire(), "eth1": wire(NOW - 60)}
    assert told(away=away, wires=silent) == ("partly", [
        ("interface", "capture", "eth1", "No window of eth1 for 60 s: it is down.")])  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"judged_s": NOW - 8}, "watching"), ({"judged_s": NOW - 8.1}, "blind"),
        ({"judged_s": None}, "watching"),
        ({"reads_windows": False, "wires": {}, "announced_s": NOW - 7}, "watching"),
        ({"reads_windows": False, "wires": {}, "announced_s": NOW - 7.1}, "blind"),
        ({"reads_windows": False, "wires": {}, "began_s": NOW - 7}, "watching"),
        ({"reads_windows": False, "wires": {}, "began_s": NOW - 7.1}, "blind"),
        ({"reads_windows": False, "wires": {}, "began_s": NOW - 99, "announced_s": NOW},
         "watching"),
    ],
)  # fmt: skip
def test_a_detector_that_does_not_keep_up_or_says_nothing(
    changes: dict[str, Any], level: str
) -> None:
    """After seven or eight seconds nobody judges what comes."""
    found = told(**changes)

    assert found[0] == level
    assert [one[:3] for one in found[1]] == (
        [] if level == "watching" else [("judging", "detector", None)])  # fmt: skip


@pytest.mark.parametrize(
    ("spoke_s", "blamed"), [(NOW - 3, []), (NOW - 9, ["The detector has said nothing for 9 s."])]
)
def test_a_detector_that_gets_no_windows_is_not_blamed(spoke_s: float, blamed: list[str]) -> None:
    """What it judged last is old because nothing comes; one that hangs as well is told as such."""
    silent = wire(NOW - 20, received_s=NOW - 20)

    _, reasons = told(judged_s=NOW - 20, announced_s=spoke_s, wires={"eth0": silent})

    assert [text for *_, text in reasons] == ["No window of eth0 for 20 s.", *blamed]


def test_what_a_missing_service_explains_is_not_told_twice() -> None:
    """A detector that is away judges nothing; a capture that is away counts nothing."""
    late = {"judged_s": NOW - 60, "online": HERE | {"detector": False}}
    assert [one[0] for one in told(**late)[1]] == ["service"]
    silent = {"wires": {"eth0": wire(NOW - 60)}, "away": {"eth1": "x"},
              "online": HERE | {"capture": False}}  # fmt: skip
    assert [one[0] for one in told(**silent)[1]] == ["service"]


@pytest.mark.parametrize(
    ("service", "age_s", "is_told"),
    [("prober", 7.0, False), ("prober", 7.1, True), ("capture", 60, False),
     ("detector", 60, False), ("history", 60, False)],
)  # fmt: skip
def test_a_service_that_hangs(service: str, age_s: float, is_told: bool) -> None:
    """Those without which nobody watches show it otherwise; who is not there cannot hang."""
    found = told(pulse_s={service: NOW - age_s})

    assert found[0] == ("partly" if is_told else "watching")
    assert [one[:2] for one in found[1]] == ([("service", service)] if is_told else [])
    if is_told:
        assert found[1][0][3] == f"The {service} has said nothing for {age_s:.0f} s."


def test_what_a_service_says_of_itself() -> None:
    """What it cannot keep, and what keeps it from its work; not of one that is away."""
    for service, there in (("prober", True), ("history", False)):
        found = told(unkept={service: "disk full"}, troubles={service: ("no key", "give one")})
        assert found == (("partly", [
            ("state", "prober", None,
             "What the prober knows cannot be kept over a restart: disk full."),
            ("state", "prober", None, "The prober: no key."),
        ]) if there else ("watching", []))  # fmt: skip


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (wire(late_s=4.0), None), (wire(late_s=4.1), "clock"), (wire(late_s=-4.0), None),
        (wire(late_s=-4.1), "clock"),
        (wire(sees_replies=False), "direction"), (wire(sees_replies=None), None),
        (wire(copies_ratio=0.05), None), (wire(copies_ratio=0.06), "copies"),
        (lost((1000, 20), (1000, 40), (1000, 40)), "losses"),
        (lost((1000, 50), (1000, 50)), None),
        (lost((1000, 30), (1000, 30), (1000, 39)), None),
        (lost((1000, 30), (1000, 30), (1000, 40)), "losses"),
        (lost((1000, 0), (1000, 50), (1000, 50)), None),
        (lost((9900, 0), (3000, 34), (3000, 33), (3000, 33)), None),
        (lost((1000, 100), (10**6, 0), (1000, 100), (1000, 100)), None),
    ],
)  # fmt: skip
def test_what_is_not_well_with_an_interface(one: WireFacts, what: str | None) -> None:
    """Copies are told and corrected, and leave the watch whole."""
    level, reasons = told(wires={"eth0": one})

    assert [reason[:3] for reason in reasons] == (
        [] if what is None else [(what, "capture", "eth0")])  # fmt: skip
    assert level == ("watching" if what in (None, "copies") else "partly")


def test_losses_are_forgotten_after_ten_windows() -> None:
    """The three that lost frames must be among them."""
    one = WireFacts(NOW)
    for window in [(700, 100)] * 3 + [(1000, 0)] * 7:
        one.frames.append(window)
    assert one.lost_ratio == 300 / (2100 + 7000 + 300)

    one.frames.append((1000, 0))

    assert one.lost_ratio == 0.0


def test_sentences_of_doubts() -> None:
    """With the figures that matter."""
    both = wire(late_s=-7.0, copies_ratio=0.5, sees_replies=False,
                frames=deque([(1900, 50), (1000, 25), (1000, 25)]))  # fmt: skip

    assert [one[3] for one in told(wires={"eth0": both})[1]] == [
        "Windows of eth0 are 7 s ahead when they arrive.",
        "The sensor loses 2.5% of the frames of eth0.",
        "eth0 sees one direction of conversations only.",
        "The mirror shows 50% of the frames of eth0 twice.",
    ]
    assert told(wires={"eth0": wire(late_s=7.0)})[1][0][3] == (
        "Windows of eth0 are 7 s old when they arrive.")  # fmt: skip


def test_reasons_are_bounded() -> None:
    """32 of them, each a sentence that fits."""
    names = {f"eth{number}": wire(sees_replies=False) for number in range(40)}
    assert len(told(wires=names)[1]) == 32
    assert len(told(broker="x" * 500)[1][0][3]) == 255
