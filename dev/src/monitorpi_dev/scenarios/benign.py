"""What happens on a LAN and is no attack: an office hour, and the hard cases."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from monitorpi_common.messages import Probe, ProbeResult, ProbeSource
from monitorpi_dev.scenarios.lan import (
    LARGE,
    SMALL,
    START,
    Activity,
    ScenarioHost,
    Second,
    chance,
    per_second,
)


def office(second: Second) -> None:
    """Browse, resolve names, ask for addresses, print: a busy hour."""
    lan, pick = second.lan, second.random
    for client in lan.clients:
        for _ in range(per_second(second, 0.8)):
            second.connection(
                client, lan.outside(), via=lan.router.mac, carries=pick.randint(4, 60),
                answered=chance(pick, 0.97), ends=chance(pick, 0.6),
            )  # fmt: skip
        if chance(pick, 0.3):
            second.connection(client, lan.server, port=445, carries=30, ends=False)
        for _ in range(per_second(second, 1.5)):
            second.frames(client.mac, lan.router.mac, 1, 80, "ipv4", "udp", "dns")
            second.frames(lan.router.mac, client.mac, 1, 150, "ipv4", "udp", "dns")
        if chance(pick, 0.1):
            second.arp(client, pick.choice([lan.router, lan.server, None]))
        if chance(pick, 0.05):
            second.frames(client.mac, "01:00:5e:00:00:fb", 1, 200, "multicast", "udp", "mdns")
        second.frames(client.mac, lan.router.mac, pick.randint(0, 40), 200, "ipv4", "tcp")
        second.frames(lan.router.mac, client.mac, pick.randint(0, 60), LARGE, "ipv4", "tcp")


def wget_mirror(second: Second) -> None:
    """Run ``wget -r`` on a fast site: a connection per file, all used and closed."""
    lan = second.lan
    for _ in range(second.random.randint(40, 180)):
        site = ScenarioHost(lan.router.mac, "203.0.113.80")
        second.connection(lan.clients[0], site, via=lan.router.mac, port=80, carries=4)


def web_benchmark(second: Second) -> None:
    """Benchmark a web server: 130 connections/s from one address, every one answered."""
    for _ in range(second.random.randint(125, 135)):
        second.connection(second.lan.clients[1], second.lan.server, port=80, carries=3)


def browser_tabs(second: Second) -> None:
    """Open a hundred tabs: connections to many hosts that stay open."""
    lan, pick = second.lan, second.random
    targets = [ScenarioHost(lan.router.mac, f"203.0.114.{n}") for n in range(1, 180)]
    for _ in range(pick.randint(100, 260)):
        second.connection(lan.clients[2], pick.choice(targets), via=lan.router.mac, ends=False,
                          answered=chance(pick, 0.95), carries=10)  # fmt: skip


def speed_test(second: Second) -> None:
    """Fill the line with a few connections."""
    lan = second.lan
    second.frames(lan.router.mac, lan.clients[3].mac, 8000, 1500, "ipv4", "tcp", "https")
    second.frames(lan.clients[3].mac, lan.router.mac, 4000, SMALL, "ipv4", "tcp", "https")


def backup(second: Second) -> None:
    """Copy files to the server."""
    lan = second.lan
    second.frames(lan.clients[4].mac, lan.server.mac, 6000, 1500, "ipv4", "tcp")
    second.frames(lan.server.mac, lan.clients[4].mac, 3000, SMALL, "ipv4", "tcp")


def boot_storm(second: Second) -> None:
    """Boot 200 devices within ten seconds: DHCP, ARP, IGMP, names, a controller that is slow."""
    lan, pick = second.lan, second.random
    for _ in range(20):
        one = lan.host(1000 + pick.randrange(200))
        second.frames(one.mac, None, 2, 342, "ipv4", "udp", "dhcp")
        second.frames(lan.router.mac, one.mac, 2, 342, "ipv4", "udp", "dhcp")
        for target in (lan.router, None, one):
            second.arp(one, target)
        second.frames(one.mac, "01:00:5e:00:00:16", 3, SMALL, "multicast", "igmp", "ipv4")
        for _ in range(3):
            second.connection(one, lan.server, port=8443, answered=chance(pick, 0.5))
            second.connection(one, lan.outside(), via=lan.router.mac)
        second.echo(one, lan.router)


def published_server(second: Second) -> None:
    """Serve the Internet: hundreds of connections/s through the router, from everywhere."""
    lan = second.lan
    for _ in range(second.random.randint(150, 350)):
        second.connection(lan.outside(), lan.server, carries=8, port=443)


def router_reboot(second: Second) -> None:
    """Lose the router: everybody tries again and nobody answers."""
    lan, pick = second.lan, second.random
    for client in lan.clients:
        for _ in range(pick.randint(1, 6)):
            second.syn(client, lan.outside(), via=lan.router.mac)
        second.arp(client, None)
        second.echo(client, lan.router, answered=False)


def own_probing(targets: int = 1000) -> Activity:
    """Probe a thousand targets from our own Pi, announced as the prober does."""
    hosts = [ScenarioHost(f"04:5f:00:00:{n >> 8:02x}:{n & 255:02x}", f"198.19.{n >> 8}.{n & 255}")
             for n in range(targets)]  # fmt: skip

    def probing(second: Second) -> None:
        lan = second.lan
        for host in hosts:
            second.echo(lan.pi, host)
        if second.number % 10 == 0:
            end = START + timedelta(seconds=second.number)
            source = ProbeSource(mac=lan.pi.mac, ip=lan.pi.ip, echo_per_s=float(targets))
            second.probes.append(
                Probe(
                    epoch="scenario", seq=second.number // 10, round_start=end - timedelta(10),
                    round_end=end, clock_synced=True, source=source,
                    targets=[ProbeResult(name="server", address=lan.server.ip, state="up")],
                )
            )  # fmt: skip

    return probing


def monitoring(second: Second) -> None:
    """Watch 60 hosts as network monitoring does: twice a second each, some of them off."""
    lan = second.lan
    for number in range(60):
        host = lan.clients[number % len(lan.clients)]
        for _ in range(2):
            second.echo(
                lan.server, ScenarioHost(host.mac, f"198.18.9.{number}"), answered=number % 10 != 0
            )


BENIGN: Final[dict[str, Activity]] = {
    "wget": wget_mirror,
    "speed test": speed_test,
    "backup": backup,
    "100 tabs": browser_tabs,
    "boot storm": boot_storm,
    "web benchmark": web_benchmark,
    "published server": published_server,
    "own probing": own_probing(),
    "router reboot": router_reboot,
    "monitoring": monitoring,
}
"""The hard benign cases, by name."""
