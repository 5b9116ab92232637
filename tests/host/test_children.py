from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import is_running, wait_for

from monitorpi_host.children import cpu_s, tied

PARENT = "import subprocess, sys; from monitorpi_host.children import tied; "


def python(code: str, *arguments: str) -> list[str]:
    """Build the command that runs some Python."""
    return [sys.executable, "-c", code, *arguments]


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Kill -9 leaves nobody behind."""
    file = tmp_path / "pid"
    sleeper = f"echo $$ >{file}.new; mv {file}.new {file}; exec sleep 60"
    parent = subprocess.Popen(
        python(PARENT + "subprocess.run(tied(['sh', '-c', sys.argv[1]]))", sleeper)
    )
    pid = int(wait_for(lambda: file.exists() and file.read_text()))

    parent.kill()
    parent.wait()

    wait_for(lambda: not is_running(pid), 5, "the child to end")


def test_nothing_is_started_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    """It died between fork and exec: nobody would ever end what is started now."""
    file = tmp_path / "started"
    of_another = python(PARENT + "print('\\n'.join(tied(sys.argv[1:])))", "touch", str(file))
    command = subprocess.run(of_another, capture_output=True, text=True, check=True).stdout

    done = subprocess.run(command.splitlines(), check=False)

    assert done.returncode == 1
    assert not file.exists()


def test_the_process_is_the_commands_own() -> None:
    """Its arguments arrive as they are, its process id is the one that was started."""
    arguments = ["a b", "$HOME", "", "'"]
    code = "import os, sys; print(os.getpid(), sys.argv[1:])"

    process = subprocess.Popen(tied(python(code, *arguments)), stdout=subprocess.PIPE, text=True)

    assert process.communicate()[0] == f"{process.pid} {arguments}\n"


def test_a_child_of_another_user_stays_tied(tmp_path: Path) -> None:
    """The user is changed before the kernel is asked: a change takes the promise away."""
    if os.geteuid() != 0:
        pytest.skip("needs root: changes the user")
    file = tmp_path / "pid"
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    sleeper = f"umask 0; echo $$ >{file}.new; mv {file}.new {file}; exec sleep 60"
    run = "subprocess.run(tied(['sh', '-c', sys.argv[1]], user=(65534, 65534)))"
    parent = subprocess.Popen(python(PARENT + run, sleeper))
    pid = int(wait_for(lambda: file.exists() and file.read_text()))
    assert Path(f"/proc/{pid}").stat().st_uid == 65534

    parent.kill()
    parent.wait()

    wait_for(lambda: not is_running(pid), 5, "the child to end")


def test_what_a_process_has_used_is_its_threads_time_together() -> None:
    """To the nanosecond, as it sees it itself."""
    before_s = time.process_time()
    seen_s = cpu_s(os.getpid())

    assert before_s < seen_s < time.process_time()


def test_what_another_process_has_used_is_told_while_there_is_one() -> None:
    """Also one that does nothing now."""
    code = "import time; print(time.process_time(), flush=True); input()"
    with subprocess.Popen(
        python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        own_s = float(other.stdout.readline())

        assert own_s < cpu_s(other.pid) < own_s + 1

        other.communicate("\n")
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_s(other.pid)
