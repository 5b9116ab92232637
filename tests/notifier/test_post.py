"""Whoever posts one letter: by one plugin, with an outcome that says nothing of the URL."""

from __future__ import annotations

import io
import json
import logging
import signal
import sqlite3
import sys
from argparse import Namespace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_notifier.sinks import post
from monitorpi_notifier.sinks.notes import NOT_DELIVERED

if TYPE_CHECKING:
    from pathlib import Path

URL = "kind://user:tk-5a9c0f1e7d@host.example/room%2Fone?key=abcd"


class Plugin:
    """A service that takes what it is told to."""

    sent: list[dict[str, Any]] = []  # noqa: RUF012 - of the last one
    made: list[dict[str, Any]] = []  # noqa: RUF012
    outcome: Any = True
    words: str | None = None

    def __init__(self, **parts: Any) -> None:
        self.made.append(parts)

    @staticmethod
    def parse_url(url: str) -> dict[str, str]:
        """Read a URL."""
        return {"written": url}

    def notify(self, **letter: Any) -> bool:
        """Take a letter, or complain."""
        self.sent.append(letter)
        if self.words:
            logging.getLogger("apprise").info("not this")
            logging.getLogger("apprise.plugins").warning(self.words)
            logging.getLogger("apprise").info("nor this")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return bool(self.outcome)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> type[Plugin]:
    """Have a plugin in a module of its own."""
    module = ModuleType("plugins_of_a_test")
    module.Kind = Plugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugins_of_a_test", module)
    for name, value in (("sent", []), ("made", []), ("outcome", True), ("words", None)):
        monkeypatch.setattr(Plugin, name, value)
    logger = logging.getLogger("apprise")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.INFO)
    return Plugin


def order(**more: Any) -> dict[str, Any]:
    """Return what is to be posted."""
    return {"url": f" {URL} ", "plugin": "plugins_of_a_test:Kind", "title": "T", "body": "B",
            "type": "warning", **more}  # fmt: skip


def test_a_letter_is_posted_as_text_by_its_plugin(plugin: type[Plugin]) -> None:
    """Whatever is in it."""
    assert post.post(order()) == (True, None)

    assert plugin.made == [{"written": URL}]
    assert plugin.sent == [
        {"title": "T", "body": "B", "notify_type": "warning", "body_format": "text"}
    ]
    assert not logging.getLogger("apprise").propagate


@pytest.mark.parametrize(
    ("outcome", "words", "why"),
    [
        (False, None, "not delivered"),
        (False, "refused tk-5a9c0f1e7d\n at host.example", "refused *** at host.example"),
        (None, "later", "later"),
        (OSError("no way to tk-5a9c0f1e7d"), None, "OSError: no way to ***"),
        (True, "a warning", None),
    ],
)
def test_what_a_service_complains_of_is_the_reason(
    plugin: type[Plugin], monkeypatch: pytest.MonkeyPatch, outcome: Any, words: str | None,
    why: str | None,
) -> None:  # fmt: skip
    """Its last warning, without anything of the URL but the host."""
    monkeypatch.setattr(plugin, "outcome", outcome)
    monkeypatch.setattr(plugin, "words", words)

    assert post.post(order()) == (outcome is True, why)


def test_a_plugin_that_is_none_is_a_failure() -> None:
    """And not the end."""
    is_delivered, why = post.post(order(plugin="no_such_module:Kind"))

    assert not is_delivered
    assert str(why).startswith("ModuleNotFoundError: ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tk-5a9c0f1e7d", "***"), ("user tk-5a9c0f1e7d abcd", "*** *** ***"),
        ("room%2Fone room/one", "*** ***"),
        ("HOST.example host.example", "HOST.example host.example"),
        ("kind key", "kind key"), ("  much\n space\t", "much space"), ("x" * 300, "x" * 200),
    ],
)  # fmt: skip
def test_nothing_of_a_url_is_shown(text: str, shown: str) -> None:
    """But its scheme and host, and pieces of three letters or fewer."""
    assert post.scrub(text, URL) == shown


def test_longer_secrets_are_hidden_before_their_parts() -> None:
    """A part of one would leave the rest of it."""
    assert post.scrub("abcdefgh", "kind://abcd/abcdefgh") == "***"
    assert post.scrub("secret-words", "kind://secret/secret-words") == "***"
    assert post.scrub("some-secret", "kind://secret/some-secret") == "***"


# --- the program ----------------------------------------------------------------------------------


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note when the program would be ended."""
    found: list[int] = []
    monkeypatch.setattr(signal, "alarm", found.append)
    return found


def run(monkeypatch: pytest.MonkeyPatch, told: Any, *arguments: str) -> int:
    """Run the program."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(told)))
    monkeypatch.setattr(sys, "argv", ["post", *arguments])
    return post.main()


@pytest.mark.parametrize("is_delivered", [True, False])
def test_the_outcome_is_noted_and_told(
    monkeypatch: pytest.MonkeyPatch, plugin: type[Plugin], alarms: list[int], tmp_path: Path,
    is_delivered: bool,
) -> None:  # fmt: skip
    """In the outbox, with the letter, and by the exit code; a minute is enough for it."""
    monkeypatch.setattr(plugin, "outcome", is_delivered)
    file = tmp_path / "outbox.sqlite"
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE letter (id INTEGER, is_delivered INTEGER, note TEXT)")
    db.executemany("INSERT INTO letter VALUES (?, NULL, NULL)", [(1,), (2,)])
    db.commit()

    code = run(monkeypatch, order(letter=2, outbox=str(file)))

    assert code == (0 if is_delivered else NOT_DELIVERED)
    note = None if is_delivered else "not delivered"
    noted = db.execute("SELECT * FROM letter").fetchall()
    assert noted == [(1, None, None), (2, int(is_delivered), note)]
    assert alarms == [60]
    assert NOT_DELIVERED == 3
    db.close()


@pytest.mark.usefixtures("plugin", "alarms")
def test_where_no_note_can_be_made_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The disk may be full."""
    assert run(monkeypatch, order(letter=2, outbox=str(tmp_path / "no" / "outbox"))) == 0


def test_urls_are_checked_without_posting(
    monkeypatch: pytest.MonkeyPatch, alarms: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer goes to whoever asked."""
    monkeypatch.setattr(post, "check", lambda urls: {name: url[:4] for name, url in urls.items()})
    monkeypatch.setattr(logging, "disable", alarms.append)

    assert run(monkeypatch, {"desk": "json://x"}, "--check") == 0

    assert json.loads(capsys.readouterr().out) == {"desk": "json"}
    assert alarms == [logging.CRITICAL]


def test_each_url_has_its_plugin_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by module and class, as it is loaded again; what is not taken is no error."""
    asked = []

    def instantiate(url: str, *, suppress_exceptions: bool) -> Plugin | None:
        asked.append((url, suppress_exceptions))
        return Plugin() if url.startswith("kind") else None

    apprise = ModuleType("apprise")
    apprise.Apprise = Namespace(instantiate=instantiate)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", apprise)

    found = post.check({"desk": f" {URL} ", "odd": "odd://x"})

    assert found == {"desk": f"{__name__}:Plugin", "odd": None}
    assert asked == [(URL, True), ("odd://x", True)]
