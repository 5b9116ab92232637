"""The core of a notifier, with a postbox that keeps what it is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.drive import received

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, WatchState
from monitorpi_common.service import Presence, Tick
from monitorpi_common.topics import Topic
from monitorpi_notifier.core import NotifierCore
from monitorpi_notifier.digest import Digest
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.planned import Plan
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import JsonValue

    from monitorpi_notifier.items import NoticeChange, ReportedAlert

T = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)  # a Monday
SAMPLE = example(Alert)
WATCHING = example(WatchState).model_copy(update={"state": "watching", "reasons": []})


class Box:
    """A store in memory: what waits, and what is known to be reported."""

    def __init__(self) -> None:
        self.changes: list[NoticeChange] = []
        self.reported: dict[str, ReportedAlert] = {}
        self.memory: dict[str, JsonValue] = {}
        self.is_full = False

    def add(self, changes: Iterable[NoticeChange], reported: Iterable[ReportedAlert]) -> bool:
        """Keep, unless the disk is full."""
        if not self.is_full:
            self.changes += changes
            self.reported |= {one.key: one for one in reported}
        return not self.is_full

    def withdraw(self, key: str, destinations: Iterable[str]) -> bool:
        """Forget what waits."""
        gone = set(destinations)
        self.changes = [
            one for one in self.changes if one.key != key or one.destination not in gone
        ]
        return True

    def amend(self, how: Callable[[NoticeChange], NoticeChange]) -> bool:
        """Put others in their place."""
        self.changes = [how(one) for one in self.changes]
        return True

    def expire(self, destinations: Iterable[str], before_s: float) -> None:
        """Drop what is old or for nobody."""
        self.changes = [
            one for one in self.changes
            if one.due_s >= before_s and one.destination in destinations
        ]  # fmt: skip

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values."""
        self.memory |= memory


class Rig:
    """A core, its store and a clock."""

    def __init__(self, box: Box | None = None, **settings: Any) -> None:
        known: dict[str, Any] = {"destinations": {"phone": {"url": "json://localhost"}}}
        self.settings = NotifierSettings.model_validate({**known, **settings})
        self.box = box or Box()
        self.at = T
        directory = Directory()
        self.core = NotifierCore(
            self.settings, self.box, Wording(directory, UTC, None), directory,
            Plan(self.settings, UTC), Digest(directory, UTC, self.settings.digest_at),
            alive_before_s=json.loads(json.dumps(self.box.memory.get("alive_at"))),
        )  # fmt: skip
        self.core.recall(self.box.reported.values())
        list(self.core.handle(Tick(self.at, self.at.timestamp(), clock_synced=True)))
        for service in ("capture", "detector", "prober"):
            topic = Topic("lab", service, "status", "main")
            list(self.core.handle(Presence(topic, online=True)))
        self.tick(0)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass; the detector says that it watches."""
        while True:
            step_s = min(seconds, 3.0)
            self.at += timedelta(seconds=step_s)
            list(self.core.handle(Tick(self.at, self.at.timestamp(), clock_synced=True)))
            list(self.core.handle(received(WATCHING, "main")))
            seconds -= step_s
            if seconds <= 0:
                return

    def alert(self, key: str = "syn-flood-b827eb123456", **more: Any) -> Alert:
        """Hand in an alert at the present time."""
        rule = more.pop("rule", "syn-flood")
        seen = self.core._open.get(key)
        opened = more.pop("opened_at", seen.alert.opened_at if seen else self.at)
        known: dict[str, Any] = {
            "key": key, "rule": rule, "subject": key.removeprefix(f"{rule}-"), "at": self.at,
            "opened_at": opened, "id": f"8f3e0b8e-3c0b-5d0a-9a55-{abs(hash(key)) % 10**12:012d}",
        }  # fmt: skip
        if more.get("state") == "closed":
            known |= {"closed_at": self.at, "close_reason": "quiet"}
        alert = Alert.model_validate({**SAMPLE.model_dump(), **known, **more})
        list(self.core.handle(received(alert, key)))
        return alert

    def reported(self, destination: str = "phone") -> list[str]:
        """Return what a destination is reported: ``opened syn-flood-...``."""
        mine = [one for one in self.box.changes if one.destination == destination]
        return [f"{one.what} {one.key}" for one in mine]
