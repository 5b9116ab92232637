"""``bench sites``: what a centre of many sites takes, on one machine.

Three servers of NATS JetStream with a stream of three copies, a VictoriaMetrics, a program that is
all sites and one that stores what they say. Each site sends each minute, spread over it, a message
with some values of each device and a row for each of the two channels of the mapping. Everything
listens on loopback and is gone afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import StorageType, StreamConfig

from monitorpi_cli.stack.broker import free_port
from monitorpi_dev.bench.processes import peak_rss
from monitorpi_dev.bench.sites_feed import PREFIX, SitesLoad, publish, store
from monitorpi_host.children import cpu_s, tied

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVERS: Final = 3
_READY_S: Final = 60.0
_STEPS: Final = {"publish": publish, "store": store}
_MIB: Final = 1 << 20


class CentreError(Exception):
    """A server cannot be had; the text says which."""


def main(argv: Sequence[str]) -> int:
    """Measure, and print what each program took."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench sites")
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--devices", type=int, default=256, help="of each site (256)")
    parser.add_argument("--values", type=int, default=4, help="of each device and minute (4)")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--step", choices=list(_STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.step:
        load = SitesLoad(**json.loads(sys.stdin.read()))
        print(json.dumps(asyncio.run(_STEPS[options.step](load))))
        return 0
    try:
        found = measure(options.sites, options.devices, options.values, options.seconds)
    except CentreError as error:
        print(f"monitorpi bench sites: {error}", file=sys.stderr)
        return 3
    print(json.dumps(found) if options.json else _text(found))
    return 0 if found["stored"] == found["samples"] else 1


