from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.system.listening import received_in_time

from monitorpi_cli.stack.viewer import send_command
from monitorpi_common.messages import Alert, Announce, Command, Probe, Service, Traffic
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic
from monitorpi_lab import flood
from monitorpi_lab.demo.alert_check import subject_mac
from monitorpi_lab.demo.testbed import SITE, running_testbed
from monitorpi_lab.lan import MAX_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Message
    from monitorpi_lab.demo.testbed import Testbed

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


ECHOES_PER_S = 200.0
SWEEP_PER_S = 200.0
"""Twice what the detector calls an ARP storm."""


class Ear:
    """Listens on a testbed and remembers every alert."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self.alerts: list[Alert] = []
        self.busiest_arp = 0
        self.windows = 0

    async def until(self, wanted: Callable[[Message], bool], seconds: float) -> Message | None:
        """Listen until a message is the wanted one; None: none came in time."""
        return await received_in_time(self._testbed, self._take, wanted, seconds)

    def _take(self, _: float, message: Message) -> None:
        match message:
            case Alert():
                self.alerts.append(message)
            case Traffic():
                self.windows += 1
                self.busiest_arp = max(self.busiest_arp, message.counts.get("arp", 0))
            case _:
                pass


def test_the_prober_sets_off_no_alarm_but_a_forger_of_its_mac_does() -> None:
    """250 targets pinged 200 times a second, the LAN swept as fast: silence. A forger: an alert."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")

    asyncio.run(scenario())


async def scenario() -> None:
    """Probe, look, forge, look again."""
    addresses = [f"198.18.0.{number}" for number in range(1, MAX_HOSTS + 1)]
    targets = ", ".join(f'{{ address = "{address}" }}' for address in addresses)
    prober = (
        f"interval_s = 5\nprobes = 4\nmax_rate = {ECHOES_PER_S}\n"
        f"discover_rate = {SWEEP_PER_S}\nmax_arp_rate = {2 * SWEEP_PER_S}\ntargets = [{targets}]"
    )
    async with running_testbed(
        lambda _: None, hosts=MAX_HOSTS, settings={"prober": prober}
    ) as testbed:
        ear = Ear(testbed)
        sensor = testbed.lab.sensor

        round_ = await ear.until(
            lambda m: isinstance(m, Probe) and sum(t.received > 0 for t in m.targets) == MAX_HOSTS,
            60,
        )
        assert round_ is not None, "no round in which all 250 targets answer"
        busy = await ear.until(
            lambda m: isinstance(m, Traffic) and m.counts.get("icmp_echo", 0) > ECHOES_PER_S / 2, 20
        )
        assert busy is not None, "the sensor does not see the probes"
        await ear.until(lambda _: ear.busiest_arp > SWEEP_PER_S / 2, 20)
        assert ear.busiest_arp > SWEEP_PER_S / 2, "the sensor does not see the sweep"
        seen = ear.windows
        await ear.until(lambda _: ear.windows >= seen + 6, 20)  # time for any rule to raise
        assert ear.windows >= seen + 6, "the windows stopped"
        assert [alert.summary for alert in ear.alerts] == []

        order = Announce(seconds=3, echo_per_s=1, arp_per_s=1, mac=sensor.mac, ip=sensor.ip)
        topic = Topic(SITE, Service.PROBER.value, Command.KIND, "ping-1")
        command = Command(name="announce", args=order.model_dump(), at=datetime.now(UTC))
        password = SecretStr(testbed.stack.passwords["operator"])
        port = testbed.stack.plan.port
        operator = BrokerSettings(port=port, username="operator", password=password)
        result = await asyncio.to_thread(send_command, operator, topic, command)
        assert result is not None, "nobody takes announcements of other programs"
        assert result.ok, result.error

        forged = flood.flood_between(
            testbed.attacker, testbed.victim, "icmp_echo", 300, seconds=8, source_mac=sensor.mac
        )
        running = await asyncio.to_thread(flood.start, testbed.attacker, forged)
        await asyncio.to_thread(running.first_frame_s)
        found = await ear.until(lambda m: isinstance(m, Alert) and subject_mac(m) == sensor.mac, 12)

        await asyncio.to_thread(running.stop)
        assert found is not None, "a flood with the sensor's own MAC went unseen"
        assert {alert.rule for alert in ear.alerts} == {"icmp-flood"}
