"""The page as people get it: a real server, a real broker, a real browser."""

from __future__ import annotations

import http.client
import http.server
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select
from tests.conftest import ROOT, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.bus import BusEvent
from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Result,
    Service,
    Target,
    Traffic,
    timestamp,
)
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic, address_id, mac_id
from monitorpi_dashboard.sinks import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome
    from tests.conftest import Broker, Subscriber

    from monitorpi_common.messages import Message

EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


class Page:
    """A running dashboard."""

    def __init__(self, broker: Broker, **settings: str) -> None:
        self.port = free_port()
        self.broker = broker
        names = {f"MONITORPI_DASHBOARD__{name}": value for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitorpi_dashboard"],
            env=broker.environment(MONITORPI_DASHBOARD__PORT=str(self.port), **names),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(self._answers, 20, "the page")

    def _answers(self) -> bool:
        try:
            return self.get("/healthz")[0] in (200, 503)
        except OSError:
            return False

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Ask for a path; header names are given with underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def state(self) -> Any:
        """Return the JSON document of the page."""
        return json.loads(self.get("/api/state")[1])

    def publish(self, hostname: str = "printer") -> None:
        """Put every example of the contract on the broker, one device with the given name."""
        for topic, message in EXAMPLES:
            place = str(topic).replace("/home/", "/lab/")
            payload = json.loads(message.encode())
            if isinstance(message, Device):
                payload["hostname"] = hostname
            if isinstance(message, Alert):  # an old one would have expired
                payload |= dict.fromkeys(("opened_at", "at"), timestamp(datetime.now(UTC)))
            options = ["-r"] if message.DELIVERY.retain else []
            command = ["mosquitto_pub", "-p", str(self.broker.port), "-t", place, "-s", *options]
            subprocess.run(command, input=json.dumps(payload), text=True, check=True)


@pytest.fixture
def page(broker: Broker) -> Iterator[Callable[..., Page]]:
    """Start dashboards that end with the test."""
    started: list[Page] = []

    def start(**settings: str) -> Page:
        started.append(Page(broker, **settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr is not None
        one.process.stderr.close()


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """Run a real browser without a screen."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed: ./monitorpi test installs them")
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    one = module.browser()
    yield one
    one.quit()


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


def look(browser: Chrome, page: Page, view: str = "now") -> None:
    """Open a view by its address."""
    browser.get(f"http://127.0.0.1:{page.port}/#/{view}")


def text(browser: Chrome) -> str:
    """Return what is read on the page."""
    return browser.find_element("tag name", "body").text


def complaints(browser: Chrome) -> list[str]:
    """Return what the browser complains of: scripts that failed, a broken policy."""
    lines = browser.get_log("browser")  # type: ignore[no-untyped-call] # selenium leaves it so
    return [line["message"] for line in lines if line["level"] == "SEVERE"]


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


def test_only_names_of_this_machine_are_served(page: Callable[..., Page]) -> None:
    """A web page on the Internet cannot read the LAN through a visitor's browser."""
    one = page(HOSTS='["Pi.Example"]')

    assert one.get("/api/state", Host="evil.example")[0] == 421
    assert one.get("/api/state", Host=f"localhost:{one.port}")[0] == 200
    assert one.get("/api/state", Host="192.168.1.2")[0] == 200
    assert one.get("/api/state", Host="pi.example")[0] == 200


def test_beyond_loopback_a_password_is_needed(page: Callable[..., Page], broker: Broker) -> None:
    """Without one the page refuses to start; with one it asks for it."""
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_dashboard"],
        env=broker.environment(MONITORPI_DASHBOARD__LISTEN="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "needs one (secret dashboard__password)" in done.stderr

    one = page(LISTEN="0.0.0.0", PASSWORD="horse staple")
    good = b64encode(b"monitorpi:horse staple").decode()
    bad = b64encode(b"monitorpi:horse").decode()

    assert one.get("/")[0] == 401
    assert one.get("/", Authorization=f"Basic {bad}")[0] == 401
    assert one.get("/", Authorization=f"Basic {good}")[0] == 200


def test_a_taken_port_is_one_clear_line(page: Callable[..., Page], broker: Broker) -> None:
    """Exit code 3 and the name of the setting."""
    first = page()

    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_dashboard"],
        env=broker.environment(
            MONITORPI_INSTANCE="second", MONITORPI_DASHBOARD__PORT=str(first.port)
        ),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 3
    assert f"port {first.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_are_bounded_and_nothing_else_is_served(page: Callable[..., Page]) -> None:
    """Enough open pages are enough; paths out of the page's folder do not exist."""
    one = page()
    streams = []
    for _ in range(web.MAX_STREAMS):
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
        connection.request("GET", "/api/stream")
        assert connection.getresponse().status == 200
        streams.append(connection)

    assert one.get("/api/stream")[0] == 503
    for path in ("/../settings.py", "/page/../../view.py", "/%2e%2e/view.py", "/nothing"):
        assert one.get(path)[0] == 404
    headers = one.get("/")[2]
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    for connection in streams:
        connection.close()


def test_messages_and_a_test_of_them(
    page: Callable[..., Page], browser: Chrome, subscribe: Callable[..., Subscriber]
) -> None:
    """Who gets alerts and what was sent; the button sends the notifier a command."""
    one = page()
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/notifier/command/+")
    look(browser, one, "services")
    wait_for(lambda: browser.find_elements("id", "services"), 20, "the view")
    assert browser.find_elements("id", "messages-section") == []
    one.publish()
    detail = {"destinations": {"phone": {"waiting": 2, "error": EVIL, "failing_tries": 1}}}
    health = {**json.loads(example(Health).encode()), "detail": detail}
    command = ["mosquitto_pub", "-p", str(one.broker.port), "-s", "-t"]
    topic = "monitorpi/v1/lab/notifier/health/main"
    subprocess.run([*command, topic], input=json.dumps(health), text=True, check=True)

    wait_for(lambda: EVIL in text(browser), 20)
    assert "CRITICAL SYN flood: camera" in browser.find_element("id", "sent").text
    with Answering(one.broker.port, "notifier", ""):
        browser.find_element("id", "test").click()
        wait_for(lambda: seen.of("notifier/command/page-"), 20, "the command")
        wait_for(lambda: "on its way" in browser.find_element("id", "test-answer").text, 20)
    assert json.loads(seen.of("notifier/command/page-")[0])["name"] == "test"
    assert browser.title == "(1) MonitorPi is BLIND"  # no markup was read


class Answering:
    """A service that answers each command, played by hand: done, or refused with these words."""

    def __init__(self, port: int, service: str, error: str) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._answer
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"monitorpi/v1/lab/{service}/command/+", 1)
        self._error = error

    def _answer(self, client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        name = json.loads(message.payload)["name"]
        result = Result(name=name, at=datetime.now(UTC), ok=not self._error, error=self._error)
        client.publish(message.topic.replace("/command/", "/result/"), result.encode(), 1)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.loop_stop()
        self._client.disconnect()


def test_an_alert_is_silenced_and_acknowledged(
    page: Callable[..., Page], browser: Chrome, subscribe: Callable[..., Subscriber]
) -> None:
    """The buttons send commands to the detector; what it answers stands beside them."""
    one = page()
    one.publish()
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/detector/command/+")
    look(browser, one, "alerts")
    wait_for(lambda: browser.find_elements("class name", "acknowledge"), 20, "the button")

    def said(word: str, seconds: float = 20) -> None:
        wait_for(
            lambda: word in browser.find_element("css selector", ".orders .note").text,
            seconds,
            word,
        )

    def commands() -> list[dict[str, Any]]:
        return [json.loads(one) for one in seen.of("detector/command/page-")]

    with Answering(one.broker.port, "detector", ""):
        browser.find_element("class name", "acknowledge").send_keys(Keys.ENTER)
        said("Marked as seen.")
        Select(browser.find_element("css selector", ".orders select")).select_by_value("480")
        browser.find_element("class name", "silence").click()
        said("Silenced for 8 hours.")
    with Answering(one.broker.port, "detector", f"no alert {EVIL}"):
        browser.find_element("class name", "silence").click()
        said(f"Not done: no alert {EVIL}.")
    browser.find_element("class name", "silence").click()
    said("has not answered within 5 s")

    key = "syn-flood-b827eb123456"
    silence = {"name": "silence", "args": {"key": key, "minutes": 480}}
    told = [{name: one[name] for name in ("name", "args")} for one in commands()]
    assert told == [{"name": "acknowledge", "args": {"key": key}}, silence, silence, silence]


def test_twenty_tabs_are_all_served(page: Callable[..., Page], browser: Chrome) -> None:
    """A browser gives one server six connections: a tab that is hidden needs none."""
    one = page()
    one.publish()
    for number in range(20):
        if number:
            browser.switch_to.new_window("tab")
        look(browser, one, "devices")
        wait_for(lambda: "workshop" in text(browser) or "printer" in text(browser), 20, f"{number}")

    browser.switch_to.window(browser.window_handles[0])
    one.publish("renamed")
    wait_for(lambda: "renamed" in text(browser), 30, "the first tab again")
    assert browser.title == "(1) MonitorPi is BLIND"


class Prefixed(http.server.BaseHTTPRequestHandler):
    """A proxy that serves the page below a path, and knows nothing else of it."""

    port: int
    path_seen: list[str]

    def do_GET(self) -> None:
        """Ask the page for what stands behind the prefix."""
        self.path_seen.append(self.path)
        if not self.path.startswith("/net/"):
            self.send_error(404)
            return
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        client.request("GET", self.path.removeprefix("/net"), headers=dict(self.headers.items()))
        answer = client.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            while piece := answer.read1(65536):
                self.wfile.write(piece)
        client.close()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_it_works_below_a_path(page: Callable[..., Page], browser: Chrome) -> None:
    """All that the page asks for is relative to where it stands."""
    one = page()
    one.publish()
    seen: list[str] = []
    proxy = type("Proxy", (Prefixed,), {"port": one.port, "path_seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        browser.get(f"http://127.0.0.1:{server.server_address[1]}/net/#/devices")
        wait_for(lambda: "printer" in text(browser), 20, "the page")
        one.publish("renamed")
        wait_for(lambda: "renamed" in text(browser), 20, "the change")
        assert [path for path in seen if not path.startswith("/net/")] == []
        assert complaints(browser) == []
    finally:
        one.process.kill()  # its streams end
        server.shutdown()
        server.server_close()
        thread.join()
