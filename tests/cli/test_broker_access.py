"""Who may write and read what: every account against every service's topics, by delivery."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT, Broker, publish, wait_for
from tests.memory import resident_bytes

from monitorpi_cli.stack import broker as broker_files
from monitorpi_cli.stack.broker import USERS
from monitorpi_common import topics
from monitorpi_common.messages import Service
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Subscriber

STATUS = "monitorpi/v1/lab/detector/status/main"
COMMAND = "monitorpi/v1/lab/detector/command/end"
KINDS = {
    Service.CAPTURE: ("traffic", "device"),
    Service.PROBER: ("probe", "target"),
    Service.DETECTOR: ("alert",),
    Service.CLOUD_BRIDGE: (),
    Service.HISTORY: (),
    Service.DASHBOARD: (),
    Service.NOTIFIER: ("sent",),
    Service.HOME_ASSISTANT: ("rule", "rates"),
}
TOPICS = [
    f"monitorpi/v1/lab/{service.value}/{kind}/x"
    for service in Service
    for kind in (*KINDS[service], "status", "health", "command", "result")
]


def filter_covers(filter_: str, topic: str) -> bool:
    """Return whether an access filter covers a topic (``#`` only at the end)."""
    head = filter_.removesuffix("#").rstrip("/").split("/")
    levels = topic.split("/")
    if filter_.endswith("#"):
        return len(levels) >= len(head) and topics.matches(
            "/".join(head), "/".join(levels[: len(head)])
        )
    return topics.matches(filter_, topic)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, dict[str, str]]]:
    """Run a Mosquitto with our accounts and access rules."""
    folder = tmp_path_factory.mktemp("broker")
    (folder / "secrets" / "operator").mkdir(parents=True)
    own = "sch\u00f6n \u0436 \u4e2d"  # people may write their own, in their own letters
    (folder / "secrets" / "operator" / "broker__password").write_text(own + "\r\n")
    passwords = broker_files.ensure_passwords(folder / "secrets")
    port = broker_files.free_port()
    config = broker_files.write_files(folder / "broker", [f"{port} 127.0.0.1"], passwords)
    process = subprocess.Popen(
        tied(broker_files.command(config), user=broker_files.user(config)),
        stderr=subprocess.DEVNULL,
    )
    one = Broker(folder, port=port, process=process)
    wait_for(one._accepts, what="the broker")
    yield one, passwords
    one.kill()


OUTSIDE = {
    "homeassistant/device/x/config": {"home-assistant", "homeassistant"},
    "homeassistant/sensor/x/config": {"homeassistant"},
    "homeassistant/status": {"homeassistant"},
}
"""Topics outside our tree, and who may write them."""


def test_only_its_service_and_home_assistant_write_what_it_discovers(
    guarded: tuple[Broker, dict[str, str]], subscribe: Callable[..., Subscriber]
) -> None:
    """Whoever could announce devices there could run templates in Home Assistant."""
    broker, passwords = guarded
    seen = subscribe(broker.port, "homeassistant/#", *login("homeassistant", passwords))
    command = ["mosquitto_pub", "-V", "mqttv5", "-p", str(broker.port)]

    for topic in OUTSIDE:
        for user in USERS:
            text = ["-t", topic, "-m", f"by {user.name}"]
            done = subprocess.run([*command, *text, *login(user.name, passwords)], check=False)
            assert done.returncode == 0
    last = ["-t", "homeassistant/end", "-m", "end", *login("homeassistant", passwords)]
    subprocess.run([*command, *last], check=True)

    wait_for(lambda: seen.of("homeassistant/end"))
    for topic, writers in OUTSIDE.items():
        assert {text.removeprefix("by ") for text in seen.of(topic)} == writers


