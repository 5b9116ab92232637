"""Variables and secrets as tables: which texts are JSON, and what wins."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field, SecretStr

from monitorpi_common.settings import Section
from monitorpi_common.settings_keys import merged, tables_of


class Limit(Section):
    """A table in a table of tables."""

    floor: float = 1.0


class Table(Section):
    """A table."""

    port: int = 1
    names: list[str] = Field(default_factory=list)
    pair: tuple[str, ...] | None = None
    password: SecretStr | None = None
    limits: dict[str, Limit] = Field(default_factory=dict)


class Settings(Section):
    """All of them."""

    site: Annotated[str, AfterValidator(str.strip)] = "home"
    table: Table = Table()
    maybe: Table | None = None


@pytest.mark.parametrize(
    ("texts", "tables"),
    [
        ({"SITE": "attic"}, {"site": "attic"}),
        ({"site": '{"a": 1}'}, {"site": '{"a": 1}'}),
        ({"table": '{"port": 7}'}, {"table": {"port": 7}}),
        ({"table__PORT": "7"}, {"table": {"port": "7"}}),
        ({"maybe__port": "7"}, {"maybe": {"port": "7"}}),
        ({"maybe": "null"}, {"maybe": None}),
        ({"table__names": '["a"]'}, {"table": {"names": ["a"]}}),
        ({"table__names": "a,b"}, {"table": {"names": "a,b"}}),
        ({"table__names": "5"}, {"table": {"names": "5"}}),
        ({"table__names": "[a"}, {"table": {"names": "[a"}}),
        ({"table__pair": '["a"]'}, {"table": {"pair": ["a"]}}),
        ({"table__password": "[1]"}, {"table": {"password": "[1]"}}),
        ({"table__password": ""}, {"table": {"password": ""}}),
        ({"table__limits__a-b__floor": "5"}, {"table": {"limits": {"a-b": {"floor": "5"}}}}),
        ({"table__limits__x": '{"floor": 5}'}, {"table": {"limits": {"x": {"floor": 5}}}}),
        ({"table__port": "7", "table__port__deep": "x", "table__port__deep__er": "y"},
         {"table": {"port": "7"}}),
        ({"table__none": "x"}, {"table": {"none": "x"}}),
        ({"table__none__deeper": "x"}, {"table": {"none": {"deeper": "x"}}}),
        ({"none": "x", "none__deeper": "x", "site__deeper": "x"}, {}),
    ],
)  # fmt: skip
def test_a_text_is_what_its_key_takes(texts: dict[str, str], tables: dict[str, Any]) -> None:
    """JSON only where a list or table belongs; what nobody takes deeper down is not left out."""
    assert tables_of(Settings, texts) == tables


@pytest.mark.parametrize("turned", [False, True])
def test_a_key_wins_over_its_table_in_any_order(*, turned: bool) -> None:
    """The order of an environment is nobody's."""
    texts = {"table": '{"port": 7, "names": ["a"]}', "table__port": "8", "table__limits__x": "{}"}
    given = dict(reversed(texts.items())) if turned else texts

    expected = {"port": "8", "names": ["a"], "limits": {"x": {}}}
    assert tables_of(Settings, given) == {"table": expected}


def test_what_is_no_table_has_no_keys() -> None:
    """It is left as it is, for whoever validates it."""
    assert tables_of(Settings, {"table": "here", "table__port": "8"}) == {"table": "here"}


def test_tables_are_merged_key_by_key() -> None:
    """Lists and texts are replaced as a whole."""
    weaker = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2], "c": {"d": 1}}
    stronger = {"a": {"y": {"w": 3}}, "b": [3], "c": 5, "e": None}

    expected = {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [3], "c": 5, "e": None}
    assert merged(stronger, weaker) == expected
