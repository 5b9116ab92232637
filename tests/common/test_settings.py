"""Settings: where values come from, and one line for each way to be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field, SecretStr

from monitorpi_common.messages import Service
from monitorpi_common.settings import ConfigurationError, Section, load
from monitorpi_common.settings_errors import _message


class Inner(Section):
    """A table in a table."""

    floor: Annotated[float, Field(gt=0)] = 100.0


class ExampleSettings(Section):
    """A service's table."""

    interfaces: list[str] = Field(default_factory=list)
    write_key: SecretStr | None = None
    rules: dict[str, Inner] = Field(default_factory=dict)
    levels: dict[str, float] = Field(default_factory=dict)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run without any variable of ours and with an empty secrets directory."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("MONITORPI_SECRETS_DIR", str(secrets))
    for name in ("MONITORPI_CONFIG", "MONITORPI_SITE"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    """Write a configuration file."""
    file = folder / "monitorpi.toml"
    file.write_text(text)
    return file


def problems(file: Path | None = None) -> tuple[str, ...]:
    """Return the lines of the error."""
    with pytest.raises(ConfigurationError) as caught:
        load(Service.CLOUD_BRIDGE, ExampleSettings, file=file)
    return caught.value.lines


def test_nothing_needs_to_be_configured() -> None:
    """Without file, environment and secrets there are sane values and a valid site."""
    loaded = load(Service.CLOUD_BRIDGE, ExampleSettings)

    assert loaded.common.broker.port == 1883
    assert loaded.common.site
    assert loaded.section == ExampleSettings()


def test_the_environment_wins_over_secrets_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source overrides the weaker ones value by value, not table by table."""
    file = written(
        tmp_path,
        'site = "file"\n[broker]\nhost = "file"\nport = 1\npassword = "file"\n'
        '[cloud-bridge]\ninterfaces = ["file"]\n[cloud-bridge.rules.syn-flood]\nfloor = 5\n',
    )
    (tmp_path / "secrets" / "broker__password").write_text("secret\n")
    (tmp_path / "secrets" / "cloud_bridge__write_key").write_text("secret")
    monkeypatch.setenv("MONITORPI_BROKER__PORT", "7")
    monkeypatch.setenv("MONITORPI_CLOUD_BRIDGE__INTERFACES", '["eth1"]')

    loaded = load(Service.CLOUD_BRIDGE, ExampleSettings, file=file, overrides={"site": "arg"})

    broker = loaded.common.broker
    assert (loaded.common.site, broker.host, broker.port) == ("arg", "file", 7)
    assert broker.password is not None
    assert broker.password.get_secret_value() == "secret"
    assert loaded.section.interfaces == ["eth1"]
    assert loaded.section.write_key == SecretStr("secret")
    assert loaded.section.rules["syn-flood"].floor == 5


def test_tables_of_other_services_are_none_of_our_business(tmp_path: Path) -> None:
    """One file serves all services."""
    file = written(tmp_path, "[capture]\nanything = 1\n[detector]\nelse = 2\n")

    assert load(Service.CLOUD_BRIDGE, ExampleSettings, file=file).section == ExampleSettings()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sight = 'x'", "sight: unknown key; did you mean 'site'?"),
        ("[cloud-bridge]\ninterfaecs = []", "unknown key; did you mean 'interfaces'?"),
        ("[captrue]\nx = 1", "captrue: unknown key; did you mean 'capture'?"),
        ("[cloud-bridge.rules.x]\nflor = 1", "rules.x.flor: unknown key; did you mean 'floor'?"),
        ("broker = 'here'", "broker: should be a table (not 'here')"),
        ("[broker]\nzzz = 1", "broker.zzz: unknown key; remove it"),
        ("[broker]\nport = 0", "broker.port: input should be greater than or equal to 1 (not '0')"),
        ("[cloud-bridge.rules.x]\nfloor = -1", "rules.x.floor: input should be greater than 0"),
        ("site = 'My LAN'", "site: use a-z, 0-9 and inner -, at most 64 characters (not 'My LAN')"),
        ("[cloud-bridge.rules.x]\nfloor = inf", "rules.x.floor: input should be a finite number"),
        ("[cloud-bridge.rules.x]\nfloor = true", "should be a number, not true or false"),
        ("[cloud-bridge.levels]\nx = true", "levels: x: should be a number, not true or false"),
        (f"[cloud-bridge]\n{'k' * 64} = 1", f".{'k' * 64}: unknown key"),
        (f"[cloud-bridge]\n{'k' * 65} = 1", f".{'k' * 64}...: unknown key"),
        ('[cloud-bridge]\n"a\\u001b[2J" = 1', ".'a\\x1b[2J': unknown key"),
        ("site = ", "not valid TOML"),
        ("[broker]\npassword = 5", "broker.password: input should be a valid string"),
    ],
)
def test_one_line_names_what_to_change(tmp_path: Path, text: str, line: str) -> None:
    """Each way to be wrong is one line with file, key and reason."""
    file = written(tmp_path, text)

    lines = problems(file)

    assert len(lines) == 1
    assert lines[0].startswith(str(file))
    assert line in lines[0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Value error, " + "x" * 240, "x" * 240), ("x" * 241, "x" * 240 + "..."),
        ("Input is odd", "input is odd"), ("URL is odd", "URL is odd"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(said: str, shown: str) -> None:
    """However long it is; behind a key it begins small, but for an abbreviation."""
    assert _message({"type": "value_error", "msg": said}) == shown


def test_a_missing_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    """A file somebody asked for must exist."""
    assert "there is no such file" in problems(tmp_path / "none.toml")[0]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a folder, a file without an end: one line each; a file of nothing is a file."""
    os.mkfifo(tmp_path / "pipe")

    assert "a named pipe" in problems(tmp_path / "pipe")[0]
    assert "Is a directory" in problems(tmp_path)[0]
    assert "larger than 1048576 bytes" in problems(Path("/dev/zero"))[0]
    assert load(Service.CLOUD_BRIDGE, ExampleSettings, file=Path("/dev/null")).section.rules == {}


def test_the_variable_is_named_when_it_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value of the environment is reported with the variable's name."""
    monkeypatch.setenv("MONITORPI_BROKER__PORT", "many")

    assert problems()[0].startswith("MONITORPI_BROKER__PORT: broker.port: ")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("MONITORPI_BROKR__PORT", "; did you mean 'MONITORPI_BROKER__PORT'?"),
        ("MONITORPI_BROKER_PORT", "; did you mean 'MONITORPI_BROKER__PORT'?"),
        ("MONITORPI_CLOUD_BRIDGE_RULES", "; did you mean 'MONITORPI_CLOUD_BRIDGE__RULES'?"),
        ("MONITORPI_CAPTURRE__ENGINE", "; did you mean 'MONITORPI_CAPTURE__ENGINE'?"),
        ("MONITORPI_XYZZY", "; remove it"),
    ],
)
def test_a_variable_that_nobody_reads_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    """With what was meant by it; one that is empty is none."""
    monkeypatch.setenv(variable, "")
    load(Service.CLOUD_BRIDGE, ExampleSettings)

    monkeypatch.setenv(variable, "7")

    assert problems() == (f"{variable}: unknown variable{hint}",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MONITORPI_BROKER_SERVICE_HOST", "10.0.0.7"),
        ("MONITORPI_PAGE_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("MONITORPI_PAGE_PORT", "tcp://10.0.0.7:8080"),
        ("MONITORPI_ROOT", "/srv"),
        ("MONITORPI_DASHBOARD__PORT", "80"),
        ("OTHER_BROKR__PORT", "7"),
    ],
)
def test_variables_of_others_are_none_of_our_business(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """What an orchestrator tells of services, what the set-up uses, another service's."""
    monkeypatch.setenv(variable, value)

    assert load(Service.CLOUD_BRIDGE, ExampleSettings).common.broker.port == 1883


def test_each_mistake_of_the_environment_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that should be a table hides no other mistake."""
    monkeypatch.setenv("MONITORPI_CLOUD_BRIDGE__RULES", "syn-flood")
    monkeypatch.setenv("MONITORPI_BROKER__PORT", "many")
    (tmp_path / "secrets" / "cloud_bridge__interfaces").write_text("eth0")

    port, interfaces, rules = sorted(problems(), key=lambda line: line.split(": ")[1])

    way = "write it as JSON; one key of a table is MONITORPI_CLOUD_BRIDGE__KEY"
    assert port.startswith("MONITORPI_BROKER__PORT: broker.port: ")
    assert interfaces.endswith(f"cloud_bridge__interfaces: cloud_bridge.interfaces: {way}")
    assert rules == f"MONITORPI_CLOUD_BRIDGE__RULES: cloud_bridge.rules: {way}"


def test_a_secret_never_stands_in_an_error(tmp_path: Path) -> None:
    """The value of a wrong secret is not shown."""
    file = written(tmp_path, "[cloud-bridge]\nwrite_key = 123454321\n")

    assert "123454321" not in problems(file)[0]


def test_a_secret_is_one_by_its_type_and_by_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that holds a password is called ``url``; what is no secret is shown."""

    class Told(Section):
        url: Annotated[SecretStr, AfterValidator(_never)]

    class Telling(Section):
        told: dict[str, Told] = Field(default_factory=dict)
        least: Annotated[str, AfterValidator(_never)] = "x"

    file = written(tmp_path, "[notifier]\nleast = 'HERE'\ntold = { me = { url = 'HIDDEN' } }\n")
    monkeypatch.setenv("MONITORPI_NOTIFIER__TOLD__YOU__URL", "HIDDEN")
    (tmp_path / "secrets" / "notifier__told__them__url").write_text("HIDDEN")

    with pytest.raises(ConfigurationError) as raised:
        load(Service.NOTIFIER, Telling, file=file)
    (tmp_path / "secrets" / "notifier__least").write_text("HIDDEN")
    with pytest.raises(ConfigurationError) as again:
        load(Service.NOTIFIER, Telling, file=file)

    assert len(raised.value.lines) == 4
    assert "HIDDEN" not in "".join([*raised.value.lines, *again.value.lines])
    assert any("(not 'HERE')" in line for line in raised.value.lines)


def _never(_: object) -> object:
    raise ValueError("no")


def test_an_unusable_secret_is_not_taken_as_absent(tmp_path: Path) -> None:
    """A secret that cannot be read or is no text is an error with the file's name."""
    (tmp_path / "secrets" / "broker__password").write_bytes(b"\xff\xfe")
    (tmp_path / "secrets" / "dangling").symlink_to(tmp_path / "nowhere")

    lines = problems()

    assert any("broker__password: not UTF-8 text" in line for line in lines)
    assert any("dangling: cannot be read (No such file or directory)" in line for line in lines)
