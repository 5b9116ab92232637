"""What each rule is called in a message, and what to do about it. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from monitorpi_common.rule_advice import rule_advice
from monitorpi_common.rule_titles import rule_title


class Advice(NamedTuple):
    """A rule for people."""

    title: str
    todo: str


BLIND: Final = "watch-blind"
"""The rule that this service itself adds: nobody watches."""


def advice(rule: str) -> Advice:
    """Return what a rule is called and what to do; a rule of somebody else's gets its name."""
    if rule == BLIND:
        return Advice("nobody watches", "Run ./monitorpi doctor on the Pi.")
    return Advice(rule_title(rule), rule_advice(rule))
