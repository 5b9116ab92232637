"""The stack in the lab: what the demo and the system tests run on.

Capture and prober live in the sensor's namespace, everything else on the machine's loopback, so
that a browser and ``mosquitto_sub`` reach it; a relay takes the broker's port into the namespace.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.broker import free_port
from monitorpi_cli.stack.plan import StackPlan, services_of
from monitorpi_cli.stack.stack import Stack
from monitorpi_cli.stack.viewer import Viewer
from monitorpi_common.messages import Service
from monitorpi_common.settings import ENV_PREFIX
from monitorpi_common.topics import pattern
from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.demo.cloud import LocalCloud
from monitorpi_lab.demo.steps import QUIET_S
from monitorpi_lab.lan import MAX_HOSTS, Lab
from monitorpi_lab.namespace import MARK, scratch
from monitorpi_lab.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from monitorpi_cli.stack.supervisor import ChildEvent
    from monitorpi_lab.lan import Host

SITE: Final = "demo"
HOSTS: Final = 6
_NO_SETTINGS: Final = (f"{ENV_PREFIX}ROOT", f"{ENV_PREFIX}VENV", MARK)
IN_THE_LAB: Final = (Service.CAPTURE, Service.PROBER)


@dataclass(frozen=True)
class Testbed:
    """A running stack, watching a running lab."""

    lab: Lab
    background: BackgroundTraffic
    stack: Stack
    viewer: Viewer
    page_port: int | None
    cloud: LocalCloud
    logs: Path

    @property
    def attacker(self) -> Host:
        """The host that floods."""
        return self.lab.hosts[3]

    @property
    def victim(self) -> Host:
        """The host that is flooded."""
        return self.lab.hosts[1]

    def role(self, host: Host) -> str:
        """Return what a host is there for."""
        roles = {
            self.lab.hosts[0]: "DHCP and DNS for the others",
            self.victim: "serves web pages; will be flooded",
            self.attacker: "will flood",
        }
        return roles.get(host, "surfs, pings, prints")

    @property
    def watch_command(self) -> str:
        """The command that shows all messages in another terminal."""
        password = self.stack.passwords["viewer"]
        port = self.stack.plan.port
        return f"mosquitto_sub -p {port} -u viewer -P {password} -v -t 'monitorpi/v1/{SITE}/#'"


@contextlib.asynccontextmanager
async def running_testbed(
    notify: Callable[[ChildEvent], None],
    *,
    hosts: int = HOSTS,
    clients: int = MAX_HOSTS,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Testbed]:
    """Set the testbed up, and take it down afterwards.

    Args:
        notify: called at each service's starts and ends.
        hosts: size of the lab.
        clients: how many of the hosts are busy.
        settings: lines of TOML by table, instead of the testbed's own.

    Raises:
        LabError: no lab can be made here.
        ResourceError: no broker can be run here.

    """
    async with contextlib.AsyncExitStack() as held:
        lab = held.enter_context(Lab(hosts))
        folder = held.enter_context(scratch())
        page_port = free_port() if installed(Service.DASHBOARD) else None
        _without_own_settings()
        cloud = held.enter_context(LocalCloud())
        tables = {
            **_tables(lab.sensor.interface, page_port or 0),
            "cloud-bridge": cloud.settings,
            **(settings or {}),
        }
        plan = _plan(lab, folder, tables)
        (folder / "logs").mkdir()
        held.enter_context(Relay(lab.sensor.namespace, plan.port))
        stack = Stack(plan, notify)
        stack.start()
        held.push_async_callback(stack.stop)
        viewer = held.enter_context(Viewer(stack.viewer(), [pattern(SITE)]))
        background = held.enter_context(BackgroundTraffic(lab, pace=2.0, clients=clients))
        yield Testbed(lab, background, stack, viewer, page_port, cloud, folder / "logs")


def installed(service: Service) -> bool:
    """Return whether a service can be run here."""
    name = f"monitorpi_{service.value.replace('-', '_')}"
    return importlib.util.find_spec(f"{name}.__main__") is not None


def _plan(lab: Lab, folder: Path, tables: Mapping[str, str]) -> StackPlan:
    config = folder / "demo.toml"
    # a lab has no time server: rows would wait for ever for a clock that is synchronised
    text = "trust_clock = true\n"
    text += "".join(f"\n[{name}]\n{lines}\n" for name, lines in tables.items())
    config.write_text(text, encoding="utf-8")
    return StackPlan(
        site=SITE,
        state_dir=folder / "state",
        services=services_of(config),
        port=free_port(),
        config=config,
        prefix=dict.fromkeys(IN_THE_LAB, lab.sensor.namespace.prefix),
        logs=folder / "logs",
    )


def _tables(interface: str, page_port: int) -> dict[str, str]:
    """Return the configuration: the defaults but for places and the patience of a viewer."""
    return {
        "capture": f'interfaces = ["{interface}"]',
        "prober": "interval_s = 5",
        "detector.rules.syn-flood": f"quiet_s = {QUIET_S}",
        "detector.rules.icmp-flood": f"quiet_s = {QUIET_S}",
        "dashboard": f"port = {page_port}",
        "history": "port = 0",
    }


def _without_own_settings() -> None:
    """Keep what is configured on this machine out of the demo."""
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        if name not in _NO_SETTINGS:
            del os.environ[name]
