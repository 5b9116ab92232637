"""Who holds an address: what holds whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from tests.capture.addressworld import IP, OTHER, V6, VIRTUAL, A, B, C, World

from monitorpi_capture.inventory.addresses import (
    AGE_S,
    MAX_FAMILY,
)
from monitorpi_capture.inventory.groups import group_of
from monitorpi_capture.inventory.holding import Space, State

MACS = st.sampled_from([A, B, C, VIRTUAL, bytes.fromhex("0007b4000101"), b"\x04" + b"\xaa" * 5])
SPACES = st.sampled_from([(), (10,), (20,)])
IPS = st.sampled_from([IP, OTHER, V6, "2001:db8::51", "fe80::1", "198.18.0.255"])


class Model(RuleBasedStateMachine):
    """Random claims, leases, ends and hours; what must hold is looked at after each."""

    macs: Bundle[bytes] = Bundle("macs")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(router_ips={OTHER})
        self.one = self.world.addresses()
        self.now = 1000.0
        self.claimed: dict[tuple[bytes, Space, str], float] = {}

    def _later(self, seconds: float) -> None:
        self.now += seconds

    @rule(mac=MACS, space=SPACES, ip=IPS, later=st.floats(0, 200))
    def claim(self, mac: bytes, space: Space, ip: str, later: float) -> None:
        """Somebody claims an address."""
        self._later(later)
        self.one.claim(mac, space, ip, self.now)
        self.claimed[mac, space, ip] = self.now

    @rule(mac=MACS, space=SPACES, ip=IPS, sender=MACS, later=st.floats(0, 200))
    def allege(self, mac: bytes, space: Space, ip: str, sender: bytes, later: float) -> None:
        """Somebody says that an address is another one's."""
        self._later(later)
        free = self.one.state(space, ip) in (State.FREE, State.NAMED)
        holder = self.one.holder(space, ip)
        self.one.allege(mac, space, ip, self.now, sender)
        self.claimed[mac, space, ip] = self.now
        assert self.one.holder(space, ip) == holder or not free or group_of(mac) is not None

    @rule(mac=MACS, space=SPACES, ips=st.lists(IPS, min_size=1, max_size=2), later=st.floats(0, 60))
    def name(self, mac: bytes, space: Space, ips: list[str], later: float) -> None:
        """A server gives a lease of one family."""
        self._later(later)
        same = [ip for ip in ips if (":" in ip) == (":" in ips[0])]
        self.one.name(mac, space, same, self.now)
        for ip in same:
            self.claimed[mac, space, ip] = self.now

    @rule(mac=MACS, space=SPACES, ip=IPS, sender=st.none() | MACS)
    def end(self, mac: bytes, space: Space, ip: str, sender: bytes | None) -> None:
        """A lease ends."""
        holder = self.one.holder(space, ip)
        self.one.end(mac, space, ip, self.now, sender)
        if sender not in (None, holder) and self.one.state(space, ip) is not State.NAMED:
            assert self.one.holder(space, ip) in (holder, None)

    @rule(mac=MACS, later=st.floats(0, 2 * AGE_S))
    def end_overdue(self, mac: bytes, later: float) -> None:
        """Time passes, and a device's message is due."""
        self._later(later)
        self.one.end_overdue(mac, self.now)
        for held in self.one.of(mac):
            assert self.now - held.claimed_s <= AGE_S

    @rule(mac=MACS)
    def leave(self, mac: bytes) -> None:
        """A device falls silent."""
        self.world.absent.add(mac)

    @rule(mac=MACS)
    def come(self, mac: bytes) -> None:
        """It is back."""
        self.world.absent.discard(mac)

    @rule(mac=MACS)
    def establish(self, mac: bytes) -> None:
        """Others show that it is a router, or no more."""
        self.world.established ^= {mac}

    @rule(mac=MACS)
    def forget(self, mac: bytes) -> None:
        """A device is taken back."""
        self.one.forget(mac)
        assert self.one.of(mac) == []

    @rule(step=st.floats(-1e6, 1e6))
    def shift(self, step: float) -> None:
        """The clock is set."""
        self.now += step
        self.claimed = {key: at_s + step for key, at_s in self.claimed.items()}
        self.one.shift(step)

    @invariant()
    def one_holder(self) -> None:
        """An address of a VLAN has one holder, who claimed it or was given it."""
        of = [(held.space, held.ip) for mac in self.one._of for held in self.one.of(mac)]
        assert len(of) == len(set(of))
        for held in self.one:
            assert held.mac
            assert (held.mac, held.space, held.ip) in self.claimed
            claimed_s = self.claimed[held.mac, held.space, held.ip]
            assert held.claimed_s == pytest.approx(claimed_s) or held.claimed_s <= claimed_s
            assert not held.ip.endswith(".255")

    @invariant()
    def disputes_are_told_of_both(self) -> None:
        """A contested address stands with its holder and its challengers; nobody else's does."""
        for held in self.one:
            if held.state is State.CONTESTED:
                assert held.disputes
            if held.state in (State.HELD, State.NAMED):
                assert not held.disputes
            for dispute in held.disputes.values():
                assert dispute.holder != dispute.challenger
                assert dispute.turns
                for mac in (dispute.holder, dispute.challenger):
                    assert (held.space, held.ip) in self.one._disputes.by_mac[mac]
        for mac, keys in self.one._disputes.by_mac.items():
            for key in keys:
                found = self.one._table[key].disputes.values()
                assert any(mac in (one.holder, one.challenger) for one in found)

    @invariant()
    def bounded(self) -> None:
        """Each family of a device has its own bound."""
        for mac in self.one._of:
            for version in (4, 6):
                family = [held for held in self.one.of(mac) if held.version == version]
                assert len(family) <= MAX_FAMILY


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestModel = Model.TestCase
