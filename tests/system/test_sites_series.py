"""The series of several sites: rules over them, and an agent that loses none while cut off."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.conftest import ROOT, wait_for
from tests.serving import serving

from monitorpi_cli.stack.broker import free_port
from monitorpi_detector.rules import RULES
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CENTRE = ROOT / "examples" / "sites" / "centre"
SITE = ROOT / "examples" / "sites" / "site"


def test_the_rules_do_what_they_say() -> None:
    """Prometheus' own tool runs the tests beside them; vmalert reads the same file."""
    tried = subprocess.run(
        ["promtool", "test", "rules", CENTRE / "rules_test.yml"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    read = subprocess.run(
        ["vmalert", "-dryRun", "-rule", CENTRE / "rules.yml"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (tried.returncode, read.returncode) == (0, 0), tried.stdout + read.stderr


def test_the_rules_name_rules_that_there_are() -> None:
    """One that is renamed would never be heard of again."""
    named = re.findall(r'rule=~"([^"]+)"', (CENTRE / "rules.yml").read_text())

    assert named
    assert {name for one in named for name in one.split("|")} <= set(RULES)


@dataclass
class CountedPage:
    """A page whose metrics say how often they were asked for."""

    asked: int = 0
    port: int = 0

    def answer(self, *_: object) -> tuple[int, bytes]:
        """Count, and tell."""
        self.asked += 1
        return 200, b"# TYPE asked counter\nasked %d\n" % self.asked


@pytest.fixture
def page() -> Iterator[CountedPage]:
    """Serve one."""
    one = CountedPage()
    with serving(one.answer) as one.port:
        yield one


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """End what a test starts."""
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()


def victoria(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the centre's store of series."""
    words = [
        shutil.which("victoria-metrics") or "victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder}", "-loggerLevel=ERROR", "-search.latencyOffset=0s",
    ]  # fmt: skip
    process = subprocess.Popen(tied(words), stderr=subprocess.DEVNULL)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), 30, "the store")
    return process


def answers(url: str) -> bool:
    """Return whether somebody answers."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == HTTPStatus.OK
    except httpx.HTTPError:
        return False


def stored(port: int) -> list[int]:
    """Return all values that the store has of a site, in order of time."""
    url = f"http://127.0.0.1:{port}/api/v1/export"
    found = httpx.get(url, params={"match[]": 'asked{site="berlin"}'}, timeout=5, trust_env=False)
    lines = [json.loads(line) for line in found.text.splitlines()]
    return [int(value) for line in lines for value in line["values"]]


@pytest.mark.soak
def test_series_of_an_outage_arrive_after_it(
    page: CountedPage, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """The store is away for a while, and the agent ends meanwhile: no scrape is missing.

    A store that is killed instead forgets what it took in its last seconds; that is its own matter.
    """
    port = free_port()
    started.append(victoria(tmp_path / "store", port))
    scrape = tmp_path / "scrape.yml"
    text = (SITE / "scrape.yml").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{page.port}")
    scrape.write_text(text.replace("15s", "1s"))
    agent_words = [
        "vmagent", f"-promscrape.config={scrape}", "-remoteWrite.label=site=berlin",
        f"-remoteWrite.url=http://127.0.0.1:{port}/api/v1/write", "-loggerLevel=ERROR",
        f"-remoteWrite.tmpDataPath={tmp_path / 'agent'}",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
    ]  # fmt: skip
    agent = subprocess.Popen(tied(agent_words), stderr=subprocess.DEVNULL)
    started.append(agent)
    wait_for(lambda: len(stored(port)) >= 3, 30, "the first scrapes")

    started[0].terminate()
    started[0].wait(30)
    during = page.asked
    wait_for(lambda: page.asked >= during + 30, 60, "thirty scrapes while the store is away")
    agent.terminate()  # it writes what it holds, as at a reboot
    agent.wait(30)
    last = page.asked
    started.append(victoria(tmp_path / "store", port))
    started.append(subprocess.Popen(tied(agent_words), stderr=subprocess.DEVNULL))
    wait_for(lambda: max(stored(port), default=0) >= last + 3, 120, "what was said meanwhile")

    values = stored(port)
    assert set(range(1, last + 1)) <= set(values)
    assert len(values) == len(set(values))
