"""The centre of sites in containers: its file, and the accounts that are made for it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CENTRE = ROOT / "examples" / "sites" / "centre"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((CENTRE / "compose.yaml").read_text())[
    "services"
]


def test_images_of_others_are_of_one_version() -> None:
    """Else a later start would be another program."""
    images = [one["image"] for one in SERVICES.values() if "build" not in one]

    assert len(images) == 7
    assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/-]+:v?\d+\.\d+\.\d+\}", one) for one in images)


@pytest.mark.parametrize("name", [name for name, one in SERVICES.items() if "build" not in one])
def test_what_others_wrote_may_little(name: str) -> None:
    """No capability but those that are given back, and none that come later."""
    one = SERVICES[name]

    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["depends_on"] == {"keys": {"condition": "service_completed_successfully"}}


def test_files_that_are_used_are_there() -> None:
    """All of them are this folder's, or made by `keys`."""
    text = (CENTRE / "compose.yaml").read_text()

    named = set(re.findall(r"/source/([a-z_.]+)", text))
    assert named == {"keys.sh", "mosquitto.conf", "acl", "store.py", "rules.yml"}
    assert all((CENTRE / name).is_file() for name in named)


def test_the_central_page_shows_what_is_committed() -> None:
    """Its files are there, it reads the store of this centre, and begins with all sites."""
    page = SERVICES["grafana"]
    mounts = dict(one.split(":")[:2] for one in page["volumes"])
    files = {there: CENTRE / here for here, there in mounts.items() if "/" in here}
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load(files[f"{provisioning}/datasources/monitorpi.yaml"].read_text())[
        "datasources"
    ]
    (pages,) = yaml.safe_load(files[f"{provisioning}/dashboards/monitorpi.yaml"].read_text())[
        "providers"
    ]

    assert source["url"] == "http://victoria-metrics:8428"
    assert "victoria-metrics" in SERVICES
    assert source["isDefault"] is True
    shown = {
        path: file for path, file in files.items() if path.startswith(pages["options"]["path"])
    }
    titles = {path: json.loads(file.read_text())["uid"] for path, file in shown.items()}
    assert set(titles.values()) == {"monitorpi", "monitorpi-sites"}
    first = page["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert titles[first] == "monitorpi-sites"
    assert page["ports"] == ["127.0.0.1:3000:3000"]


def test_the_three_servers_are_those_of_the_configuration() -> None:
    """Each has the name by which the others, and who stores, know it."""
    routes = re.findall(r"nats://(nats\d\.example\.net):6222", (CENTRE / "nats.conf").read_text())
    servers = [one for name, one in SERVICES.items() if name.startswith("nats")]

    assert [one["networks"]["default"]["aliases"] for one in servers] == [[name] for name in routes]
    assert [one["command"][-1] for one in servers] == ["nats1", "nats2", "nats3"]
    given = [word for word in SERVICES["store"]["command"] if word.startswith("--server=")]
    assert given == [f"--server={name}" for name in routes]


def keys(folder: Path, sites: str) -> dict[str, bytes]:
    """Make them; returns what is there."""
    subprocess.run(
        ["sh", CENTRE / "keys.sh", folder], check=True,
        env={"PATH": "/usr/bin:/bin", "SITES": sites, "NAMES": "centre.test"},
    )  # fmt: skip
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.*")}


def test_each_site_has_an_account_that_is_kept(tmp_path: Path) -> None:
    """One that is added later leaves all others as they are."""
    first = keys(tmp_path / "keys", "rome")
    both = keys(tmp_path / "keys", "rome oslo")

    config = both.pop("nats.conf").decode()
    assert first.items() - both.items() == {("nats.conf", first["nats.conf"])}
    assert set(both) - set(first) == {"sites/oslo.password"}
    assert re.findall(r"user: (\w+), password: \"(\w+)\"", config) == [
        (name, both[f"sites/{name}.password"].decode().strip())
        for name in ("rome", "oslo", "store")
    ]
    assert "berlin" not in config.partition("accounts {")[2]
    assert config.count('"monitorpi-rows.oslo.>"') == 1
    accounts = (tmp_path / "keys" / "passwords").read_text().splitlines()
    assert [line.partition(":")[0] for line in accounts] == ["rome", "oslo", "watcher"]


def test_what_was_made_is_nobody_elses_to_read(tmp_path: Path) -> None:
    """Keys and passwords; in the containers the servers' group is given what they need."""
    keys(tmp_path / "keys", "rome")

    made = [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]
    assert [one.name for one in made if one.stat().st_mode & 0o077] == []
    (given,) = re.findall(r"chgrp -?R? ?10001 (.*?) &&", SERVICES["keys"]["entrypoint"][-1])
    assert given.split() == [
        "/keys", "/keys/server.crt", "/keys/server.key", "/keys/nats.conf"
    ]  # fmt: skip


def test_servers_take_what_was_made(tmp_path: Path) -> None:
    """Mosquitto hashes the passwords, NATS reads its file, the certificate has all names."""
    folder = tmp_path / "keys"
    keys(folder, "rome oslo")
    config = tmp_path / "nats.conf"
    config.write_text((folder / "nats.conf").read_text().replace("/etc/nats", str(folder)))

    words = ["/usr/sbin/nats-server", "-c", str(config), "--name", "nats2", "-t"]
    read = subprocess.run(words, capture_output=True, text=True, check=False)
    subprocess.run(["mosquitto_passwd", "-U", folder / "passwords"], check=True)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", folder / "server.crt"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert read.returncode == 0, read.stderr
    assert (folder / "passwords").read_text().count("$7$") == 3
    assert re.findall(r"DNS:(\S+?)(?:,|$)", shown.stdout, re.MULTILINE) == [
        "centre.test", "nats1.example.net", "nats2.example.net", "nats3.example.net", "localhost",
    ]  # fmt: skip
