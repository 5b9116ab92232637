"""The file and the secrets directory: what is there twice, unreadable or no file at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr, ValidationError

from monitorpi_common.endpoint import SYSTEM_AUTHORITIES
from monitorpi_common.messages import Service
from monitorpi_common.settings import (
    BrokerSettings,
    CentreSettings,
    CommonSettings,
    ConfigurationError,
    NoSection,
    RemoteBroker,
    Section,
    authority,
    load,
    rehearse,
)
from monitorpi_common.settings_files import MAX_SECRET_BYTES, read_secrets, read_table, why_never

if TYPE_CHECKING:
    from collections.abc import Callable


def lines(call: Callable[[], object]) -> list[str]:
    """Return what is said to be wrong."""
    with pytest.raises(ConfigurationError) as raised:
        call()
    return list(raised.value.lines)


# --- the file -------------------------------------------------------------------------------------


def test_a_file_has_the_own_table_and_what_is_common(tmp_path: Path) -> None:
    """However a table's name is written; a byte order mark is no part of it."""
    file = tmp_path / "one.toml"
    file.write_bytes(b"\xef\xbb\xbfsite = 'x'\n[Cloud-Bridge]\na = 1\n[home_assistant]\nb = 2\n")

    assert read_table(file, Path("/nowhere"), "cloud_bridge") == (
        file, {"site": "x", "cloud_bridge": {"a": 1}},
    )  # fmt: skip
    assert read_table(None, file, "none")[1] == {"site": "x"}
    assert read_table(None, tmp_path / "none", "none") == (None, {})


def test_what_a_file_cannot_be(tmp_path: Path) -> None:
    """One line each."""
    file = tmp_path / "one.toml"

    def said(content: bytes) -> list[str]:
        file.write_bytes(content)
        return lines(lambda: read_table(None, file, "capture"))

    assert said(b"\xff") == [f"{file}: not UTF-8 text: save it as UTF-8"]
    assert said(b"[cloud-bridge]\n[cloud_bridge]\n") == [
        (
            f"{file}: cloud-bridge: the table stands twice, as [cloud-bridge] and as "
            "[cloud_bridge]: put it together"
        )
    ]
    assert said(b"x = " + b"1" * 5000)[0].startswith(f"{file}: not valid TOML: ")
    assert lines(lambda: read_table(tmp_path / "no", file, "capture")) == [
        f"{tmp_path / 'no'}: there is no such file; give an existing one"
    ]


def test_why_a_folder_can_never_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on its way, or a name that is too long; else it can be made."""
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)

    assert why_never(tmp_path) is None
    assert why_never(tmp_path / "a" / "b") is None
    assert why_never(Path("a")) is None
    assert why_never(file / "a" / "b") == f"{file} is no folder"
    assert why_never(tmp_path / "dangling" / "b") == f"{tmp_path / 'dangling'} is no folder"
    assert why_never(tmp_path / ("x" * 300)) == os.strerror(errno.ENAMETOOLONG)


# --- secrets --------------------------------------------------------------------------------------


def test_secrets_are_the_files_that_can_be_keys(tmp_path: Path) -> None:
    """Copies of editors and folders are none; blanks and byte order marks around a text go."""
    (tmp_path / "b").mkdir()
    for name, content in (("a", b"\xef\xbb\xbf x \n"), ("c", b""), ("a~", b"y"), (".a", b"z")):
        (tmp_path / name).write_bytes(content)

    assert read_secrets(tmp_path) == {"a": "x", "c": ""}
    assert read_secrets(tmp_path, is_named=True) == {"a": "x", "c": ""}
    assert read_secrets(tmp_path / "none") == {}
    assert read_secrets(tmp_path / ("x" * 300)) == {}


def test_each_secret_that_cannot_be_used_has_its_line(tmp_path: Path) -> None:
    """All of them at once."""
    (tmp_path / "A").write_text("1")
    (tmp_path / "a").write_text("2")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "c").write_bytes(b"x" * MAX_SECRET_BYTES)
    (tmp_path / "d").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "e").symlink_to(tmp_path / "nowhere")

    assert lines(lambda: read_secrets(tmp_path)) == [
        f"secret {tmp_path / 'a'}: stands there as A, too: remove one",
        f"secret {tmp_path / 'b'}: no file; give one",
        f"secret {tmp_path / 'd'}: larger than 65536 bytes",
        (
            f"secret {tmp_path / 'e'}: cannot be read (No such file or directory); "
            "make it readable for uid 0"
        ),
    ]


@pytest.mark.parametrize(
    ("name", "is_named", "why"),
    [
        ("none", True, "there is no such folder; give an existing one"),
        ("file", True, "no folder; give one"), ("file", False, "no folder; give one"),
        ("loop", True, "cannot be read (Too many levels of symbolic links): run as its owner"),
        ("loop", False, "cannot be read (Too many levels of symbolic links): run as its owner"),
    ],
)  # fmt: skip
def test_a_directory_of_secrets_that_is_none(
    tmp_path: Path, name: str, is_named: bool, why: str
) -> None:
    """One that nobody asked for may be missing; what is there in its place is a mistake."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert lines(lambda: read_secrets(tmp_path / name, is_named=is_named)) == [
        f"secrets directory {tmp_path / name}: {why}"
    ]


