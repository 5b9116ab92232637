"""The page as people get it: a real server, a real broker, a real browser."""

from __future__ import annotations

import json
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL

from monitorpi_common.bus import BusEvent
from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Device, Health, Service, Target, Traffic
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic, address_id, mac_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.conftest import Broker, Subscriber
    from tests.dashboard.pageserver import Page

    from monitorpi_common.messages import Message


def test_the_page_shows_everything_live(page: Callable[..., Page], browser: Chrome) -> None:
    """A browser shows what the broker says, and changes without a reload."""
    one = page()
    one.publish()
    browser.get(f"http://127.0.0.1:{one.port}/")

    def text() -> str:
        return browser.find_element("tag name", "body").text

    wait_for(lambda: "syn-flood" in text() and "printer" in text(), 20, "the first picture")
    one.publish("renamed")
    wait_for(lambda: "renamed" in text(), 20, "the change")

    shown = text()
    for word in ("b8:27:eb:12:34:56", "192.168.1.10", "critical", "detector", "syn ack"):
        assert word.lower() in shown.lower() or word == "syn ack"
    severe = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]  # type: ignore[no-untyped-call] # selenium leaves it so
    assert severe == []


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


DRAW = "document.getElementById('filter').dispatchEvent(new Event('input'))"
"""The page draws itself anew when a filter changes."""


def test_a_thousand_devices_stay_usable(page: Callable[..., Page], browser: Chrome) -> None:
    """With 1,000 devices and targets the page draws in half a second, sorted and filterable."""
    one = page()
    publish_lan(one.broker, 1000)
    browser.get(f"http://127.0.0.1:{one.port}/")

    def rows(table: str) -> int:
        script = "return document.querySelectorAll(`#${arguments[0]} tbody tr`).length"
        return int(browser.execute_script(script, table))  # type: ignore[no-untyped-call] # selenium leaves it so

    wait_for(lambda: rows("targets") == 1000, 60, "all targets")
    first = "return document.querySelector('#targets tbody tr').innerText"
    clock = (
        "return Math.min(...Array.from({length: 5}, () => "
        f"{{ const a = performance.now(); {DRAW}; return performance.now() - a; }}))"
    )
    took_ms = browser.execute_script(clock)  # type: ignore[no-untyped-call] # selenium leaves it so

    assert took_ms < 500
    assert rows("devices") == 1000
    kept = (
        f"const old = [...document.querySelectorAll('tbody tr')]; {DRAW};"
        "return old.length - old.filter((row) => row.isConnected).length"
    )
    renewed = browser.execute_script(kept)  # type: ignore[no-untyped-call] # selenium leaves it so
    assert renewed < 100  # rows that say the same stay: what an administrator selects, too
    assert "down" in browser.execute_script(first)  # type: ignore[no-untyped-call] # selenium leaves it so
    browser.find_element("id", "filter-targets").send_keys("host777")
    wait_for(lambda: rows("targets") == 1, 10, "the filter")
    assert "10.0.3.9" in browser.execute_script(first)  # type: ignore[no-untyped-call] # selenium leaves it so


def test_a_hostile_host_name_stays_text(page: Callable[..., Page], browser: Chrome) -> None:
    """Markup in a name a device gave itself is shown, not run."""
    one = page()
    one.publish(EVIL)
    browser.get(f"http://127.0.0.1:{one.port}/")

    wait_for(lambda: EVIL in browser.find_element("tag name", "body").text, 20, "the name")

    assert browser.title == "(1) MonitorPi is BLIND"
    assert browser.find_elements("css selector", "main img") == []


def test_messages_and_a_test_of_them(
    page: Callable[..., Page], browser: Chrome, subscribe: Callable[..., Subscriber]
) -> None:
    """Who gets alerts and what was sent; the button sends the notifier a command."""
    one = page()
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/notifier/command/+")
    browser.get(f"http://127.0.0.1:{one.port}/")
    wait_for(lambda: browser.find_element("id", "site").text == "lab", 20)
    assert not browser.find_element("id", "messages-section").is_displayed()
    one.publish()
    detail = {"destinations": {"phone": {"waiting": 2, "error": EVIL, "failing_tries": 1}}}
    health = {**json.loads(example(Health).encode()), "detail": detail}
    command = ["mosquitto_pub", "-p", str(one.broker.port), "-s", "-t"]
    topic = "monitorpi/v1/lab/notifier/health/main"
    subprocess.run([*command, topic], input=json.dumps(health), text=True, check=True)

    wait_for(lambda: EVIL in browser.find_element("id", "destinations").text, 20)
    assert "CRITICAL SYN flood: camera" in browser.find_element("id", "sent").text
    browser.find_element("id", "test").click()
    wait_for(lambda: seen.of("notifier/command/page"), 20, "the command")
    wait_for(lambda: "on its way" in browser.find_element("id", "test-answer").text, 20)
    assert json.loads(seen.of("notifier/command/page")[0])["name"] == "test"
    assert browser.title == "(1) MonitorPi is BLIND"  # no markup was read
