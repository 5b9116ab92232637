"""Whoever meets a rule finds what it measures, what to do about it, and a word for it at night."""

from __future__ import annotations

import re

import pytest
from tests.conftest import ROOT

from monitorpi_detector.rules import RULES
from monitorpi_notifier.advice import advice

NAMES = sorted({re.sub(r"^surge-.*", "surge-{class}", name) for name in RULES})


def rows(page: str) -> set[str]:
    """Return what the first cells of the tables of a page name."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("page", ["alerts.md", "detection.md"])
def test_every_rule_has_its_row(page: str) -> None:
    """In the table of what is measured, and in that of what to do; none is there for nothing."""
    found = rows(page)

    assert set(NAMES) <= found
    assert {name for name in found if re.fullmatch(r"[a-z]+-(flood|storm|scan|sweep)", name)} <= {
        *NAMES
    }


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_words_for_a_message(rule: str) -> None:
    """A message at three in the morning says more than the rule's name."""
    title, todo = advice(rule)

    assert title != rule
    assert todo
    assert todo != advice("of-somebody-else").todo