def login(name: str, passwords: dict[str, str]) -> tuple[str, ...]:
    """Return the client's options for an account."""
    return ("-u", name, "-P", passwords[name])


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_an_account_writes_only_where_it_may(
    guarded: tuple[Broker, dict[str, str]],
    subscribe: Callable[..., Subscriber],
    user: broker_files.User,
) -> None:
    """What an account publishes is delivered exactly on the topics its rules allow."""
    broker, passwords = guarded
    seen = subscribe(broker.port, "monitorpi/#", *login("operator", passwords))

    for topic in (*TOPICS, "elsewhere/x"):
        text = f"by {user.name}"
        command = ["mosquitto_pub", "-V", "mqttv5", "-p", str(broker.port), "-t", topic, "-m", text]
        subprocess.run([*command, *login(user.name, passwords)], check=True, capture_output=True)
    allowed = {topic for topic in TOPICS if any(filter_covers(f, topic) for f in user.writes)}
    end = f"monitorpi/v1/lab/{user.name}/command/end"
    last = ["mosquitto_pub", "-V", "mqttv5", "-p", str(broker.port), "-t", end, "-m", "end"]
    subprocess.run([*last, *login("operator", passwords)], check=True)

    wait_for(lambda: seen.of("command/end"))
    delivered = {topic for topic, text, _ in seen.poll() if text == f"by {user.name}"}
    assert delivered == allowed


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_an_account_reads_only_what_it_may(
    guarded: tuple[Broker, dict[str, str]],
    subscribe: Callable[..., Subscriber],
    user: broker_files.User,
) -> None:
    """A denied subscription is still granted by Mosquitto: delivery is what counts."""
    broker, passwords = guarded
    seen = subscribe(broker.port, "monitorpi/#", *login(user.name, passwords))

    allowed = {topic for topic in TOPICS if any(filter_covers(f, topic) for f in user.reads)}
    last = min(allowed)  # said once more, it comes after whatever was let through before

    for topic, text in [*((topic, "x") for topic in TOPICS), (last, "end")]:
        owner = topic.split("/")[3] if "/command/" not in topic else "operator"
        command = ["mosquitto_pub", "-V", "mqttv5", "-p", str(broker.port), "-t", topic, "-m", text]
        subprocess.run([*command, *login(owner, passwords)], check=True)

    wait_for(lambda: "end" in seen.of(last))
    assert {topic for topic, _, _ in seen.poll()} == allowed


def test_a_stalled_subscriber_holds_little_of_the_brokers_memory(
    guarded: tuple[Broker, dict[str, str]], subscribe: Callable[..., Subscriber]
) -> None:
    """64 MB for a client that does not read: the broker drops what passes its limit in bytes."""
    broker, passwords = guarded
    assert broker.process is not None
    topic = "monitorpi/v1/lab/capture/traffic/x"
    stalled = subscribe(broker.port, topic, "-c", "-i", "stalled", *login("viewer", passwords))
    stalled.process.send_signal(signal.SIGSTOP)
    before = resident_bytes(broker.process.pid)

    command = ["mosquitto_pub", "-V", "mqttv5", "-p", str(broker.port), "-q", "1", "-t", topic]
    subprocess.run(
        [*command, "-l", *login("capture", passwords)],
        input=(b"x" * 400_000 + b"\n") * 160,
        check=True,
    )

    assert resident_bytes(broker.process.pid) - before < 32_000_000


def test_nobody_gets_in_without_a_password(guarded: tuple[Broker, dict[str, str]]) -> None:
    """Anonymous clients and wrong passwords are turned away."""
    broker, _ = guarded
    for login_ in ((), ("-u", "viewer", "-P", "wrong"), ("-u", "nobody", "-P", "x")):
        command = ["mosquitto_pub", "-p", str(broker.port), "-t", "x", "-m", "x", *login_]
        done = subprocess.run(command, check=False, capture_output=True)

        assert done.returncode != 0


# --- who disturbs whom ----------------------------------------------------------------------------


