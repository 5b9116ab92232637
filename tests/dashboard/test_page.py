"""The page as people get it: a real server, a real broker, a real browser."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, Page, complaints, look, text

from monitorpi_common.bus import BusEvent
from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import (
    Device,
    Service,
    Target,
    Traffic,
)
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic, address_id, mac_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.conftest import Broker

    from monitorpi_common.messages import Message


def test_the_page_shows_everything_live(page: Callable[..., Page], browser: Chrome) -> None:
    """A browser shows what the broker says, and changes without a reload."""
    one = page()
    one.publish()
    look(browser, one)

    wait_for(lambda: "SYN flood" in text(browser) and "printer" in text(browser), 20)
    one.publish("renamed")
    wait_for(lambda: "renamed" in text(browser), 20, "the change")

    views = {
        "now": ("SYN flood", "critical", "renamed", "syn 1,000/s"),
        "devices": ("renamed", "b8:27:eb:12:34:56", "192.168.1.10", "printer", "up"),
        "device/b8:27:eb:12:34:56": ("renamed", "b8:27:eb:12:34:56", "syn", "1,012/s"),
        "device/192.168.1.10": ("printer", "Ping 192.168.1.10"),
        "alerts": ("SYN flood", "renamed", "critical"),
        "services": ("detector", "eth0", "41.0 MB"),
        "no such view": ("SYN flood",),
    }
    for view, words in views.items():
        look(browser, one, view)
        wait_for(lambda words=words: all(word in text(browser) for word in words), 20, view)
    assert complaints(browser) == []


class Site:
    """Services as they show on the bus, played by hand: who is there, and windows each second."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.services = {"capture", "detector", "prober"}
        self.ports = {"eth0"}
        self.late_s = 0.0
        self._seq = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _live(self) -> None:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.connect_async("127.0.0.1", self.broker.port)
        client.loop_start()
        while not self._ended.wait(0.5):
            self._seq += 1
            for name in ("capture", "detector", "prober"):
                word = "online" if name in self.services else "offline"
                client.publish(f"monitorpi/v1/lab/{name}/status/main", word, 1, retain=True)
            end = datetime.now(UTC) - timedelta(seconds=self.late_s)
            if "capture" in self.services:
                for port in self.ports:
                    values = {"seq": self._seq, "end": end, "interface": port, "kernel_drops": 0}
                    window = example(Traffic).model_copy(update=values)
                    client.publish(f"monitorpi/v1/lab/capture/traffic/{port}", window.encode(), 1)
        client.disconnect()
        client.loop_stop()


def test_it_never_says_that_all_is_well_while_nobody_watches(
    page: Callable[..., Page], browser: Chrome, broker: Broker
) -> None:
    """Each way to be blind is on the page, in its title and in /healthz within ten seconds.

    And each is well again within ten seconds after.
    """
    one = page()
    browser.get(f"http://127.0.0.1:{one.port}/")

    def shows(state: str, text: str, seconds: float = 10.0) -> None:
        def all_say_so() -> bool:
            body = browser.find_element("tag name", "body").text
            status, word, _ = one.get("/healthz")
            titled = {"watching": "MonitorPi", "partly": "MonitorPi sees a part",
                      "blind": "MonitorPi is BLIND"}[state] == browser.title  # fmt: skip
            calm = ("Nothing is wrong." in body) == (state == "watching")
            ready = (status == 200) == (state == "watching") and word.decode().strip() == state
            return text in body and titled and calm and ready

        wait_for(all_say_so, seconds, f"{state}: {text}")

    shows("blind", "The capture has not been heard of yet.")
    with Site(broker) as site:
        shows("watching", "Nothing is wrong.", 20)
        for name, state in (("detector", "blind"), ("capture", "blind"), ("prober", "partly")):
            site.services.discard(name)
            shows(state, f"The {name} is not running.")
            site.services.add(name)
            shows("watching", "Nothing is wrong.")
        site.ports = set()
        shows("blind", "No window of eth0 for ")
        site.ports = {"eth0"}
        shows("watching", "Nothing is wrong.")
        site.late_s = 6.0
        shows("partly", "s old when they arrive.")
        site.late_s = -20.0
        shows("partly", "s ahead when they arrive.")
        site.late_s = 0.0
        shows("watching", "Nothing is wrong.")
        broker.freeze()
        shows("blind", "No window of eth0 for ")
        broker.thaw()
        shows("watching", "Nothing is wrong.", 20)
    broker.kill()
    shows("blind", "No connection to the broker")
    broker.start()
    with Site(broker):
        shows("watching", "Nothing is wrong.", 40)
    one.process.kill()

    def page_says_so() -> bool:
        body = browser.find_element("tag name", "body").text
        return "This page has had no news" in body and "Nothing is wrong." not in body

    wait_for(page_says_so, 10, "the page to notice that it is alone")


