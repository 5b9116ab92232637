"""What is known of each site from its series at VictoriaMetrics or Prometheus.

The pages of the sites are scraped (docs/metrics.md), each series with a label ``site``. A site that
is gone has no series now: what its watch said last is looked for in a day of them.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final, get_args

from monitorpi_cli.sites.overview import AHEAD_S, MAX_SITES, SiteLevel, SiteRow, in_order
from monitorpi_cli.table import printable
from monitorpi_cloud_bridge.web import NoAnswerError, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

SILENT_S: Final = 120.0
"""Eight scrapes that did not come, as in the rules over sites."""
QUERIES: Final = {
    "state": "last_over_time(monitorpi_watch_state[1d]) == 1",
    # of what is scraped now, else as of the last quarter hour or day: it gets coarser
    "said": "max by (site) (timestamp(monitorpi_watch_state)"
    " or max_over_time(timestamp(monitorpi_watch_state)[15m:15s])"
    " or max_over_time(timestamp(monitorpi_watch_state)[1d:5m]))",
    "online": "sum by (site) (monitorpi_service_up)",
    "instances": "count by (site) (monitorpi_service_up)",
    "open": "sum by (site) (monitorpi_alerts_open)",
    "critical": 'count by (site) (monitorpi_alert_open{severity="critical"})',
    # the worst of each site alone: none can fill the answer
    "worst": 'topk by (site) (1, monitorpi_alert_open{severity="critical"} * 2'
    " or monitorpi_alert_open)",
}
_OK: Final = 200
_MOST: Final = 1e9
Samples = list[tuple[dict[str, str], float]]
"""What a query found: labels and value of each."""


class SeriesError(Exception):
    """The store of series cannot be asked; the text says why."""


def ask_series(
    web: httpx.Client, url: str, account: tuple[str, str] | None, now_s: float
) -> list[SiteRow]:
    """Return a row per site, the worst first, then by name.

    Args:
        web: a client of HTTP.
        url: address of the store, with what stands before ``/api/v1/query``.
        account: user and password for a proxy before it.
        now_s: what time it is, since 1970.

    Raises:
        SeriesError: the store cannot be asked.

    """
    headers = {}
    if account is not None:
        pair = base64.b64encode(":".join(account).encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    found = {name: _asked(web, url, headers, query) for name, query in QUERIES.items()}
    return site_rows(found, now_s)


def _asked(web: httpx.Client, url: str, headers: dict[str, str], query: str) -> Samples:
    """Return what a query finds now.

    Raises:
        SeriesError: it finds no answer.

    """
    there = f"{url.rstrip('/')}/api/v1/query"
    try:
        answer = ask(web, "GET", there, params={"query": query, "nocache": "1"}, headers=headers)
    except NoAnswerError as error:
        raise SeriesError(f"{url} does not answer ({error})") from None
    if answer.status != _OK:
        raise SeriesError(
            f"{url} answers HTTP {answer.status}: is it a Prometheus, and may we ask?"
        )
    try:
        samples = [_sample(one) for one in answer.json()["data"]["result"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SeriesError(f"{url} answers as no Prometheus does") from None
    return [(labels, value) for labels, value in samples if math.isfinite(value)]


def _sample(one: Any) -> tuple[dict[str, str], float]:
    """Read a sample.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none.

    """
    labels = {str(name): printable(str(value)) for name, value in one["metric"].items()}
    return labels, float(one["value"][1])


def site_rows(found: Mapping[str, Samples], now_s: float) -> list[SiteRow]:
    """Return a row per site of what the queries found."""
    states = {labels.get("site", ""): labels.get("state") for labels, _ in found["state"]}
    numbers: dict[str, dict[str, float]] = {
        name: {labels.get("site", ""): value for labels, value in found[name]}
        for name in ("said", "online", "instances", "open", "critical")
    }
    worst = {labels.get("site", ""): labels for labels, _ in found["worst"]}
    names = [site for site in numbers["said"] if site][:MAX_SITES]

    def row(site: str) -> SiteRow:
        of_site = {name: by_site.get(site, 0.0) for name, by_site in numbers.items()}
        age_s = now_s - of_site["said"]
        level, reason = _level(states.get(site), age_s)
        return SiteRow(
            site=site, level=level, age_s=age_s, reason=reason,
            online=_count(of_site["online"]), instances=_count(of_site["instances"]),
            open_alerts=_count(of_site["open"]), critical=_count(of_site["critical"]),
            worst=_words(worst[site]) if site in worst else None,
        )  # fmt: skip

    return in_order([row(site) for site in names])


def _count(value: float) -> int:
    """Return a number of things, whatever a site wrote for it."""
    return int(min(max(value, 0.0), _MOST))


def _level(state: str | None, age_s: float) -> tuple[SiteLevel, str | None]:
    """Return a site's state, and why it is no better."""
    if age_s > SILENT_S:
        return "silent", "nothing comes from it: its network, its power, its page, or its agent"
    level = next((one for one in get_args(SiteLevel) if one == state), None)
    if level is None:
        return "silent", "it has not said whether it watches"
    if age_s < -AHEAD_S:
        return level, f"its clock is {-age_s:.0f} s ahead of this one"
    return level, None if level == "watching" else "its page says why, and ./monitorpi status there"


def _words(alert: Mapping[str, str]) -> str:
    """Return what the labels of an open alert say."""
    return f"{alert.get('rule', 'an alert')}: {alert.get('subject', '')}".rstrip(": ")
