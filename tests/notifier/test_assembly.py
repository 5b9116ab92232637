"""The notifier as it is put together, and which settings it takes."""

from __future__ import annotations

import sqlite3
import subprocess
from argparse import Namespace
from contextlib import closing
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError
from tests.modules import is_program
from tests.noted import Noted

from monitorpi_common.log import Log
from monitorpi_common.service import Assembly, Context, ResourceError
from monitorpi_common.settings import ConfigurationError
from monitorpi_notifier import __main__ as module
from monitorpi_notifier.__main__ import assemble, plugins_of, zone_of
from monitorpi_notifier.core import NotifierCore
from monitorpi_notifier.items import ReportedAlert
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.sinks import postbox
from monitorpi_notifier.sinks.guarded import GuardedOutbox
from monitorpi_notifier.sinks.outbox import Outbox
from monitorpi_notifier.sinks.postbox import Postbox
from monitorpi_notifier.upkeep import ALIVE

if TYPE_CHECKING:
    from pathlib import Path

DESK = {"desk": {"url": " json://localhost "}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Have Apprise take everything but what is odd; returns what it is asked."""
    questions: list[dict[str, str]] = []

    def check(urls: dict[str, str]) -> dict[str, str | None]:
        questions.append(urls)
        return {name: None if "odd" in url else f"plugin:{url}" for name, url in urls.items()}

    monkeypatch.setattr(module, "check", check)
    return questions


def assembled(folder: Path, **settings: Any) -> Assembly:
    """Put a notifier together."""
    known = NotifierSettings.model_validate({"destinations": DESK} | settings)
    return assemble(
        Context(
            "lab", "main", "e", known, Namespace(), folder / "state", True, True, Log("notifier")
        )
    )


def closed(found: Assembly) -> None:
    """Let everything go."""
    for close in found.on_close:
        close()


@pytest.mark.usefixtures("asked")
def test_what_the_notifier_reads_and_sends(tmp_path: Path) -> None:
    """Each destination by its plugin; of the bus what alerts are about."""
    found = assembled(tmp_path, most_per_minute=9, back_off_most_s=33.0, page="http://pi/",
                      time_zone="Europe/Berlin", digest_at="07:30")  # fmt: skip
    try:
        (postbox,) = found.sources
        assert isinstance(postbox, Postbox)
        (desk,) = postbox.destinations
        assert (desk.name, desk.url, desk.plugin) == ("desk", "json://localhost",
                                                      "plugin:json://localhost")  # fmt: skip
        assert postbox.folding.most_per_minute == 9
        assert postbox.back_off.after(99) == 33.0
        core = found.core
        assert isinstance(core, NotifierCore)
        assert (core.digest.at, core.digest.page) == ("07:30", "http://pi/")
        assert core.digest.zone == ZoneInfo("Europe/Berlin")
        assert core.alive_before_s is None
        assert core.digest.directory is core.directory
        core.post_soon()
        assert postbox._wake.is_set()
        assert core.state() == postbox.state()
        assert sorted(found.subscriptions) == [
            "monitorpi/v1/lab/+/status/+", "monitorpi/v1/lab/capture/device/+",
            "monitorpi/v1/lab/detector/alert/+", "monitorpi/v1/lab/detector/health/+",
            "monitorpi/v1/lab/detector/watch/+", "monitorpi/v1/lab/prober/target/+",
        ]  # fmt: skip
    finally:
        closed(found)
    assert desk.lock.closed


@pytest.mark.usefixtures("asked")
def test_it_goes_on_where_the_one_before_it_stood(tmp_path: Path) -> None:
    """What was reported, and when it was last there."""
    (tmp_path / "state").mkdir()
    outbox = Outbox(tmp_path / "state" / "outbox.sqlite")
    outbox.add([], [ReportedAlert("k", "id", "open", "warning", 5.0, frozenset({"desk"}))])
    outbox.remember({ALIVE: 77})
    outbox.close()

    found = assembled(tmp_path)
    closed(found)

    assert isinstance(found.core, NotifierCore)
    assert found.core.alive_before_s == 77.0
    assert list(found.core._reported) == ["k"]


@pytest.mark.usefixtures("asked")
def test_only_one_notifier_holds_an_outbox(tmp_path: Path) -> None:
    """The second one says who does; a place that cannot be says why."""
    first = assembled(tmp_path)
    with pytest.raises(ResourceError, match="another notifier holds the outbox"):
        assembled(tmp_path)
    closed(first)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="the outbox"):
        assembled(tmp_path / "file")


def test_without_a_destination_there_is_nothing_to_do(tmp_path: Path) -> None:
    """It says what is missing."""
    with pytest.raises(ConfigurationError) as caught:
        assembled(tmp_path, destinations={})

    assert caught.value.lines == (
        "notifier.destinations: missing; give a secret notifier__destinations__NAME__url",
    )


class Memory:
    """An outbox that remembers."""

    def __init__(self, **memory: Any) -> None:
        self.memory = memory
        self.writes = 0

    def recall(self, name: str) -> Any:
        """Return what is remembered."""
        return self.memory.get(name)

    def remember(self, memory: dict[str, Any]) -> None:
        """Remember."""
        self.memory |= memory
        self.writes += 1


def settings(**urls: str) -> NotifierSettings:
    """Return settings with some destinations."""
    return NotifierSettings.model_validate(
        {"destinations": {name: {"url": url} for name, url in urls.items()}}
    )


def test_apprise_is_asked_once_for_each_url(asked: list[dict[str, str]]) -> None:
    """Loading it takes seconds; its answers are known by a hash of the URL, not by the URL."""
    box: Any = Memory()
    one = settings(a="json://a", b="json://b")

    assert plugins_of(one, box) == {"a": "plugin:json://a", "b": "plugin:json://b"}
    assert plugins_of(one, box) == {"a": "plugin:json://a", "b": "plugin:json://b"}
    assert asked == [{"a": "json://a", "b": "json://b"}]
    assert box.writes == 1
    assert "json://a" not in str(list(box.memory["plugins"]))

    assert plugins_of(settings(a="json://a", c="json://c"), box)["c"] == "plugin:json://c"
    assert asked[1:] == [{"c": "json://c"}]
    assert len(box.memory["plugins"]) == 2
    assert plugins_of(one, Memory(plugins="damaged")) == {  # type: ignore[arg-type]
        "a": "plugin:json://a", "b": "plugin:json://b"}  # fmt: skip


def test_a_url_that_apprise_does_not_take_is_named(asked: list[dict[str, str]]) -> None:
    """Each of them; nothing is remembered of that."""
    box: Any = Memory()

    with pytest.raises(ConfigurationError) as caught:
        plugins_of(settings(z="odd://z", a="odd://a", b="json://b"), box)

    assert [line.split(".url: ")[0] for line in caught.value.lines] == [
        "notifier.destinations.a", "notifier.destinations.z"]  # fmt: skip
    assert box.memory == {}
    assert len(asked) == 1


@pytest.mark.parametrize("error", [OSError("gone"), subprocess.TimeoutExpired("x", 1)])
def test_where_apprise_cannot_be_run_that_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """With what to do."""

    def check(_: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "check", check)

    with pytest.raises(ResourceError, match="Apprise cannot be run"):
        plugins_of(settings(a="json://a"), Memory())  # type: ignore[arg-type]


def test_the_zone_is_that_of_the_settings_or_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """UTC where it has none."""
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    monkeypatch.setattr(module, "_LOCAL_TIME", tmp_path / "none")
    assert zone_of(None) is UTC
    (tmp_path / "none").write_bytes(b"no zone")
    assert zone_of(None) is UTC


@pytest.mark.parametrize(("value", "found"), [(5, 5.0), (5.5, 5.5), ("5", None), (None, None)])
def test_only_a_number_is_when_we_were_there(value: Any, found: float | None) -> None:
    """Whatever a damaged disk made of it."""
    assert module._number(value) == found


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"time_zone": "Mars/Base"}, "no time zone: write one such as 'Europe/Berlin'"),
        ({"time_zone": "../etc/passwd"}, "no time zone"),
        ({"destinations": {"d": {"url": "x", "rules": ["*"]}}}, "no Apprise URL"),
        ({"destinations": {"d": {"url": "://x"}}}, "no Apprise URL"),
        ({"destinations": {"d": {"url": "json://"}}}, "no Apprise URL"),
        ({"destinations": {"d": {"url": "json://x", "rules": ["syn-flod"]}}},
         "there is no such rule; did you mean 'syn-flood'?"),
        ({"destinations": {"d": {"url": "json://x", "rules": ["!syn-flod"]}}},
         "there is no such rule; did you mean 'syn-flood'?"),
        ({"destinations": {"d": {"url": "json://x", "rules": ["xyzzy"]}}},
         "there is no such rule; docs/alerts.md lists them"),
        ({"destinations": {"d": {"url": "json://x", "quiet": ["always"]}}}, "no span of time"),
        ({"destinations": {"-d": {"url": "json://x"}}}, "pattern"),
        ({"destinations": {"d" * 33: {"url": "json://x"}}}, "pattern"),
        ({"digest_at": "24:00"}, "pattern"), ({"digest_at": "7:30"}, "pattern"),
        ({"most_per_minute": 1}, "greater than or equal to 2"),
        ({"most_per_minute": 61}, "less than or equal to 60"),
        ({"back_off_most_s": 0}, "greater than 0"),
        ({"back_off_most_s": 3601}, "less than or equal to 3600"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_say_why(more: dict[str, Any], words: str) -> None:
    """Each in its own words."""
    with pytest.raises(ValidationError) as caught:
        NotifierSettings.model_validate(more)

    assert words in str(caught.value)


def test_settings_that_can_be() -> None:
    """Defaults are those of the documentation; limits can be reached."""
    one = settings(desk="json://x")
    desk = one.destinations["desk"]

    assert (one.most_per_minute, one.back_off_most_s, one.digest_at) == (6, 120.0, None)
    assert (desk.least, desk.quiet_least, desk.closes, desk.digest) == (
        "warning", "critical", True, True)  # fmt: skip
    assert (desk.rules, desk.hours, desk.quiet, one.missing) == (["*"], [], [], None)
    for more in (
        {"most_per_minute": 2}, {"most_per_minute": 60}, {"back_off_most_s": 3600},
        {"digest_at": "23:59"}, {"destinations": {"d" * 32: {"url": "a://b"}}},
    ):  # fmt: skip
        NotifierSettings.model_validate(more)


MAC = "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("rules", "devices", "fits"),
    [
        (["*"], [], True), (["syn-*"], [], True), (["arp-*"], [], False),
        (["!arp-*"], [], True),
        (["!syn-flood"], [], False), (["*", "!syn-*"], [], False),
        (["arp-*", "syn-flood"], [], True),
        (["*"], [MAC], True), (["*"], ["02:00:00:00:00:02"], False), ([], [], True),
    ],
)  # fmt: skip
def test_which_alerts_are_meant(rules: list[str], devices: list[str], fits: bool) -> None:
    """All that fit one line of each kind, and none that is left out."""
    one = NotifierSettings.model_validate(
        {"destinations": {"d": {"url": "json://x", "rules": rules, "devices": devices}}}
    )

    assert one.destinations["d"].fits("syn-flood", frozenset({MAC})) is fits


# --- a full disk ----------------------------------------------------------------------------------


class Calls:
    """An outbox that notes what it is asked, or is full."""

    def __init__(self, *, is_full: bool) -> None:
        self.is_full, self.calls = is_full, list[Any]()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            if self.is_full:
                raise sqlite3.OperationalError("database or disk is full")
            self.calls.append((name, *arguments))

        return call


@pytest.mark.parametrize("is_full", [False, True])
def test_a_full_disk_is_an_answer(is_full: bool) -> None:
    """It is logged, with what to do."""
    outbox = Calls(is_full=is_full)
    log = Noted()
    one = GuardedOutbox(outbox, log)  # type: ignore[arg-type]
    how: Any = object()

    kept = [one.add(["c"], ["r"]), one.withdraw("k", ["d"]), one.amend(how)]  # type: ignore[list-item]
    one.expire(["d"], 5.0)
    one.remember({"a": 1})

    assert kept == [not is_full] * 3
    assert outbox.calls == ([] if is_full else [
        ("add", ["c"], ["r"]), ("withdraw", "k", ["d"]), ("amend", how), ("expire", ["d"], 5.0),
        ("remember", {"a": 1}),
    ])  # fmt: skip
    assert log.errors == ["the outbox cannot be written"] * (5 if is_full else 0)


def test_the_package_is_a_program() -> None:
    """``python -m`` starts it, as `up` and whoever measures do."""
    assert is_program("monitorpi_notifier")


def test_apprise_is_asked_in_a_process_that_may_take_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without what it writes beside the answer; one that fails is an error."""
    calls = []

    def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[bytes]:
        calls.append((command[1:], how))
        return subprocess.CompletedProcess(command, len(calls) - 1, b'{"desk": "a:B"}')

    monkeypatch.setattr(subprocess, "run", run)

    assert postbox.check({"desk": "a://b"}) == {"desk": "a:B"}
    with pytest.raises(OSError, match="exit code 1"):
        postbox.check({"desk": "a://b"})
    command, how = calls[0]
    assert command == ["-P", "-m", "monitorpi_notifier.sinks.post", "--check"]
    assert (how["input"], how["timeout"]) == (b'{"desk": "a://b"}', 120)
    assert (how["stdout"], how["stderr"]) == (subprocess.PIPE, subprocess.DEVNULL)


def test_what_is_reported_is_on_the_disk_at_once(tmp_path: Path) -> None:
    """The power may go in the next moment, and what was told is not told twice."""
    with closing(Outbox(tmp_path / "outbox.db")) as one, one._database.reading() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
