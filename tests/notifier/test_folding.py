"""Which changes make the next message."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitorpi_notifier.directory import Directory
from monitorpi_notifier.folding import LATE_S, MINUTE_S, Folding
from monitorpi_notifier.items import NoticeChange
from monitorpi_notifier.wording import DOUBT, Wording

WORDING = Wording(Directory(), UTC, "http://pi:8080/")
T = 1_800_000_000.0
RULES = Folding(6)


def change(number: int, **more: Any) -> NoticeChange:
    """Return a change of an alert of its own that happened at T."""
    known: dict[str, Any] = {
        "destination": "phone", "what": "opened", "key": f"syn-flood-{number}",
        "alert_id": f"id-{number}", "rule": "syn-flood", "severity": "warning", "at_s": T,
        "opened_s": T, "due_s": T, "title": f"title {number}", "body": f"body {number}",
        "line": f"line {number}.", "id": number,
    }  # fmt: skip
    return NoticeChange(**{**known, **more})


def post_all(waiting: list[NoticeChange], seconds: float) -> list[tuple[float, str]]:
    """Post once a second; returns when each message went out, and its text."""
    sent: list[tuple[float, str]] = []
    left = list(waiting)
    for second in range(int(seconds)):
        now_s = T + second
        letter = RULES.next(
            [one for one in left if one.at_s <= now_s],
            [now_s - at for at, _ in sent],
            now_s,
            WORDING,
        )
        if letter is not None:
            sent.append((now_s, f"{letter.title}\n{letter.body}"))
            left = [one for one in left if one not in letter.changes]
    assert not left
    return sent


def test_the_first_changes_go_out_one_by_one() -> None:
    """A few alerts are a message each, the worst first."""
    waiting = [change(1), change(2, severity="critical")]

    letter = RULES.next(waiting, [], T, WORDING)

    assert letter is not None
    assert (letter.title, letter.body, letter.what) == ("title 2", "body 2", "opened")


def test_a_thousand_alerts_in_a_minute_are_a_few_messages() -> None:
    """The first at once, the rest in summaries that count them all."""
    storm = [change(n, at_s=T + n * 0.06, due_s=T + n * 0.06) for n in range(1000)]

    sent = post_all(storm, 90)

    assert sent[0][0] == T
    for at_s, _ in sent:
        assert sum(at_s <= other < at_s + MINUTE_S for other, _ in sent) <= 6
    assert len(sent) <= 9


@given(st.lists(st.floats(0, 300), min_size=1, max_size=60))
def test_nothing_is_lost_and_no_minute_has_too_many(times: list[float]) -> None:
    """Whenever changes come, each is in a message, and the limit holds."""
    changes = [change(n, at_s=T + s, due_s=T + s) for n, s in enumerate(sorted(times))]

    sent = post_all(changes, 420)

    for at_s, _ in sent:
        assert sum(at_s <= other < at_s + MINUTE_S for other, _ in sent) <= 6


def test_what_could_not_be_sent_for_long_is_one_summary() -> None:
    """After an outage of the network: one message that says why it is late."""
    waiting = [change(1), change(2), change(1, what="closed", id=3, at_s=T + 60)]

    letter = RULES.next(waiting, [], T + LATE_S + 61, WORDING)

    assert letter is not None
    assert len(letter.changes) == 3
    assert letter.title == "WARNING 2 alerts: 1 open, 1 over"
    assert "until now it could not be sent" in letter.body
    assert "- WARNING line 1. (over after 1 min 0 s)" in letter.body
    assert letter.body.endswith("Page: http://pi:8080/")


def test_one_old_change_keeps_its_own_words() -> None:
    """A summary of one would only say less."""
    letter = RULES.next([change(1)], [], T + 2 * LATE_S, WORDING)

    assert letter is not None
    assert letter.title == "title 1"


def test_what_waits_for_a_cause_is_not_sent_yet() -> None:
    """Before its time there is no message."""
    assert RULES.next([change(1, due_s=T + 12)], [], T + 11, WORDING) is None
    assert RULES.next([change(1, due_s=T + 12)], [], T + 12, WORDING) is not None


def test_what_may_have_been_sent_says_so() -> None:
    """Whoever sent it died: the reader learns why it may come twice."""
    letter = RULES.next([change(1, doubtful=True)], [], T, WORDING)

    assert letter is not None
    assert DOUBT in letter.body


def test_a_test_message_does_not_wait_for_a_storm() -> None:
    """It is never part of a summary."""
    waiting = [*(change(n) for n in range(50)), change(99, what="test")]

    letter = RULES.next(waiting, [], T, WORDING)

    assert letter is not None
    assert letter.what == "test"