def measure(sites: int, devices: int, values: int, seconds: float) -> dict[str, Any]:
    """Run everything, and return what was sent, stored and taken.

    Raises:
        CentreError: a server cannot be had.

    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports, web = [free_port() for _ in range(SERVERS)], free_port()
        running = {
            **_cluster(folder, ports, stack), "VictoriaMetrics": _victoria(folder, web, stack),
        }  # fmt: skip
        load = SitesLoad(
            sites, devices, values, seconds, [f"nats://127.0.0.1:{port}" for port in ports],
            f"http://127.0.0.1:{web}",
        )  # fmt: skip
        asyncio.run(_make_stream(load.servers))
        _await_store(load.store)
        began_s = time.monotonic()
        before = {one: cpu_s(process.pid) for one, process in running.items()}
        stores, sends = (_step(one, load, stack) for one in ("store", "publish"))
        steps = {"the sites": sends, "who stores": stores}
        taken, answers = _follow(running | steps, before, began_s)
        return {
            "sites": sites, "devices": devices, "values": values, "seconds": seconds,
            "samples": load.samples, "stored": _inserted(load.store),
            "samples_per_s": load.samples / seconds,
            "sent": answers["the sites"], "read": answers["who stores"], "programs": taken,
            "stream_mib": _size(folder / "n0") / _MIB, "store_mib": _size(folder / "store") / _MIB,
        }  # fmt: skip


# --- programs -------------------------------------------------------------------------------------


def _run(command: list[str], log: Path, stack: ExitStack, **options: Any) -> subprocess.Popen[str]:
    program = shutil.which(command[0]) or shutil.which(f"/usr/sbin/{command[0]}")
    if program is None:
        raise CentreError(f"{command[0]} is not installed: ./monitorpi bench installs it")
    with log.open("ab") as said:
        process = subprocess.Popen(
            tied([program, *command[1:]]), stderr=said, text=True, **options
        )  # fmt: skip

    def end() -> None:
        process.kill()
        process.wait()

    stack.callback(end)
    return process


def _cluster(folder: Path, ports: list[int], stack: ExitStack) -> dict[str, subprocess.Popen[str]]:
    """Start servers that know each other."""
    routes = [free_port() for _ in ports]
    known = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    running = {}
    for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
        home = folder / f"n{number}"
        home.mkdir()
        config = home / "nats.conf"
        config.write_text(
            f"server_name: n{number}\nlisten: 127.0.0.1:{port}\n"
            f'jetstream {{ store_dir: "{home}/store" }}\n'
            f"cluster {{ name: centre, listen: 127.0.0.1:{route}, routes: [{known}] }}\n"
        )
        command = ["nats-server", "-c", str(config)]
        running[f"nats-server {number + 1}"] = _run(
            command, home / "log", stack, stdout=subprocess.DEVNULL
        )
    return running


def _victoria(folder: Path, port: int, stack: ExitStack) -> subprocess.Popen[str]:
    command = [
        "victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder / 'store'}", "-retentionPeriod=12",
    ]  # fmt: skip
    return _run(command, folder / "victoria.log", stack, stdout=subprocess.DEVNULL)


def _step(name: str, load: SitesLoad, stack: ExitStack) -> subprocess.Popen[str]:
    """Start one of our two programs."""
    command = [sys.executable, "-P", "-m", "monitorpi_cli", "bench", "sites", "--step", name]
    process = subprocess.Popen(
        tied(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.callback(process.kill)
    if process.stdin is not None:
        process.stdin.write(json.dumps(asdict(load)))
        process.stdin.close()
    return process


async def _make_stream(servers: list[str]) -> None:
    """Make the stream, once the servers have a leader.

    Raises:
        CentreError: they do not find one.

    """
    config = StreamConfig(
        name=PREFIX, subjects=[f"{PREFIX}.>"], storage=StorageType.FILE, num_replicas=SERVERS,
        duplicate_window=600.0,
    )  # fmt: skip
    ends_s, why = time.monotonic() + _READY_S, "no answer"
    while time.monotonic() < ends_s:
        client = Client()
        try:
            await client.connect(servers=servers, connect_timeout=2, error_cb=_unsaid)
            await client.jetstream().add_stream(config)
        except (Error, OSError) as error:
            why = str(error)
            await asyncio.sleep(0.5)
        else:
            return
        finally:
            await client.close()
    raise CentreError(f"the servers of NATS make no stream: {why}")


async def _unsaid(_: Exception) -> None:
    """Say nothing: what goes wrong while they start is tried again."""


def _await_store(url: str) -> None:
    ends_s = time.monotonic() + _READY_S
    while time.monotonic() < ends_s:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        time.sleep(0.2)
    raise CentreError("VictoriaMetrics does not answer")


# --- figures --------------------------------------------------------------------------------------


def _follow(
    running: dict[str, subprocess.Popen[str]], before: dict[str, float], began_s: float
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Wait for our two programs; return what each program took until the sites were done."""
    sites = running["the sites"]
    used, memory = dict.fromkeys(running, 0.0), dict.fromkeys(running, 0)
    while sites.poll() is None:
        for name, process in running.items():
            with suppress(OSError):
                used[name] = cpu_s(process.pid) - before.get(name, 0.0)
                memory[name] = max(memory[name], peak_rss(process.pid))
        time.sleep(0.5)
    length_s = time.monotonic() - began_s
    answers = {}
    for name in ("the sites", "who stores"):
        stream = running[name].stdout
        answers[name] = json.loads(stream.read() or "null") if stream is not None else None
    taken = [
        {"name": name, "cpu_ratio": used[name] / length_s, "rss_mib": memory[name] / _MIB}
        for name in running
    ]
    return taken, answers


def _inserted(url: str) -> int:
    """Return how many values VictoriaMetrics says it has taken."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    found = re.search(r'^vm_rows_inserted_total\{type="influx"\} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _text(found: dict[str, Any]) -> str:
    lag, sent = found["read"]["lag_s"], found["sent"]["acknowledged_s"]
    load = (
        f"{found['sites']} sites x {found['devices']} devices x {found['values']} values a minute"
    )
    ms = {name: took * 1e3 for name, took in sent.items()}
    sizes = f"{found['stream_mib']:.0f} MiB a server, store {found['store_mib']:.0f} MiB"
    lines = [
        f"{load}, {found['seconds']:g} s: {found['samples_per_s']:,.0f} samples/s",
        f"sent {found['samples']:,}, stored {found['stored']:,}",
        f"acknowledged by the stream after {ms['p50']:.0f} ms (p99 {ms['p99']:.0f})",
        f"stored after {lag['p50']:.2f} s (p99 {lag['p99']:.2f}, most {lag['most']:.2f})",
        f"on disk: stream {sizes}",
        f"{'program':<18}{'CPU %':>8}{'MiB':>8}",
    ]
    lines += [
        f"{one['name']:<18}{one['cpu_ratio'] * 100:>8.1f}{one['rss_mib']:>8.0f}"
        for one in found["programs"]
    ]
    return "\n".join(lines)
