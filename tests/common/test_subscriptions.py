"""What a service reads always, and what for a while."""

from __future__ import annotations

from monitorpi_common.subscriptions import Subscriptions

ALWAYS = "monitorpi/v1/lab/capture/device/+"
LARGE = "monitorpi/v1/lab/capture/traffic/+"
OTHER = "monitorpi/v1/lab/prober/target/+"


def test_only_what_changes_is_said_to_the_broker() -> None:
    """And what is read always is never left, nor read twice."""
    one = Subscriptions([ALWAYS])

    assert one.follow([LARGE, ALWAYS, LARGE]) == ([(LARGE, 1)], [])
    assert one.follow([LARGE, OTHER]) == ([(OTHER, 0)], [])
    assert one.wanted() == [(ALWAYS, 0), (LARGE, 1), (OTHER, 0)]
    assert one.follow([]) == ([], [LARGE, OTHER])
    assert one.wanted() == [(ALWAYS, 0)]


def test_a_broker_that_remembers_is_told_what_was_left() -> None:
    """Until it is followed again."""
    one = Subscriptions()
    one.follow([LARGE, OTHER])
    one.follow([OTHER])

    assert one.unwanted() == [LARGE]
    one.follow([LARGE])
    assert one.unwanted() == [OTHER]
