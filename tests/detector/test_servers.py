"""Who may serve, and what servers say, by hand: at the limits of what is remembered and when."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common.log import Log
from monitorpi_common.service import Context
from monitorpi_detector.__main__ import assemble
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.hosts import servers as module
from monitorpi_detector.hosts.servers import Changed, Servers, UnknownServer
from monitorpi_detector.hosts.statements import (
    contradictions,
    in_vlan,
    is_alike,
    may_meet,
    only_relays,
    option_of,
    sends,
    where,
)
from monitorpi_detector.rules.outage import RULES
from monitorpi_detector.settings import DetectorSettings
from monitorpi_detector.targets.outage import Outage
from monitorpi_detector.targets.presence import Stay

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_detector.hosts.statements import Statement

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
ROUTER, DNS = ("router", "192.0.2.1"), ("dns", "192.0.2.53")
SERVER = ("server", "192.0.2.1")
T = 1000.0


# --- what is said ---------------------------------------------------------------------------------


def test_statements_have_a_vlan_behind_their_name() -> None:
    """Where there is a tag."""
    assert [in_vlan("router", vlan) for vlan in ("", "10")] == ["router", "router@10"]
    assert [option_of(name) for name in ("router", "router@10.20")] == ["router", "router"]
    assert where([("vlan", "10"), ROUTER, ("vlan", "20")]) == ["10", "20"]
    assert where([ROUTER]) == [""]
    assert sends([ROUTER, SERVER, ("vlan", "10"), ("relay@10", "x"), ("server-v6", "y")]) == {
        ROUTER
    }


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [([], [], True), ([("vlan", "10")], [], True), ([("vlan", "10")], [("vlan", "10")], True),
     ([("vlan", "10")], [("vlan", "20")], False),
     ([("vlan", "10"), ("vlan", "20")], [("vlan", "20")], True)],
)  # fmt: skip
def test_who_serves_in_one_vlan(one: list[Statement], other: list[Statement], meet: bool) -> None:
    """As far as they say in which."""
    assert may_meet(one, other) is meet


def test_what_contradicts() -> None:
    """Another value of an option that others give, and none of theirs."""
    theirs = {ROUTER, DNS, ("dns", "192.0.2.54")}

    assert contradictions({ROUTER, ("dns", "x"), ("wins", "w")}, theirs) == {("dns", "x")}
    assert contradictions({("dns", "x"), DNS}, theirs) == frozenset()
    assert contradictions(set(), theirs) == frozenset()


@pytest.mark.parametrize(
    ("statements", "alike"),
    [
        ({SERVER, ROUTER, DNS}, True), ({("server", "another"), ROUTER, DNS}, True),
        ({ROUTER, DNS}, False), ({SERVER, ROUTER}, False), ({SERVER, DNS}, False),
        ({SERVER, ROUTER, DNS, ("wins", "w")}, False), ({SERVER, ROUTER, ("dns", "x")}, False),
        ({("server@10", "s"), ROUTER, DNS}, False), ({("server-v6", "s"), ROUTER, DNS}, False),
    ],
)  # fmt: skip
def test_who_says_what_the_known_ones_say(statements: set[Statement], alike: bool) -> None:
    """All that matters, and nothing of its own."""
    assert is_alike(statements, {SERVER, ROUTER, DNS}) is alike


def test_who_says_all_there_is_says_the_same() -> None:
    """Though it is but who speaks; where nobody is sent anywhere."""
    assert is_alike({SERVER}, {SERVER})
    assert not is_alike(set(), set())


@pytest.mark.parametrize(
    ("statements", "theirs", "relays"),
    [
        ({SERVER, ("relay", "r2")}, {SERVER, ("relay", "r1")}, True),
        ({SERVER, ("relay", "r2")}, {SERVER}, False), ({SERVER}, {SERVER, ("relay", "r1")}, False),
        ({("server", "x"), ("relay", "r2")}, {SERVER, ("relay", "r1")}, False),
        ({("server-v6", "d")}, {("server-v6", "d")}, True), ({ROUTER}, {ROUTER}, True),
    ],
)  # fmt: skip
def test_who_passes_on_what_a_known_server_answers(
    statements: set[Statement], theirs: set[Statement], relays: bool
) -> None:
    """In the place of another relay."""
    assert only_relays(statements, theirs) is relays


# --- who may --------------------------------------------------------------------------------------


def see(table: Servers, mac: str, *statements: Statement, at: float = T, learns: bool = True,
        now: float | None = None, holds: Any = ()) -> Any:  # fmt: skip
    """Let one serve."""
    return table.see(mac, at, at if now is None else now, statements, learns=learns, holds=holds)


def test_whoever_serves_in_the_first_minute_is_known() -> None:
    """Later only whoever says the same, or is the router they name; nobody beside whom is known."""
    table = Servers((), ())
    assert see(table, A, ROUTER, DNS) is None
    assert see(table, B, ("wins", "w"), at=T + 60) is None
    assert table.learned == [A, B]

    late = see(table, C, ("wins-else", "x"), at=T + 60.1)
    assert late == UnknownServer("warning", (A, B), frozenset())
    assert not table.knows(C)
    assert see(table, C, ("wins-else", "x"), at=T + 70, holds=["192.0.2.1"]) is None
    assert table.knows(C)


def test_whoever_contradicts_is_unknown_at_any_time() -> None:
    """And says what."""
    table = Servers((), ())
    see(table, A, ROUTER, DNS)

    assert see(table, B, ROUTER, ("dns", "x")) == UnknownServer(
        "warning", (A,), frozenset({("dns", "x")})
    )
    assert see(table, B, ROUTER, ("dns", "x")) is None
    assert see(table, B, ROUTER, ("dns", "x"), at=T + 1) is not None


def test_after_the_first_day_nobody_is_learned() -> None:
    """Whoever is alike is a warning once, whoever is not is critical; a lone one is a warning."""
    table = Servers((), [A], {A: [SERVER, ROUTER, DNS]})
    same = [("server", "192.0.2.2"), ROUTER, DNS]
    assert see(table, B, *same, learns=False) == UnknownServer("warning", (A,), is_alike=True)
    assert see(table, B, *same, at=T + 9, learns=False) is None
    assert set(table.statements) == {A, B}
    other = see(table, B, SERVER, ROUTER, ("dns", "x"), ("wins", "w"), at=T + 20, learns=False)
    assert other == UnknownServer("critical", (A,), frozenset({("dns", "x")}))
    assert set(table.statements) == {A}
    assert see(Servers((), ()), B, ROUTER, learns=False) == UnknownServer("warning", ())


def test_those_of_the_configuration_are_all_there_are() -> None:
    """In the first day too."""
    table = Servers([B, A], [C])

    assert see(table, C, ROUTER) == UnknownServer("critical", (A, B))
    assert [table.knows(mac) for mac in (A, B, C)] == [True, True, False]


@pytest.mark.parametrize(("age_s", "is_news"), [(60.0, True), (60.1, False)])
def test_what_is_first_heard_of_late_was_news_before(age_s: float, is_news: bool) -> None:
    """To the process before us; who does not say when serves now."""
    table = Servers([A], ())

    assert (see(table, B, now=T + age_s) is not None) is is_news
    assert table.see(C, None, T, (), learns=True) is not None
    assert table.see(C, None, T, (), learns=True) is not None


def test_what_a_known_one_says_anew_is_told_once() -> None:
    """After the first day, with what it said before; of options that all clients ask for."""
    table = Servers((), [A], {A: [ROUTER, ("proxy", "p")]})
    assert see(table, A, ROUTER, ("proxy", "p"), learns=False) is None

    changed = see(table, A, ROUTER, ("proxy", "q"), ("dns", "d"), ("wins", "w"), at=T + 1,
                  learns=False)  # fmt: skip

    assert changed == Changed((("proxy", "q"), ("dns", "d")), (("proxy", "p"),))
    assert see(table, A, ROUTER, ("proxy", "q"), ("wins", "w"), at=T + 2, learns=False) is None
    learning = Servers((), [A], {A: [ROUTER]})
    assert see(learning, A, ROUTER, DNS) is None
    assert learning.statements == {A: [ROUTER, DNS]}
    assert see(Servers((), [A]), A, ROUTER, learns=False) is None


def test_whoever_comes_into_a_vlan_is_judged_there() -> None:
    """Known elsewhere or not; but neither whom the configuration names, nor the unspoken."""
    ten, other = ("vlan", "10"), ("router", "192.0.2.99")
    there = {B: [ten, ROUTER], A: [("vlan", "20"), other]}
    table = Servers((), [A, B], there)
    assert see(table, A, ("vlan", "20"), other) is None

    assert see(table, A, ten, other, at=T + 1, learns=False) == UnknownServer(
        "critical", (B,), frozenset({other})
    )
    assert not table.knows(A)
    assert see(table, B, ten, ROUTER, ("vlan", "30"), at=T + 2) is None
    early = Servers((), [A, B], there)
    assert see(early, A, ten, other) == UnknownServer("warning", (B,), frozenset({other}))

    assert see(Servers([A], [B], there), A, ten, other) is None
    assert see(Servers((), [A, B], {B: [ten, ROUTER]}), A, ten, other) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of an option, statements of a server, and servers; VLANs find a place."""
    assert (module.MAX_SERVERS, module.MAX_VALUES, module.MAX_STATEMENTS) == (64, 64, 768)
    for name, value in (("MAX_SERVERS", 2), ("MAX_VALUES", 3), ("MAX_STATEMENTS", 8)):
        monkeypatch.setattr(module, name, value)
    table = Servers((), ())
    see(table, A, *(("dns", str(n)) for n in range(5)), *(("vlan", str(n)) for n in range(9)))
    assert table.statements[A] == [
        *(("dns", str(n)) for n in range(3)), *(("vlan", str(n)) for n in range(5))]  # fmt: skip
    assert see(table, A, ("dns", "77"), at=T + 1, learns=False) is None

    shared = Servers((), ())
    for n in range(4):
        see(shared, f"02:00:00:00:01:0{n}", ROUTER)
    assert len(shared.learned) == 2


