"""What people ask for on the page: test messages, silence, acknowledgement."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select
from tests.conftest import wait_for
from tests.dashboard.pageserver import EVIL, Answering, Page, look, text

from monitorpi_common.examples import example
from monitorpi_common.messages import (
    Device,
    Health,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.conftest import Subscriber


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
            lambda: word in browser.find_element("css selector", ".commands .note").text,
            seconds,
            word,
        )

    def commands() -> list[dict[str, Any]]:
        return [json.loads(one) for one in seen.of("detector/command/page-")]

    with Answering(one.broker.port, "detector", ""):
        browser.find_element("class name", "acknowledge").send_keys(Keys.ENTER)
        said("Marked as seen.")
        Select(browser.find_element("css selector", ".commands select")).select_by_value("480")
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


def test_a_device_is_named_and_marked(
    page: Callable[..., Page], browser: Chrome, subscribe: Callable[..., Subscriber]
) -> None:
    """The commands go to capture; what it publishes then is what the page shows."""
    one = page()
    one.publish()
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/capture/command/+")

    def asked() -> list[Any]:
        return [json.loads(each)["args"] for each in seen.of("capture/command/page-")]

    with Answering(one.broker.port, "capture", ""):
        look(browser, one, "device/b8:27:eb:12:34:56")
        wait_for(lambda: browser.find_elements("id", "marks"), 20, "the form")
        field = browser.find_element("id", "name")
        field.send_keys(f" {EVIL[:40]} ", Keys.ENTER)
        wait_for(lambda: "It is called" in browser.find_element("id", "marks").text, 20)
        assert asked() == [{"mac": "b8:27:eb:12:34:56", "name": EVIL[:40].strip()}]
        for word in ("known", "pinned", "ignored"):
            browser.find_element("id", word).click()
            done = f"Marked as {word}"
            wait_for(lambda done=done: done in browser.find_element("id", "marks").text, 20, word)
    assert asked()[1:] == [
        {"mac": "b8:27:eb:12:34:56", word: True} for word in ("known", "pinned", "ignored")
    ]

    device = {**json.loads(example(Device).encode())}
    device |= {"hostname": EVIL, "marks": {"name": EVIL, "known": True, "ignored": True}}
    command = ["mosquitto_pub", "-p", str(one.broker.port), "-r", "-s", "-t"]
    topic = "monitorpi/v1/lab/capture/device/b827eb123456"
    subprocess.run([*command, topic], input=json.dumps(device), text=True, check=True)

    def pressed(word: str) -> str | None:
        return browser.find_element("id", word).get_attribute("aria-pressed")

    wait_for(lambda: pressed("known") == "true" and pressed("pinned") == "false", 20)
    look(browser, one, "devices")
    wait_for(lambda: browser.find_elements("id", "state"), 20, "the list")
    assert EVIL not in text(browser)
    Select(browser.find_element("id", "state")).select_by_value("ignored")
    wait_for(lambda: EVIL in text(browser), 20, "the device that is ignored")
    with Answering(one.broker.port, "capture", "there is no such device"):
        look(browser, one, "device/b8:27:eb:12:34:56")
        wait_for(lambda: browser.find_elements("id", "marks"), 20, "the form")
        browser.find_element("id", "pinned").click()
        wait_for(lambda: "Not done: there is no such device" in text(browser), 20)
