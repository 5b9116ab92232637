"""Windows whose frames have no times: nothing is judged by rate, and nothing learned of them."""

from __future__ import annotations

from tests.detector.windows import ATTACKER, VICTIM, Detector, repeated, rules_of, syns, window


def test_a_flood_of_frames_without_times_is_no_flood() -> None:
    """Ten thousand SYNs may be of one second or of a year."""
    whole = syns(10_000)

    assert rules_of(*repeated(3, whole, length_s=0.001, has_times=False)) == []
    assert rules_of(*repeated(3, whole)) == ["syn-flood-04000000000a"]


def test_a_flood_beside_frames_without_times_is_judged_by_what_has_times() -> None:
    """Each window stands alone: what has no time neither hides a flood nor makes one."""
    detector = Detector()
    untimed = window(1, syns(10_000, VICTIM, peer=ATTACKER), length_s=0.001, has_times=False)

    published = detector.take(window(0, syns(300)), untimed)
    published += detector.take(*[window(at, syns(300)) for at in (2, 3)])

    assert {one.subject for one in published if one.rule == "syn-flood"} == {"04000000000a"}


def test_nothing_is_learned_from_frames_without_times() -> None:
    """No usual rate comes of them."""
    for has_times in (True, False):
        detector = Detector()
        detector.take(*repeated(90, syns(50), has_times=has_times))

        assert bool(detector.core.detail()["baselines"]) == has_times