# --- outages in words -----------------------------------------------------------------------------


def stay(n: int, mac: str | None = A, silent: int = 1) -> Stay:
    """Return a target."""
    own = None if mac is None else f"{mac[:-1]}{n}"
    return Stay(f"192.0.2.{n}", f"t{n}", own, silent_rounds=silent)


def outage(cause: Any, count: int, **more: Any) -> Outage:
    """Return an outage of some targets."""
    macs = more.pop("mac", A)
    stays = [stay(n, macs) for n in range(count)]
    return Outage(cause, "x", 0.0, {one.address: one for one in stays}, **more)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (outage("cut-off", 1), "cut off: t0 does not answer since the same moment"),
        (outage("cut-off", 2), "cut off: none of 2 targets answers since the same moment"),
        (outage("cut-off", 2, lacks_network=True), "its network is unreachable: none of 2"),
        (outage("cut-off", 4, witnessed=1), "frames of 1 of them: its own link is away"),
        (outage("cut-off", 5, witnessed=1), "frames of 1 of them: its own link is away"),
        (outage("cut-off", 6, witnessed=1), "its own link, or the switch it is on"),
        (outage("cut-off", 10, witnessed=2), "frames of 2 of them: its own link is away"),
        (outage("cut-off", 4), "its own link, or the switch it is on"),
        (outage("uplink-down", 2, others=7), "nothing beyond the router answers (t0, t1), 7 tar"),
        (outage("group-down", 3, others=4), "3 devices went at the same moment (t0, t1, t2), 4"),
        (outage("group-down", 3), "a switch, an access point or a fuse"),
        (outage("group-down", 3, mac=None), "or a fuse, or the router"),
        (outage("group-down", 3, lacks_network=True), "no network to 3 targets any more (t0"),
    ],
)  # fmt: skip
def test_an_outage_in_words(one: Outage, words: str) -> None:
    """Whose link it is: a fifth of the members must be seen to live."""
    (rule,) = [rule for rule in RULES if rule.name == one.cause]

    class View:
        outages = (one,)

    (finding,) = rule.judge(View, lambda _: rule.defaults)  # type: ignore[arg-type]

    assert words in finding.text
    assert finding.unit == "targets"
    assert finding.value == len(one.members)
    assert finding.story == ("uplink-down" if one.cause == "uplink-down" else f"{one.cause}-x")
    assert finding.a_night == (None if one.cause == "cut-off" else 4)
    assert {"192.0.2.0"} <= finding.about
    one.ended = 5.0
    assert list(rule.judge(View, lambda _: rule.defaults)) == []  # type: ignore[arg-type]
    one.ended = None


def test_an_outage_that_is_over_for_all_is_of_one_at_least() -> None:
    """It goes on for a while."""
    one = outage("group-down", 3)
    for member in one.members.values():
        member.silent_rounds = 0

    assert one.silent == []
    assert one.reports_each
    assert not outage("group-down", 6).reports_each
    assert not outage("cut-off", 3).reports_each


# --- put together ---------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False])
def test_in_a_pipe_nothing_is_kept(tmp_path: Path, live: bool) -> None:
    """Nor read of what another run has kept."""
    file = tmp_path / "detector-main.json"
    context = Context("lab", "main", "e", DetectorSettings(), Namespace(), tmp_path, True, live,
                      Log("detector"))  # fmt: skip

    found = assemble(context)

    assert isinstance(found.core, DetectorCore)
    assert len(found.sources) == int(live)
    assert sorted(found.subscriptions) == [
        f"monitorpi/v1/lab/{one}/+" for one in (
            "+/health", "+/status", "capture/device", "capture/onset", "capture/traffic",
            "detector/alert", "prober/probe", "prober/target")]  # fmt: skip
    for close in found.on_close:
        close()
    assert not file.exists()
