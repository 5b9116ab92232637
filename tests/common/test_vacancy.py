"""Whether a name is free, and who gives way: decided without clock or network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitorpi_common.examples import example
from monitorpi_common.messages import Health
from monitorpi_common.vacancy import AWAY_S, RETAINED_S, SILENT_S, Rival, Rivals, Vacancy

START = datetime(2026, 1, 2, tzinfo=UTC)


def asked(*, online: bool | None = None) -> Vacancy:
    """Return what is known after the broker has answered at second 1."""
    vacancy = Vacancy(0.0, connected=True)
    vacancy.subscribed(1.0)
    if online is not None:
        vacancy.status(online=online, now_s=1.0)
    return vacancy


def test_a_broker_that_is_away_is_not_waited_for() -> None:
    """The service starts and waits for the broker as ever."""
    vacancy = Vacancy(0.0)

    assert vacancy.is_free(AWAY_S) is None
    assert vacancy.is_free(AWAY_S + 0.1) is True
    assert AWAY_S == 2.0


@pytest.mark.parametrize("online", [None, False])
def test_a_name_nobody_has_is_free_at_once(online: bool | None) -> None:
    """No status, or ``offline``."""
    vacancy = asked(online=online)

    assert vacancy.is_free(1.0 + RETAINED_S) is None
    assert vacancy.is_free(1.1 + RETAINED_S) is True
    assert RETAINED_S == 0.2


def test_a_name_is_taken_until_its_holder_goes() -> None:
    """Each message of the holder keeps it."""
    vacancy = asked(online=True)
    for at_s in range(60, 1200, 60):
        assert vacancy.is_free(at_s) is False
        vacancy.spoke(float(at_s))

    vacancy.status(online=False, now_s=1200.0)

    assert vacancy.is_free(1200.0) is True


def test_a_name_whose_holder_is_silent_is_free() -> None:
    """A broker with an old memory says ``online`` of a process that is long gone."""
    vacancy = asked(online=True)

    assert vacancy.is_free(SILENT_S) is False
    assert vacancy.is_free(SILENT_S + 2) is True
    assert SILENT_S == 150.0


def health(started_s: float, uptime_s: float = 60.0) -> Health:
    """Build a health message of a process that started some seconds after us."""
    started_at = START + timedelta(seconds=started_s)
    return example(Health).model_copy(update={"started_at": started_at, "uptime_s": uptime_s})


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([(health(-9), True)], [None]),  # before our own first: left by the process before us
        ([(health(0), False), (health(-9), True)], [None, None]),  # a memory
        ([(health(0), False), (health(-9), True), (health(-9), True)], [None, None, None]),
        ([(health(0), False), (health(-9), False)], [None, Rival.EARLIER]),
        ([(health(0), False), (health(9), False)], [None, Rival.LATER]),
        (
            [(health(0), False), (health(-9), True), (health(-9, 61.0), True)],
            [None, None, Rival.EARLIER],
        ),
    ],
)
def test_who_gives_way(messages: list[tuple[Health, bool]], expected: list[Rival | None]) -> None:
    """What is said now, or moves on, is a living process: the later one gives way."""
    rivals = Rivals(START)

    assert [rivals.judge(one, retained=retained) for one, retained in messages] == expected
