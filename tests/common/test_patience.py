"""When a broker may have given us up: by what was heard and when."""

from __future__ import annotations

import pytest

from monitorpi_common.patience import TAKEN_OVER, BrokerPatience


@pytest.mark.parametrize(
    ("heard_s", "is_over"),
    [
        ([3, 6, 16], False),  # a keepalive without a word is the broker's own right
        ([3, 6, 16.1], True),
        ([3, 40, 40.1, 40.2], True),  # frozen, and then what lay unread
    ],
)
def test_a_long_silence_is_remembered(heard_s: list[float], *, is_over: bool) -> None:
    """What comes after it does not undo it."""
    patience = BrokerPatience(10, 0)

    for now_s in heard_s:
        patience.heard(now_s)

    assert patience.is_over == is_over


def test_a_new_connection_begins_anew() -> None:
    """Whoever was let in has its name."""
    patience = BrokerPatience(10, 0)
    patience.heard(60)

    patience.connected(60)
    patience.heard(69)

    assert not patience.is_over


def test_a_session_that_was_taken_over_is_somebody_elses() -> None:
    """Some brokers say so."""
    patience = BrokerPatience(10, 0)

    patience.heard(1, TAKEN_OVER)

    assert patience.is_over
