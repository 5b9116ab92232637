"""A cable in a namespace, from va to vb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import wait_for

if TYPE_CHECKING:
    from monitorpi_lab.namespace import Namespace


def plug(namespace: Namespace) -> None:
    """Make it; frames get through."""
    namespace.run(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"])
    for name in ("va", "vb"):
        namespace.run(["ip", "link", "set", name, "up"])
    await_carrier(namespace)


def await_carrier(namespace: Namespace) -> None:
    """Wait until both ends send: the kernel sees to a carrier that came in its own time.

    Until then an end has the queue ``noop``, which drops what is sent.
    """

    def is_there() -> bool:
        ends = [namespace.run(["ip", "-o", "link", "show", name]).stdout for name in ("va", "vb")]
        return all("state UP" in end and "qdisc noop " not in end for end in ends)

    wait_for(is_there, what="the carrier")
