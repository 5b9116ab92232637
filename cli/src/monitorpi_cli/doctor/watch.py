"""What a running stack says of its own watch, and whether its page is there. I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from monitorpi_cli.doctor.finding import CheckResult, note, ok, wrong
from monitorpi_cli.doctor.server import answer_of
from monitorpi_cli.stack.listening import LOOPBACK
from monitorpi_cloud_bridge.web import client
from monitorpi_common import clock
from monitorpi_common.bus import Raw, Subscribed
from monitorpi_common.conclusion import FRESH_S
from monitorpi_common.log import Log
from monitorpi_common.messages import Health, Service, Status, WatchState
from monitorpi_common.session import Session
from monitorpi_common.topics import Topic, TopicError, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitorpi_cli.doctor.finding import Mark
    from monitorpi_common.messages import WatchLevel
    from monitorpi_common.settings import BrokerSettings

_ANSWER_S: Final = 5.0
_RETAINED_S: Final = 0.5
"""A broker sends what it keeps right behind its answer to the subscription."""
_MARKS: Final[dict[WatchLevel, Mark]] = {"watching": "ok", "partly": "note", "blind": "wrong"}
_ANSWERS: Final[tuple[int, ...]] = (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
"""Of a page that is up: the other one is about the watch."""
_START: Final = "sudo ./monitorpi up, or sudo ./monitorpi install to have it at each boot"


@dataclass
class Remembered:
    """What the broker keeps of one site's detector."""

    online: bool = False
    state: WatchState | None = None


@dataclass
class Sites:
    """What the broker keeps of the detectors of all sites."""

    known: dict[str, Remembered] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    """By site: where its dashboard says that the page is."""

    def receive(self, raw: Raw) -> None:
        """Take a message; what is not of the contract is passed over."""
        try:
            topic = Topic.parse(raw.topic)
            if topic.kind == Health.KIND:
                url = Health.model_validate_json(raw.payload).detail.get("url")
                self.pages[topic.site] = str(url)
                return
            site = self.known.setdefault(topic.site, Remembered())
            if topic.kind == "status":
                site.online |= raw.payload == Status.ONLINE.value.encode()
            elif raw.payload:
                site.state = WatchState.model_validate_json(raw.payload)
        except (TopicError, ValidationError):
            return


def check_watch(settings: BrokerSettings, site: str) -> Iterator[CheckResult]:
    """Return whether anybody watches, as the broker's memory has it, and ask for the page.

    Args:
        settings: the broker, and an account that may read the detector's topics; the page is
            found by one that may read the dashboard's too.
        site: whose; ``+``: of every site.

    """
    sites = _ask(settings, site)
    if sites is None:
        return
    yield from judge_watch(sites, clock.wall())
    for name, url in sites.pages.items():
        is_up = name in sites.known and sites.known[name].online
        if is_up and _is_here(url):
            yield check_page(url)


def _is_here(url: str) -> bool:
    """Tell whether an address that somebody published is one of this machine."""
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:  # such as half a bracket
        return False


def check_page(url: str) -> CheckResult:
    """Ask a page of this machine how it is: what it answers is the watch's matter."""
    answers = dict.fromkeys(_ANSWERS, ok("page", f"{url} answers"))
    with client(timeout_s=_ANSWER_S) as web:
        return answer_of(
            web, "page", url, f"{url}healthz", answers,
            silent="look at the dashboard's log", odd="is something else listening there?",
        )  # fmt: skip


def judge_watch(sites: Sites, at: datetime) -> Iterator[CheckResult]:
    """Return what each site's detector concludes, if it is there to say it."""
    if not sites.known:
        yield note("watch", "no detector has ever been at this broker", _START)
    for name, site in sorted(sites.known.items()):
        state, where = site.state, f"site {name!r}"
        silent_s = (at - state.at).total_seconds() if state is not None else 0.0
        if not site.online:
            yield wrong("watch", f"{where}: no detector runs", _START)
        elif silent_s < -2 * FRESH_S:
            yield wrong(
                "watch",
                f"{where}: what the detector says is dated {-silent_s:.0f} s ahead",
                "are the clocks of both machines set (timedatectl)? Is it the detector's own word?",
            )
        elif state is None or silent_s > 2 * FRESH_S:
            since = "" if state is None else f" for {silent_s:.0f} s"
            yield wrong(
                "watch",
                f"{where}: the detector says nothing{since}",
                "look at the load of this machine and at the detector's log",
            )
        else:
            yield from _concluded(where, state)


def _concluded(where: str, state: WatchState) -> Iterator[CheckResult]:
    mark = _MARKS[state.state]
    if not state.reasons:
        yield CheckResult(mark, "watch", f"{where}: {state.state}")
    for reason in state.reasons:
        text = f"{where}: {state.state}: {reason.text.removesuffix('.')}"
        yield CheckResult("note" if mark == "ok" else mark, "watch", text, reason.remedy)


def _ask(settings: BrokerSettings, site: str) -> Sites | None:
    """Return what the broker keeps; None: it does not say."""
    sites = Sites()
    detector, dashboard = Service.DETECTOR.value, Service.DASHBOARD.value
    wanted = ((detector, "status"), (detector, WatchState.KIND), (dashboard, Health.KIND))
    until = time.monotonic() + _ANSWER_S
    answered = False
    filters = [pattern(site, *kind) for kind in wanted]
    with Session(settings, "doctor", filters, Log("doctor", "error")) as session:
        while time.monotonic() < until:
            item = session.next(_RETAINED_S / 10)
            if isinstance(item, Raw):
                sites.receive(item)
            elif item is not None and item.report is not None and item.report.failed:
                return None  # the trial of the broker says why
            elif item is not None and isinstance(item.event, Subscribed):
                answered, until = True, time.monotonic() + _RETAINED_S
    return sites if answered else None
