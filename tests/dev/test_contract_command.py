"""``./monitorpi contract``: what it runs, what it reports, and a replacement that keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_dev import contract

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
SMALL = '''
import pytest
from tests.conftest import wait_for

def test_kept():
    """It says good day.

    And more.
    """

@pytest.mark.ours
def test_left_out():
    """Our own file."""
    assert False

def test_not_kept():
    """It is online."""
    wait_for(lambda: [] == ["online"], 0.01, "online")

def test_not_tried():
    """It counts."""
    pytest.skip("needs root")

@pytest.fixture
def broker():
    raise RuntimeError("no broker")

def test_could_not_begin(broker):
    """It hears."""
'''
ENDING = '''
import subprocess
from tests.conftest import processes, wait_for

def start(processes, *words):
    processes.append(subprocess.Popen(words))
    return processes[-1]

def test_ends(processes):
    """It ends with 3."""
    start(processes, "sh", "-c", "exit 3").wait()
    wait_for(lambda: False, 0.01)

def test_is_killed(processes):
    """It was killed by the test."""
    one = start(processes, "sleep", "9")
    one.kill()
    one.wait()
    wait_for(lambda: False, 0.01)

def test_runs(processes):
    """It runs."""
    start(processes, "sleep", "9")
    wait_for(lambda: False, 0.01)
'''
DRIVER = """
import json, pathlib, sys
from monitorpi_dev import contract
report = contract.ContractReport()
contract.run(pathlib.Path(sys.argv[1]), report)
print(json.dumps(report.rows))
"""


def run(*words: str | Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run Python where the project stands, whose tests it finds."""
    return subprocess.run(
        [sys.executable, *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip


def command(*words: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command itself."""
    return run("-P", "-m", "monitorpi_cli", "contract", *words, seconds=seconds)


def test_each_end_is_one_row_with_what_was_asked(tmp_path: Path) -> None:
    """Kept, not kept and why, not tried and why; what is ours alone is left out."""
    file = tmp_path / "test_small.py"
    file.write_text(SMALL)

    done = run("-c", DRIVER, file)

    *lines, last = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines == [
        "ok      It says good day.",
        "FAILED  It is online.",
        (
            '        wait_for(lambda: [] == ["online"], 0.01, "online"): '
            "Failed: waited 0.01 s in vain for online"
        ),
        "skipped It counts.",
        "        Skipped: needs root",
        "FAILED  It hears.",
        '        raise RuntimeError("no broker"): RuntimeError: no broker',
    ]
    assert [row["outcome"] for row in json.loads(last)] == [
        "passed", "failed", "skipped", "failed",
    ]  # fmt: skip


def test_a_program_that_ended_by_itself_is_told(tmp_path: Path) -> None:
    """Waiting in vain for one that is not there is no reason anybody can use."""
    file = tmp_path / "test_small.py"
    file.write_text(ENDING)

    done = run("-c", DRIVER, file)

    last = [line.rpartition(": ")[2] for line in done.stdout.splitlines()[:-1]]
    assert last == [
        "FAILED  It ends with 3.",
        "waited 0.01 s in vain (the program ended with exit code 3)",
        "FAILED  It was killed by the test.",
        "waited 0.01 s in vain",
        "FAILED  It runs.",
        "waited 0.01 s in vain",
    ]


def test_tests_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """Nothing was tried then, and it is said why."""
    file = tmp_path / "test_small.py"
    file.write_text("import no_such_module\n")

    done = run("-c", DRIVER, file)

    assert "FAILED  The tests can be read." in done.stdout
    assert "No module named 'no_such_module'" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["detector"], "give a command behind --"),
        (["detector", "--"], "give a command behind --"),
        (["nobody", "--", "true"], "invalid choice: 'nobody' (choose from "),
        (["detector", "--", "no-such-program"], "there is no program 'no-such-program'"),
    ],
)
def test_a_wrong_call_is_one_line(words: Sequence[str], said: str) -> None:
    """Exit code 2, and nothing is run."""
    done = command(*words)

    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stdout == ""


def test_every_service_that_talks_has_its_contract_tests() -> None:
    """The page has none: it publishes nothing but what people order."""
    folders = {path.name for path in (ROOT / "services").iterdir()}

    assert set(contract.services()) == folders - {"dashboard"}


STAND_IN = """#!{python}
import os, pathlib, signal, sys
folder, (verb, *words) = pathlib.Path({folder!r}), sys.argv[1:]
if verb == "kill":
    name = words[words.index("--signal") + 1]
    os.kill(int((folder / words[-1]).read_text()), signal.Signals[name])
    raise SystemExit
given, name = {{"PATH": os.environ["PATH"]}}, None
while words[0].startswith("--"):
    option = words.pop(0)
    value = None if option == "--rm" else words.pop(0)
    if option == "--env":
        given[value] = os.environ[value]
    name = value if option == "--name" else name
    if option == "--volume":
        assert len(set(value.split(":"))) == 1 and pathlib.Path(value.split(":")[0]).is_dir()
image, *command = words
assert image == "an/image"
(folder / name).write_text(str(os.getpid()))
os.execvpe(command[0], command, given)
"""


@pytest.mark.soak
def test_a_container_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given our settings and no other variable; signals reach it by its name.

    A stand-in does what `docker run` and `docker kill` do, without an image: those need a daemon.
    """
    program = tmp_path / "docker"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    detector = Path(sys.executable).with_name("monitorpi-detector")

    done = command("detector", "--json", "--container", "--", "an/image", str(detector))

    assert (done.returncode, json.loads(done.stdout)["keeps_contract"]) == (0, True), done.stdout
    assert [one for one in tmp_path.iterdir() if one.name.startswith("monitorpi-contract-")]


@pytest.mark.soak
def test_a_detector_in_another_language_keeps_it_and_a_dead_one_does_not() -> None:
    """The example of the documentation takes the detector's place."""
    example = ROOT / "examples" / "detector-in-node"
    subprocess.run(["npm", "ci", "--silent"], cwd=example, check=True, timeout=300)

    kept = command("detector", "--json", "--", "node", str(example / "detector.js"))
    not_kept = command("detector", "--json", "--", "sleep", "1000")

    assert (kept.returncode, json.loads(kept.stdout)["keeps_contract"]) == (0, True), kept.stdout
    assert (not_kept.returncode, json.loads(not_kept.stdout)["keeps_contract"]) == (1, False)
