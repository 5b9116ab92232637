"""An uplink that is away, as traffic shows it."""

from __future__ import annotations

from tests.detector.windows import (
    ATTACKER,
    ROUTER,
    Detector,
    answer,
    device,
    plain,
    probe,
    syns,
    window,
)

from monitorpi_common.messages import DeviceWindow, Peer


def crawl(second: int, *, answered: float, rate: int = 80) -> list[DeviceWindow]:
    """Build a crawler that opens connections to ever other hosts beyond the router."""
    back = int(rate * answered)
    row = syns(rate, peer=ROUTER, ip=f"203.0.113.{second % 250}", hosts=rate, ports=2,
               rx={"syn_ack": back, "tcp": 8 * back, "packets": 8 * back},
               fin=back)  # fmt: skip
    sent = row.tx | {"tcp": rate + 5 * back, "packets": rate + 5 * back}
    row = row.model_copy(
        update={"tx": sent, "top_peer": {"syn": Peer(mac=ROUTER, packets=1, port=443)}}
    )
    answers = {"syn_ack": back} if back else {}
    return [row, plain(ROUTER, rx=sent, packets=8 * back + 3, tcp=8 * back, **answers)]


def watched() -> Detector:
    """Build a detector that knows the router and has seen the crawler at work."""
    detector = Detector()
    detector.take(device(ROUTER, 0, "198.18.0.1", role="router"))
    detector.take(*[window(s, *crawl(s, answered=0.95)) for s in range(1, 120)])
    return detector


def test_a_crawler_whose_uplink_is_away_is_no_sweep() -> None:
    """Nobody is answered any more: one alert on the uplink, none on the crawler, for minutes."""
    detector = watched()
    assert detector.open() == {}

    detector.take(window(120, *crawl(120, answered=0.4)))
    detector.take(*[window(s, *crawl(s, answered=0.0)) for s in range(121, 1400)])
    assert list(detector.open()) == ["uplink-down-internet"]
    alert = detector.open()["uplink-down-internet"]
    assert f"the router {ROUTER} passes no answer any more" in alert.summary
    detector.take(window(1400, *crawl(1400, answered=0.3)))
    detector.take(*[window(s, *crawl(s, answered=0.95)) for s in range(1401, 1440)])

    assert detector.open() == {}
    assert {alert.rule for alert in detector.alerts} == {"uplink-down"}


def test_a_sweep_of_the_internet_is_told_beside_one_that_is_answered() -> None:
    """Who was never answered looks for hosts, whatever the router does for others."""
    detector = watched()
    sweep = syns(90, "04:00:00:00:00:0d", peer=ROUTER, hosts=90)

    detector.take(*[window(s, *crawl(s, answered=0.95), sweep) for s in range(120, 125)])

    assert list(detector.open()) == ["host-sweep-04000000000d"]


def test_who_was_answered_and_then_sweeps_is_told_of() -> None:
    """A crawler that is taken over sweeps while the router answers others."""
    detector = watched()
    other = [
        row.model_copy(update={"mac": "04:00:00:00:00:0d"}) if row.mac == ATTACKER else row
        for row in crawl(1, answered=0.9, rate=20)
    ]
    for second in range(120, 140):
        sweep = crawl(second, answered=0.0)[0]
        detector.take(window(second, sweep, *other))

    assert f"host-sweep-{ATTACKER.replace(':', '')}" in detector.open()


def test_an_uplink_that_is_missed_before_everything_else_is_a_part_of_being_cut_off() -> None:
    """After a power failure connections in vain are seen before nobody answers: one story."""
    detector = watched()
    for n in range(12, 42):
        lost = {"received": 0, "loss_ratio": 1.0, "rtt_p50_ms": None} if n >= 36 else {}
        targets = [
            answer(address=f"198.18.0.{k}", mac=f"04:00:00:00:01:{k:02x}", **lost)
            for k in range(1, 13)
        ]
        answered = 0.95 if n < 36 else 0.0
        detector.take(
            *[window(10 * n + s, *crawl(s, answered=answered)) for s in range(1, 10)],
            probe(10 * (n + 1), *targets),
        )

    assert {key: (one.severity, one.caused_by) for key, one in detector.open().items()} == {
        "uplink-down-internet": ("info", "cut-off-main"), "cut-off-main": ("critical", None)
    }  # fmt: skip
    assert detector.alerts[0].key == "uplink-down-internet"