def publish_lan(broker: Broker, count: int) -> None:
    """Put that many devices on the broker, each with a target; every tenth is down."""
    by_type = {type(message): message for _, message in EXAMPLES}
    device, target = by_type[Device], by_type[Target]
    inbox = Inbox()
    bus = MqttBus(BrokerSettings(port=broker.port), "lan", None, Log("lan"))
    bus.open(inbox, [])

    def publish(service: Service, id_: str, message: Message) -> None:
        topic = Topic("lab", service.value, message.KIND, id_)
        bus.publish(topic, message.encode(), message.DELIVERY, None)

    def sent(most_left: int) -> bool:
        while (item := inbox.take(0.0)) is not None:
            if isinstance(item, BusEvent):
                bus.event(item)
        return bus.depth <= most_left

    for n in range(count):
        mac, ip, name = (
            f"b8:27:eb:00:{n >> 8:02x}:{n & 255:02x}",
            f"10.0.{n >> 8}.{n & 255}",
            f"host{n}",
        )
        known = {"mac": mac, "hostname": name, "ips": [ip]}
        probed = {"mac": mac, "name": name, "address": ip, "state": "up" if n % 10 else "down"}
        publish(Service.CAPTURE, mac_id(mac), device.model_copy(update=known))
        publish(Service.PROBER, address_id(ip), target.model_copy(update=probed))
        wait_for(lambda: sent(200), 20, "the broker")
    wait_for(lambda: sent(0), 20, "the broker")
    bus.close()


def test_a_thousand_devices_stay_usable(page: Callable[..., Page], browser: Chrome) -> None:
    """With 1,000 devices and targets a picture is drawn in half a second, sorted and filtered."""
    one = page()
    publish_lan(one.broker, 1000)
    look(browser, one, "devices")

    def ask(script: str) -> Any:
        return browser.execute_script(script)  # type: ignore[no-untyped-call] # selenium leaves it so

    def rows() -> int:
        return int(ask("return document.querySelectorAll('#devices tbody tr').length"))

    wait_for(lambda: rows() == 1000, 60, "all devices")
    draw = (
        "window.dispatchEvent(new HashChangeEvent('hashchange'));"
        "await new Promise(requestAnimationFrame);"
    )
    took_ms = ask(
        "return (async () => { const all = [];"
        "for (let i = 0; i < 5; i++) {"
        f" const begun = performance.now(); {draw} all.push(performance.now() - begun); }}"
        "return Math.min(...all); })()"
    )
    assert took_ms < 500
    kept = ask(
        "return (async () => { const old = [...document.querySelectorAll('tbody tr')];"
        f"{draw} return old.filter((row) => row.isConnected).length; }})()"
    )
    assert kept == 1000  # rows stay: what an administrator selects in them, too
    first = "return document.querySelector('#devices tbody tr').innerText"
    assert "down" in ask(first)
    browser.find_element("id", "filter").send_keys("host777")
    wait_for(lambda: rows() == 1, 10, "the filter")
    assert "10.0.3.9" in ask(first)
    assert "q=host777" in browser.current_url  # it can be sent to somebody
    look(browser, one, "devices?state=down&sort=ip&order=down")
    wait_for(lambda: rows() == 100, 20, "those that are down")
    assert "host990" in ask(first)


def test_a_hostile_host_name_stays_text(page: Callable[..., Page], browser: Chrome) -> None:
    """Markup in a name a device gave itself is shown, not run."""
    one = page()
    one.publish(EVIL)

    for view in ("now", "devices", "device/b8:27:eb:12:34:56", "alerts"):
        look(browser, one, view)
        wait_for(lambda: EVIL in text(browser), 20, f"the name, {view}")
        assert browser.title == "(1) MonitorPi is BLIND"
        assert browser.find_elements("css selector", "main img, main script") == []
    look(browser, one, f"device/{quote(EVIL)}?span={quote(EVIL)}")
    wait_for(lambda: EVIL in text(browser), 20, "the address")
    assert browser.find_elements("css selector", "main img, main script") == []
