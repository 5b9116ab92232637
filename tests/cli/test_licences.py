"""The licences of what runs here: the command, and what the images say of themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from monitorpi_cli import licences
from monitorpi_common.messages import Service

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def expressions(label: str) -> set[str]:
    """Return the parts of an SPDX expression that all hold."""
    return set(label.split(" AND "))


@pytest.mark.parametrize("service", [service.value for service in Service])
def test_an_image_names_the_licences_of_what_its_service_runs_on(service: str) -> None:
    """The label in compose.yaml is of the packages, and of no others."""
    args = COMPOSE["services"][service]["build"]["args"]

    found = licences.label(licences.packages([f"monitorpi-{service}"]))

    assert expressions(args["LICENSES"]) == expressions(found)


def test_the_demos_image_names_the_licences_of_everything() -> None:
    """It has the command line with all services; so has the image of an unnamed service."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    demo = re.search(r'image\.licenses="([^$"]+)"', dockerfile)
    default = re.search(r'ARG LICENSES="([^"]+)"', dockerfile)
    assert demo is not None
    assert default is not None

    found = expressions(licences.label(licences.packages(["monitorpi-lab"])))

    assert expressions(demo[1]) == found
    assert expressions(default[1]) == found


def test_packages_that_bind_whoever_passes_them_on_are_the_probers_alone() -> None:
    """Scapy and icmplib: no other service runs on them."""
    found = {one.name: one for one in licences.packages(licences.parts())}

    assert found["scapy"].licence == "GPL-2.0-only"
    assert found["icmplib"].licence == "LGPL-3.0-only"
    assert found["scapy"].needed_by == found["icmplib"].needed_by == ("prober", "cli")


def test_every_package_is_listed_with_version_and_licence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One object for programs; none of the packages is without a licence, none is ours."""
    assert licences.main(["--json"]) == 0

    found = json.loads(capsys.readouterr().out)["packages"]
    assert len(found) > 10
    assert all(re.match(r"\d", one["version"]) for one in found)
    assert all(
        re.fullmatch(r"[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)*", one["licence"]) for one in found
    )
    assert not any(one["name"].startswith("monitorpi") for one in found)
