"""The page as a process, and what a browser shows of it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Result,
    timestamp,
)

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from tests.conftest import Broker


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

    def await_answer(self) -> None:
        """Wait until it is there; whoever waits ends it, also where it never comes."""
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


def say(one: Page, **thresholds: Any) -> None:
    """Let the detector's health say what was changed while it runs."""
    floors = {"syn-flood": 100.0, "icmp-flood": 50.0, "loop": 200.0}
    detail = {"thresholds": thresholds, "configured_floors": floors}
    health = {**json.loads(example(Health).encode()), "detail": detail}
    command = ["mosquitto_pub", "-p", str(one.broker.port), "-s", "-t"]
    topic = "monitorpi/v1/lab/detector/health/main"
    subprocess.run([*command, topic], input=json.dumps(health), text=True, check=True)


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
