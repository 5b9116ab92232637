#!/bin/sh
# pydantic-settings 2.16.3, BaseSettings with lists in variables of the environment
#
# Expected: as of pydantic itself, one error that holds every mistake (ValidationError.errors()), so
#   that a person mends all of them at once.
# Seen: the text of a list or table that is no JSON raises SettingsError while the sources are still
#   read. It names that one field; a second list of the same kind, and a number out of its range,
#   are told only when the first is mended.
# For a program that lists mistakes: give such fields as texts and let pydantic validate them, or
#   read the variables by yourself.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pydantic==2.14.3 pydantic-settings==2.16.3
"$folder/venv/bin/python" - <<'PYTHON'
import os
import sys

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsError


class Plain(BaseModel):
    ports: list[int] = []
    hosts: list[str] = []
    rate: int = Field(default=1, gt=0)


class FromVariables(BaseSettings):
    ports: list[int] = []
    hosts: list[str] = []
    rate: int = Field(default=1, gt=0)


given = {"ports": "80,443", "hosts": "a,b", "rate": "-1"}
try:
    Plain.model_validate(given)
    together = set()
except ValidationError as error:
    together = {problem["loc"][0] for problem in error.errors()}

os.environ.update({name.upper(): text for name, text in given.items()})
one_by_one = []
for _ in given:
    try:
        FromVariables()
        break
    except SettingsError as error:
        named = [name for name in given if f'"{name}"' in str(error)]
        one_by_one.append(named)
        for name in named:
            del os.environ[name.upper()]
    except ValidationError as error:
        one_by_one.append([problem["loc"][0] for problem in error.errors()])
        break

print("of one model, all at once:", sorted(together))
print("of variables, one error after the other:", one_by_one)
as_found = together == {"ports", "hosts", "rate"} and one_by_one == [["ports"], ["hosts"], ["rate"]]
sys.exit(0 if as_found else 1)
PYTHON
