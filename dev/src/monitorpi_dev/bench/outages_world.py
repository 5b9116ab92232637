"""What ``bench outages`` breaks: three sites behind links of their own, and the example's centre.

Each site is a machine of the lab: the broker that `up` would write, a cloud bridge, and a program
that publishes as capture, prober and detector do. Four more are the centre: one with Mosquitto,
VictoriaMetrics and who stores, three with servers of NATS. All configuration is that of
``examples/sites``, but for where files are.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx

from monitorpi_cli.checkout import root
from monitorpi_cli.stack import broker as broker_files
from monitorpi_cli.stack.centre import Centre
from monitorpi_common.database import snapshot
from monitorpi_common.settings import CentreSettings
from monitorpi_dev.bench.outages_programs import OutagePrograms, OutagesError
from monitorpi_dev.bench.outages_site import PlayedSite
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_lab.lan import Host, Lab

CLOCKS_S: Final[dict[str, int]] = {"berlin": -5, "paris": 0, "oslo": 5}
"""Each site, and how far its clock is ahead of the centre's."""
SERVERS: Final = ("nats1", "nats2", "nats3")
CENTRE: Final = "centre.example.net"
STORE: Final = "http://127.0.0.1:8428"
MACHINES: Final = len(CLOCKS_S) + 1 + len(SERVERS)
INTERVAL_S: Final = 2
"""Of rows: thirty times as many as the example's."""
DEVICES: Final = 50
_BROKER_PORT: Final = 1883
_UNSENT: Final = "SELECT MIN(second), COUNT(*) FROM row WHERE state IN (0, 1, 4)"
_AGAIN: Final = "SELECT COUNT(*) FROM row WHERE tries > 1"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the outbox of a site."""

    oldest: int | None
    """Second of the oldest row that is not known to be stored; None: there is none."""
    rows: int
    again: int
    """Rows that were sent more than once."""


class SitesWorld:
    """The machines of a lab, with what runs on them."""

    def __init__(self, lab: Lab, folder: Path, seed: int) -> None:
        self._lab = lab
        self._folder = folder
        self._seed = seed
        machines = iter(lab.hosts)
        self._sites = {site: next(machines) for site in CLOCKS_S}
        self.centre = next(machines)
        self._servers = {name: next(machines) for name in SERVERS}
        self._examples = root() / "examples" / "sites"
        self.authority = str(folder / "server.crt")
        self.programs = OutagePrograms(folder / "logs")

    def start(self) -> None:
        """Start everything."""
        self._certify()
        self._name()
        self._start_centre()
        for name in SERVERS:
            self.start_server(name)
        self.start_store()
        self.programs.start(
            self.centre,
            "who stores",
            [
                sys.executable,
                "-P",
                str(self._examples / "centre" / "store.py"),
                *(f"--server={name}.example.net" for name in SERVERS),
                "--tls-ca",
                self.authority,
                "--password-file",
                self._secret("store"),
                "--store",
                STORE,
            ],
        )
        for site in CLOCKS_S:
            self._start_site(site)

    # --- the centre ---------------------------------------------------------------------------

    def _certify(self) -> None:
        """Make one certificate for all names of the centre."""
        names = [CENTRE, *(f"{name}.example.net" for name in SERVERS)]
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-days", "2", "-subj", "/CN=centre", "-addext",
                "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
                "-keyout", self._folder / "server.key", "-out", self.authority,
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    def _name(self) -> None:
        """Let every machine know the names of the example."""
        names = [f"{self.centre.ip} {CENTRE}", "127.0.0.1 localhost"]
        names += [f"{host.ip} {name}.example.net" for name, host in self._servers.items()]
        file = self._folder / "hosts"
        file.write_text("\n".join(names) + "\n")
        for host in self._lab.hosts:
            host.run(["mount", "--bind", str(file), "/etc/hosts"])

    def _secret(self, user: str) -> str:
        file = self._folder / f"{user}.password"
        file.write_text(f"of {user}\n")
        return str(file)

    def _start_centre(self) -> None:
        """Start the example's Mosquitto, and somebody who listens to all of it."""
        home = self._folder / "centre"
        shutil.copytree(self._examples / "centre", home / "config")
        (home / "data").mkdir()
        for name in ("server.crt", "server.key"):
            shutil.copy(self._folder / name, home / "config" / name)
        users = "".join(f"{name}:of {name}\n" for name in (*CLOCKS_S, "watcher"))
        (home / "config" / "passwords").write_text(users)
        subprocess.run(["mosquitto_passwd", "-U", home / "config" / "passwords"], check=True)
        config = home / "config" / "mosquitto.conf"
        text = config.read_text().replace("/mosquitto/", f"{home}/")
        config.write_text(f"user root\n{text}")
        self.programs.start(self.centre, "Mosquitto", [broker_files.program(), "-c", str(config)])
        self.programs.wait("the central broker", lambda: self._ask("sites/none", 1).returncode != 1)
        self._listen(
            self.centre,
            "received",
            [
                *self._watcher,
                "-t",
                "monitorpi/v1/#",
                "-t",
                "monitorpi-sites/#",
            ],
        )

    @property
    def _watcher(self) -> list[str]:
        return [
            "-h", CENTRE, "-p", "8883", "--cafile", self.authority, "-u", "watcher", "-P",
            "of watcher",
        ]  # fmt: skip

    def _listen(self, host: Host, name: str, words: list[str]) -> None:
        self.programs.start(
            host,
            name,
            [
                "mosquitto_sub",
                "-V",
                "mqttv5",
                "-q",
                "1",
                "-F",
                "%U %r %t %p",
                *words,
            ],
            output=self._folder / name,
        )

    def _ask(self, topic: str, seconds: int) -> subprocess.CompletedProcess[str]:
        return self.centre.run(
            ["mosquitto_sub", *self._watcher, "-t", topic, "--retained-only", "-W", str(seconds),
             "-F", "%t %p"],
            check=False,
        )  # fmt: skip

    def kept(self) -> dict[str, str]:
        """Return what the central broker keeps, by topic."""
        lines = self._ask("monitorpi/v1/#", 2).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def received(self, name: str = "received") -> list[tuple[float, bool, str, str]]:
        """Return what was received: when, whether it was kept, topic and text."""
        text = (self._folder / name).read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        found = [line.split(" ", 3) for line in lines]
        return [(float(at), kept == "1", topic, text) for at, kept, topic, text in found]

    def start_server(self, name: str) -> None:
        """Start one of the servers of NATS."""
        home = self._folder / name
        home.mkdir(exist_ok=True)
        text = (self._examples / "centre" / "nats.conf").read_text()
        text = text.replace("server_name: nats1", f"server_name: {name}")
        text = text.replace("/etc/nats", str(self._folder)).replace("/var/lib/nats", str(home))
        (home / "nats.conf").write_text(with_site(text, "oslo"))
        self.programs.start(
            self._servers[name], name, ["nats-server", "-c", str(home / "nats.conf")]
        )

    def start_store(self) -> None:
        """Start VictoriaMetrics, and wait until it answers."""
        self.programs.start(
            self.centre,
            "VictoriaMetrics",
            [
                "victoria-metrics",
                "-httpListenAddr=127.0.0.1:8428",
                "-retentionPeriod=12",
                f"-storageDataPath={self._folder / 'series'}",
                "-dedup.minScrapeInterval=1ms",
            ],
        )
        self.programs.wait("VictoriaMetrics", self._store_answers)

    def _store_answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self._get("/health").is_success
        return False

    def _get(self, path: str, **params: str) -> httpx.Response:
        ask = partial(httpx.get, f"{STORE}{path}", params=params, timeout=30, trust_env=False)
        return self.centre.call(ask)

    def series(self) -> dict[tuple[str, str, str], list[tuple[int, float]]]:
        """Return what the store has: seconds and values by site, channel and name."""
        text = self._get("/api/v1/export", **{"match[]": '{__name__=~"monitorpi_.*"}'}).text
        found: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
        for one in map(json.loads, text.splitlines()):
            labels = one["metric"]
            name = (labels["site"], labels["channel"], labels["__name__"])
            seconds = [at // 1000 for at in one["timestamps"]]
            found.setdefault(name, []).extend(zip(seconds, one["values"], strict=True))
        return found

    def stored_again(self) -> int:
        """Return how many messages who stores has stored a second time."""
        text = self.programs.log("who stores")
        return sum(map(int, re.findall(r"started anew: (\d+) messages", text)))

    def levels(self) -> dict[str, str]:
        """Return what ``sites`` says of each site."""
        done = self.centre.run(
            [
                sys.executable, "-P", "-m", "monitorpi_cli", "sites", "--json", "--broker",
                f"{CENTRE}:8883", "--username", "watcher", "--password-file",
                self._secret("watcher"), "--tls-ca", self.authority,
            ],
            check=False,
        )  # fmt: skip
        if done.stderr:
            raise OutagesError(f"monitorpi sites: {done.stderr.strip()}")
        return {row["site"]: row["level"] for row in json.loads(done.stdout)["sites"]}

    # --- a site -------------------------------------------------------------------------------

    def _start_site(self, site: str) -> None:
        host, home = self._sites[site], self._folder / site
        passwords = broker_files.ensure_passwords(home / "secrets")
        centre = CentreSettings.model_validate(
            {"host": CENTRE, "tls_ca": self.authority, "password": f"of {site}"}
        )
        config = broker_files.write_files(
            home / "broker", [f"{_BROKER_PORT} 127.0.0.1"], passwords, Centre(site, centre)
        )
        command = tied(broker_files.command(config), user=broker_files.user(config))
        self.programs.start(host, f"broker of {site}", command)
        here = ["-u", "viewer", "-P", passwords["viewer"], "-t"]
        asked = ["mosquitto_sub", *here, "none", "-W", "1"]
        self.programs.wait("a site's broker", lambda: host.run(asked, check=False).returncode != 1)
        online = ["mosquitto_sub", *here, "monitorpi/v1/+/cloud-bridge/status/main", "-C", "1"]
        self._listen(host, f"received in {site}", [*here, "monitorpi/v1/+/cloud-bridge/rollup/+"])
        self._start_bridge(site, host, passwords["cloud-bridge"])
        host.run([*online, "-W", "30"])  # what was said before it has subscribed it does not count
        plan = PlayedSite(site, _BROKER_PORT, passwords, self._seed, DEVICES)
        player = self.programs.start(
            host,
            f"player of {site}",
            [sys.executable, "-P", "-m", "monitorpi_dev.bench.outages_site"],
            ahead_s=CLOCKS_S[site],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if player.stdin is not None:
            player.stdin.write(json.dumps(asdict(plan)) + "\n")
            player.stdin.flush()

    def _start_bridge(self, site: str, host: Host, password: str) -> None:
        home = self._folder / site
        rows = (self._examples / "site" / "rows.toml").read_text()
        rows = re.sub(
            r"^(interval_s|write_s) = 60", rf"\1 = {INTERVAL_S}", rows, flags=re.MULTILINE
        )
        config = home / "bridge.toml"
        config.write_text(
            f'site = "{site}"\ntrust_clock = true\nstate_dir = "{home / "state"}"\n'
            f'{rows}pacing_s = 1.0\ntls_ca = "{self.authority}"\n'
        )
        command = [sys.executable, "-P", "-m", "monitorpi_cloud_bridge", "--config", str(config)]
        self.programs.start(
            host,
            f"bridge of {site}",
            command,
            ahead_s=CLOCKS_S[site],
            variables={
                "MONITORPI_BROKER__USERNAME": "cloud-bridge",
                "MONITORPI_BROKER__PASSWORD": password,
                "MONITORPI_CLOUD_BRIDGE__NATS__PASSWORD": f"of {site}",
                "MONITORPI_CLOUD_BRIDGE__ROLLUP_S": "60",
            },
        )

    def end_site(self, site: str) -> dict[str, Any]:
        """Let a site fall silent; returns what it has published, as it knows it itself."""
        truth: dict[str, Any] = json.loads(self.programs.end(f"player of {site}"))
        return truth

    def backlog(self, site: str) -> Backlog:
        """Return what waits in a site's outbox."""
        with snapshot(self._folder / site / "state" / "outbox.sqlite") as db:
            oldest, rows = db.execute(_UNSENT).fetchone()
            return Backlog(oldest, rows, db.execute(_AGAIN).fetchone()[0])

    def cut(self, site: str) -> None:
        """Take a site's cable out at the far end of the switch: nothing says so to the site."""
        self._lab.switch.run(["ip", "link", "set", self._port(site), "nomaster"])

    def mend(self, site: str) -> None:
        """Put the cable back."""
        self._lab.switch.run(["ip", "link", "set", self._port(site), "master", "br0"])

    def _port(self, site: str) -> str:
        return f"port{self._lab.hosts.index(self._sites[site]) + 1}"


def with_site(text: str, site: str) -> str:
    """Return the example's configuration of NATS with one more site, which may what others may."""
    paris = re.search(
        r"^      \{\n        user: paris.*?^      \}\n", text, re.MULTILINE | re.DOTALL
    )
    if paris is None:
        raise OutagesError("examples/sites/centre/nats.conf has no user paris")
    return text.replace(paris[0], paris[0] + paris[0].replace("paris", site))