@pytest.fixture
def detector(
    guarded: tuple[Broker, dict[str, str]], processes: list[subprocess.Popen[str]]
) -> Callable[[], subprocess.Popen[str]]:
    """Start the smallest service as a process with the detector's account."""
    broker, passwords = guarded

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "common" / "echo_service.py"],
            env=broker.environment(
                MONITORPI_BROKER__PASSWORD=passwords["detector"], MONITORPI_BROKER__KEEPALIVE_S="5"
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    return start


@pytest.fixture
def watch(
    guarded: tuple[Broker, dict[str, str]], subscribe: Callable[..., Subscriber]
) -> Subscriber:
    """Listen as the operator, to a broker that remembers no detector."""
    broker, passwords = guarded
    publish(broker, STATUS, "", "-r", *login("detector", passwords))
    return subscribe(broker.port, "monitorpi/#", *login("operator", passwords))


def statuses_after_an_answer(
    guarded: tuple[Broker, dict[str, str]], watch: Subscriber
) -> list[str]:
    """Return all that the detector's status said, once it has answered a command of now."""
    broker, passwords = guarded
    answered = len(watch.of("/result/"))
    publish(broker, COMMAND, "?", *login("operator", passwords))
    wait_for(lambda: len(watch.of("/result/")) > answered, what="an answer of the service")
    return watch.of(STATUS)


def test_a_viewer_under_a_services_name_disturbs_nobody(
    guarded: tuple[Broker, dict[str, str]],
    subscribe: Callable[..., Subscriber],
    detector: Callable[[], subprocess.Popen[str]],
    watch: Subscriber,
) -> None:
    """A client id throws off its older holder, whatever account: a service's cannot be guessed."""
    broker, passwords = guarded
    detector()
    wait_for(lambda: watch.of(STATUS) == ["online"], what="the service")

    name = "monitorpi-lab-detector-main"
    outsider = subscribe(broker.port, "monitorpi/#", "-i", name, *login("viewer", passwords))

    assert statuses_after_an_answer(guarded, watch) == ["online"]
    assert outsider.process.poll() is None


def test_a_new_start_takes_over_from_a_predecessor_that_hangs(
    guarded: tuple[Broker, dict[str, str]],
    detector: Callable[[], subprocess.Popen[str]],
    watch: Subscriber,
) -> None:
    """The broker misses its keepalives and says so; the old connection's will never speaks after.

    A broker waits for one and a half to two keepalives.
    """
    first = detector()
    wait_for(lambda: watch.of(STATUS) == ["online"], what="the first")
    first.send_signal(signal.SIGSTOP)

    detector()
    wait_for(lambda: watch.of(STATUS).count("online") == 2, 30, "the second")
    first.kill()
    first.wait()

    assert statuses_after_an_answer(guarded, watch) == ["online", "offline", "online"]


def test_the_later_of_two_with_one_account_waits(
    detector: Callable[[], subprocess.Popen[str]], watch: Subscriber
) -> None:
    """Its account may read who is there: the one that runs is not thrown off."""
    first = detector()
    wait_for(lambda: watch.of(STATUS) == ["online"], what="the first")

    second = detector()
    assert second.stderr is not None
    assert "standing by" in second.stderr.readline()

    assert watch.of(STATUS) == ["online"]
    assert first.poll() is None


@pytest.mark.parametrize("name", ["viewer", "operator"])
def test_people_read_nothing_of_the_brokers_own(
    guarded: tuple[Broker, dict[str, str]], subscribe: Callable[..., Subscriber], name: str
) -> None:
    """Some brokers list client ids under ``$SYS``: an account for people is not told."""
    broker, passwords = guarded
    both = ("-t", "monitorpi/#", *login(name, passwords))
    seen = subscribe(broker.port, "$SYS/#", *both)

    publish(broker, COMMAND, "end", *login("operator", passwords))

    wait_for(lambda: seen.of(COMMAND))
    assert not seen.of("$SYS")
