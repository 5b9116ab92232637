"""Packets on the page: live, filtered, paused, saved; what all frames are made of."""

from __future__ import annotations

import csv
import json
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from selenium.webdriver.support.ui import Select
from tests.conftest import wait_for
from tests.dashboard.pageserver import Answering, complaints, look, text

from monitorpi_common.examples import example
from monitorpi_common.messages import Packet, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.conftest import Subscriber
    from tests.dashboard.pageserver import Page

PRINTER, ROUTER, OTHER = "b8:27:eb:12:34:56", "02:00:5e:10:00:01", "02:00:5e:10:00:77"
SYN = "192.168.1.20 port 40112 > 192.168.1.10 port 80 ipv4 tcp syn http 60 bytes"
ECHO = "192.168.1.10 > 192.168.1.20 ipv4 icmp icmp_echo 98 bytes"
ODD = f"{OTHER} > ff:ff:ff:ff:ff:ff broadcast =cmd|' /C calc'!A0 60 bytes"


def send(page: Page, *lines: tuple[str, str, str]) -> None:
    """Let capture send lines: source, destination, text."""
    for source, target, line in lines:
        packet = json.loads(example(Packet).encode())
        packet |= {"at": timestamp(datetime.now(UTC)), "line": line}
        packet |= {"mac_src": source, "mac_dst": target}
        topic = "monitorpi/v1/lab/capture/packet/eth0"
        command = ["mosquitto_pub", "-p", str(page.broker.port), "-t", topic, "-s"]
        subprocess.run(command, input=json.dumps(packet), text=True, check=True)


def rows(browser: Chrome) -> list[str]:
    """Return the lines that are shown, the newest first."""
    return [row.text for row in browser.find_elements("css selector", "#lines tbody tr")]


def saved(browser: Chrome, folder: Path, button: str) -> str:
    """Press a button and return the file that it gives."""
    folder = folder / "saved"
    folder.mkdir(exist_ok=True)
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    browser.find_element("xpath", button).click()
    wait_for(
        lambda: [one.suffix in (".csv", ".jsonl") for one in folder.iterdir()] == [True],
        10,
        "the file",
    )
    (file,) = folder.iterdir()
    content = file.read_bytes().decode()
    file.unlink()
    return content


def test_frames_are_watched_filtered_and_saved(
    page: Callable[..., Page],
    browser: Chrome,
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """As they come; a filter goes to capture, a pause keeps what is seen, a file holds it."""
    one = page()
    one.publish()
    seen = subscribe(one.broker.port, "monitorpi/v1/lab/capture/command/+")
    with Answering(one.broker.port, "capture", ""):
        look(browser, one, "packets")
        wait_for(lambda: seen.of("capture/command/page-"), 20, "the command")
        assert args(seen)[-1] == {"seconds": 30}

        def arrives(count: int, *lines: tuple[str, str, str]) -> None:
            wait_for(lambda: send(one, *lines) or len(rows(browser)) >= count, 20, "lines")

        arrives(3, (PRINTER, ROUTER, SYN), (ROUTER, PRINTER, ECHO), (OTHER, ROUTER, ODD))
        shown = "\n".join(rows(browser))
        assert "printer" in shown
        assert "192.168.1.10 port 80" in shown
        assert "icmp echo" in shown

        browser.find_element("id", "mac").send_keys("B8-27-EB-12-34-56")
        Select(browser.find_element("id", "class")).select_by_value("syn")
        wait_for(lambda: all(" syn " in row for row in rows(browser)) and rows(browser), 20)
        wait_for(lambda: args(seen)[-1] == {"seconds": 30, "mac": PRINTER, "class": "syn"}, 20)
        assert "class=syn" in browser.current_url

        browser.find_element("id", "pause").click()
        kept = rows(browser)
        send(one, (PRINTER, ROUTER, SYN))
        assert "Go on" in browser.find_element("id", "pause").text

        Select(browser.find_element("id", "class")).select_by_value("")
        browser.find_element("id", "mac").clear()
        browser.find_element("id", "mac").send_keys(" ")
        wait_for(lambda: len(rows(browser)) > len(kept), 20, "all of them")
        table = saved(browser, tmp_path, "//p[@id='save-packets']/button[1]")
        lines = saved(browser, tmp_path, "//p[@id='save-packets']/button[2]")

    found = list(csv.DictReader(table.splitlines()))
    assert [row["line"] for row in found] == [json.loads(row)["line"] for row in lines.splitlines()]
    assert len(found) == len(rows(browser))
    assert found[0]["at"] <= found[-1]["at"]
    assert set(found[0]) == {
        "at", "interface", "line", "mac_src", "mac_dst", "ip_src", "ip_dst", "length",
    }  # fmt: skip
    assert complaints(browser) == []


def args(seen: Subscriber) -> list[Any]:
    """Return what capture was asked for."""
    return [json.loads(one)["args"] for one in seen.of("capture/command/page-")]


def test_a_capture_that_refuses_is_quoted(page: Callable[..., Page], browser: Chrome) -> None:
    """And what is no MAC address is said before anybody is asked."""
    one = page()
    one.publish()
    with Answering(one.broker.port, "capture", "a capture file is read: there is nothing to watch"):
        look(browser, one, "packets")
        wait_for(lambda: "a capture file is read" in text(browser), 20)
        browser.find_element("id", "mac").send_keys("b8:27")
        wait_for(lambda: "twelve digits" in text(browser), 20)


def test_what_the_wire_carries_is_counted_and_saved(
    page: Callable[..., Page], browser: Chrome, tmp_path: Path
) -> None:
    """Rates, shares and totals of each class; the file has the numbers that capture gave."""
    one = page()
    one.publish()
    look(browser, one, "packets")
    wait_for(lambda: browser.find_elements("css selector", "#protocols tbody tr"), 20, "the table")

    totals = one.state()["interfaces"]["eth0"]["totals"]
    found = list(
        csv.DictReader(saved(browser, tmp_path, "//p[@id='save-protocols']/button[1]").splitlines())
    )
    assert {row["class"]: int(row["total"]) for row in found} == {
        ("all frames" if name == "packets" else name): total
        for name, total in totals.items() if name != "bytes"
    }  # fmt: skip
    assert [int(row["total"]) for row in found[1:]] == sorted(
        (int(row["total"]) for row in found[1:]), reverse=True
    )
    assert "1,012/s" in browser.find_element("id", "protocols").text
