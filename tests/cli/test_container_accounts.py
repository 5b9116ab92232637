"""In containers each service runs as a user of its own: none reads another's secrets."""

from __future__ import annotations

import re

import yaml
from tests.conftest import ROOT


def test_no_two_services_share_a_user_and_each_owns_its_secrets() -> None:
    """What compose runs a service as is what its secrets belong to."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    runs_as = {name: one["user"] for name, one in services.items() if one.get("user", "0") != "0"}
    accounts = (ROOT / "broker/accounts.sh").read_text()
    owned_by = {
        name: uid
        for names, uid in re.findall(r"^ +([a-z| -]+)\) echo (\d+) ;;", accounts, re.MULTILINE)
        for name in names.split(" | ")
        if uid != "0"
    }

    own = {name: uid for name, uid in runs_as.items() if name in owned_by}
    assert len(own) >= 6
    assert own == owned_by
    assert len(set(own.values())) == len(own)
