"""Real servers that scrape a page: Debian's Prometheus and VictoriaMetrics."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD = "of-a-test"


class Server(NamedTuple):
    """A real Prometheus, or what answers like it."""

    program: str
    options: tuple[str, ...]
    """How it is told of its settings, its data and where to listen."""


SERVERS = {
    "Prometheus": Server(
        "prometheus", ("--config.file={}", "--storage.tsdb.path={}", "--web.listen-address={}")
    ),
    "VictoriaMetrics": Server(
        "victoria-metrics",
        ("-promscrape.config={}", "-storageDataPath={}", "-httpListenAddr={}"),
    ),
}


class Scraper(NamedTuple):
    """A server that runs, and a way to ask it."""

    url: str
    ask: Callable[[str], list[Any]]


@contextmanager
def scraping(name: str, page_port: int, folder: Path, *sites: str) -> Iterator[Scraper]:
    """Run a server that scrapes a page, as that of each site; gives a way to ask it."""
    server = SERVERS[name]
    program = shutil.which(server.program)
    if program is None:
        pytest.skip(f"{name} is not installed: ./monitorpi test installs it")
    config, address = folder / "scrape.yml", f"127.0.0.1:{free_port()}"
    scrape = {
        "job_name": "monitorpi",
        "scrape_interval": "1s",
        "basic_auth": {"username": "monitorpi", "password": PASSWORD},
        "static_configs": [
            {"targets": [f"127.0.0.1:{page_port}"], "labels": {"site": site} if site else {}}
            for site in sites or ("",)
        ],
    }
    config.write_text(json.dumps({"scrape_configs": [scrape]}))
    values = (config, folder / "data", address)
    options = [text.format(value) for text, value in zip(server.options, values, strict=True)]
    process = subprocess.Popen(
        [program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ask(query: str) -> list[Any]:
        try:
            answer = httpx.get(
                f"http://{address}/api/v1/query",
                params={"query": query, "nocache": "1"}, trust_env=False,
            )  # fmt: skip
        except httpx.TransportError:
            return []
        if answer.status_code in (400, 422):
            pytest.fail(f"{name} refuses {query}: {answer.text}")
        return list(answer.json()["data"]["result"]) if answer.status_code == 200 else []

    try:
        yield Scraper(f"http://{address}", ask)
    finally:
        process.terminate()
        process.wait()
