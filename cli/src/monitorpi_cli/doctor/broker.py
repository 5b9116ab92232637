"""Tries the broker as each service would: connect, log in, subscribe, publish, receive. I/O."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from monitorpi_cli.doctor.finding import CheckResult, ok, parted, wrong
from monitorpi_common.bus import ConnectionRefused, Raw, Subscribed
from monitorpi_common.handover import Handover, NotConnectedError
from monitorpi_common.log import Log
from monitorpi_common.messages import Delivery
from monitorpi_common.session import ConnectionChange, Session
from monitorpi_common.settings import authority
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_cli.stack.logins import Login
    from monitorpi_common.mqtt import MqttBus
    from monitorpi_common.settings import BrokerSettings

TRY_S: Final = 8.0
"""Longer than a connection is waited for (5 s), so that its failure is reported by name."""
_POLL_S: Final = 0.05
_TRIAL: Final = Delivery("request", 1, retain=False, expiry_s=10, rate="when the doctor is asked")
"""Nobody reads topics of this kind; one that is not retained leaves nothing behind."""


def try_logins(found: Sequence[Login], site: str) -> Iterator[CheckResult]:
    """Try each account; where the broker is not reached at all, that is reported once."""
    good = []
    for login in found:
        finding, reached = try_login(login, site)
        if finding is None:
            good.append(login)
            continue
        yield finding
        if not reached:
            return
    if good:
        settings = good[0].settings
        names = ", ".join(login.settings.username for login in good if login.settings.username)
        who = f"as {names}" if names else "without a name"
        how = "by TLS " if settings.tls_ca is not None else ""
        address = authority(settings.host, settings.port)
        yield ok("broker", f"{address}: connected {how}{who}; published and received")


def try_login(login: Login, site: str, within_s: float = TRY_S) -> tuple[CheckResult | None, bool]:
    """Send a message through the broker to ourselves.

    Returns:
        What is wrong, None: nothing; and whether a broker answered at all.

    """
    settings = login.settings
    topic = Topic(site, login.service.value, "trial", f"doctor-{secrets.token_hex(8)}")
    subscribed = connected = False
    deadline = time.monotonic() + within_s
    with Session(settings, "doctor", [str(topic)], Log("doctor", "error")) as session:
        bus = session.bus
        while time.monotonic() < deadline and not bus.counters.refused:
            item = session.next(_POLL_S)
            if isinstance(item, Raw) and item.topic == str(topic):
                return None, True
            if isinstance(item, ConnectionChange):
                connected |= bus.connected
                if item.report is not None and item.report.failed:
                    reached = connected or isinstance(item.event, ConnectionRefused)
                    return parted("broker", item.report.text), reached
                if isinstance(item.event, Subscribed) and not subscribed:
                    subscribed = True
                    bus.publish(topic, b"?", _TRIAL, _TRIAL.expiry_s)
    return _unfinished(login, bus, connected=connected, subscribed=subscribed), connected


def try_elsewhere(what: str, account: BrokerSettings, handover: Handover) -> CheckResult:
    """Connect to a broker elsewhere as one of ours would; nothing is said there.

    Args:
        what: the topic of the finding.
        account: the broker, and who we are there.
        handover: the connection.

    """
    address = authority(account.host, account.port)
    try:
        handover.publish([])
    except NotConnectedError as error:
        if error.refused:
            remedy = f"check the account {account.username!r} and its password"
            return wrong(what, f"{address} refuses us ({error})", remedy)
        return parted(what, f"no connection to {address}: {error}")
    finally:
        handover.close()
    return ok(what, f"{address}: connected as {account.username}")


def _unfinished(login: Login, bus: MqttBus, *, connected: bool, subscribed: bool) -> CheckResult:
    """Return how far the message came."""
    settings = login.settings
    address = authority(settings.host, settings.port)
    who = f"the account {settings.username!r}" if settings.username else "whoever has no account"
    own = f"monitorpi/v1/+/{login.service.value}/#"
    if not connected:
        text = f"{address} takes the connection and says nothing"
        remedy = "is it an MQTT broker, and is it alive? Its log says more"
    elif bus.counters.refused:
        text = f"{who} may not write {own}"
        remedy = "give it that right in the broker's access rules (docs/deployment.md)"
    elif bus.counters.published:
        text = f"{who} may write {own} and does not receive what it subscribes to there"
        remedy = "let it read there in the broker's access rules (docs/deployment.md)"
    else:
        what = "message" if subscribed else "subscription"
        text = f"{address} lets {who} in and does not answer for a {what}"
        remedy = "its log says why; is the machine it runs on overloaded?"
    return wrong("broker", text, remedy)