# --- variables ------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run without variables of ours, but for an empty directory of secrets."""
    for name in [one for one in os.environ if one.upper().startswith("MONITORPI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MONITORPI_SECRETS_DIR", str(tmp_path))


@pytest.mark.usefixtures("bare")
def test_a_variable_counts_in_any_case_but_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that are no settings: they are read in capitals alone."""
    monkeypatch.setenv("monitorpi_site", "x")
    monkeypatch.setenv("MONITORPI_INSTANCE", "")
    monkeypatch.setenv("other_config", "x")
    common = load(None, NoSection).common
    assert (common.site, common.instance) == ("x", "main")
    assert common.model_fields_set == {"site"}

    monkeypatch.setenv("monitorpi_config", "x")
    monkeypatch.setenv("Monitorpi_Site", "y")
    monkeypatch.setenv("another", "y")
    assert lines(lambda: load(None, NoSection)) == [
        "monitorpi_config: write it as MONITORPI_CONFIG",
        "monitorpi_site: stands there as Monitorpi_Site, too: remove one",
    ]


@pytest.mark.usefixtures("bare")
def test_what_is_nested_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that rehearses says nothing: the one that loads does."""
    deep = "[" * 500 + "]" * 500
    monkeypatch.setenv("MONITORPI_BROKER__CENTRE", f'{{"host": "x", "topics": {deep}}}')
    rehearse(None, NoSection)

    assert len(lines(lambda: load(None, NoSection))) == 1

    monkeypatch.setattr(Section, "model_validate", _too_deep)
    rehearse(None, NoSection)
    assert lines(lambda: load(None, NoSection)) == ["environment or secrets: nested too deeply"]


def _too_deep(_: object) -> object:
    raise RecursionError


# --- brokers elsewhere ----------------------------------------------------------------------------


def test_who_a_site_is_at_a_broker_elsewhere() -> None:
    """With TLS by the machine's own authorities and under the site's name, unless told else."""
    plain = RemoteBroker(host="hub", tls=False, port=7, username="u", password=SecretStr("p"))

    assert plain.account("berlin") == BrokerSettings(
        host="hub", port=7, username="u", password=SecretStr("p")
    )
    found = RemoteBroker(host="hub").account("berlin")
    assert (found.port, found.username, found.password) == (8883, "berlin", None)
    assert found.tls_ca == SYSTEM_AUTHORITIES
    assert RemoteBroker(host="hub", tls_ca=SYSTEM_AUTHORITIES, tls=False).authorities is None


@pytest.mark.parametrize("text", ["", " x", "x ", "a\nb"])
def test_an_account_fits_a_line_of_the_brokers_configuration(text: str) -> None:
    """Names and passwords alike."""
    for given in ({"username": text}, {"password": text}):
        with pytest.raises(ValidationError, match="give one line, without blanks around it"):
            RemoteBroker.model_validate({"host": "hub"} | given)
    assert RemoteBroker(host="hub", username="a b").username == "a b"


@pytest.mark.parametrize(
    ("model", "key", "least", "most"),
    [
        (BrokerSettings, "port", 1, 65535), (RemoteBroker, "port", 1, 65535),
        (BrokerSettings, "keepalive_s", 5, 600), (CentreSettings, "rollup_s", 0, 3600),
    ],
)  # fmt: skip
def test_numbers_have_their_bounds(model: type[Section], key: str, least: int, most: int) -> None:
    """Both ends belong to them."""
    for value in (least, most):
        assert getattr(model.model_validate({"host": "hub", key: value}), key) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            model.model_validate({"host": "hub", key: value})


def test_what_holds_where_nothing_is_said() -> None:
    """Settings stand as they were read; there are as many topics as fit."""
    common = CommonSettings(site="x")
    assert common.model_dump(exclude={"broker"}) == {
        "site": "x", "instance": "main", "state_dir": Path("/var/lib/monitorpi"),
        "heartbeat": None, "log_level": "info", "trust_clock": False,
    }  # fmt: skip
    assert common.broker.model_dump() == {
        "host": "127.0.0.1", "port": 1883, "username": None, "password": None, "keepalive_s": 10,
        "own": None, "tls_ca": None, "centre": None,
    }  # fmt: skip
    with pytest.raises(ValidationError, match="frozen"):
        common.site = "y"  # type: ignore[misc] # that is the point
    centre = CentreSettings(host="hub")
    assert (centre.rollup_s, centre.tls, centre.missing) == (60, True, None)
    assert len(CentreSettings(host="hub", topics=["a"] * 64).topics) == 64
    with pytest.raises(ValidationError, match="at most 64"):
        CentreSettings(host="hub", topics=["a"] * 65)
    assert authority("pi", 7) == "pi:7"
    assert authority("::1", 7) == "[::1]:7"
    assert BrokerSettings(username="x" * 1024).username
    for model in (BrokerSettings, RemoteBroker):
        with pytest.raises(ValidationError, match="at most 1024"):
            model.model_validate({"host": "hub", "username": "x" * 1025})
    with pytest.raises(ValidationError, match="frozen"):
        load_of(Service.CAPTURE).table = 1


def load_of(service: Service) -> object:
    """Return settings with a table of one number."""

    class One(Section):
        table: int = 0

    return load(service, One).section
