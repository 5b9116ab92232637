"""What the docstrings below a model's attributes say, for schemas and reference pages.

Pydantic can read them itself (``use_attribute_docstrings``), but does so whenever the classes are
made: each start of each service would parse its own source for sentences that only these pages
print, a fifth of what its start costs.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import core_schema


def description(kind: type[BaseModel], name: str) -> str:
    """Return what is said of a field: its own description, or the docstring below it."""
    return kind.model_fields[name].description or _docstrings(kind).get(name, "")


@functools.cache
def _docstrings(kind: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each attribute, those of the class before its parents'."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if "__pydantic_fields__" not in vars(one) or one.__module__.startswith("pydantic"):
            continue
        for before, after in itertools.pairwise(_body(one)):
            match before, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = inspect.cleandoc(text)
                case ast.AnnAssign(target=ast.Name(id=name)), _:
                    found.pop(name, None)  # declared anew, and not a word about it
    return found


def _body(kind: type[BaseModel]) -> list[ast.stmt]:
    """Return the statements of a class, as they stand in its source."""
    return _classes(kind.__module__)[kind.__qualname__]


@functools.cache
def _classes(module: str) -> dict[str, list[ast.stmt]]:
    """Return the statements of all classes of a module, by qualified name; it is read once."""
    found: dict[str, list[ast.stmt]] = {}

    def enter(node: ast.AST, within: str) -> None:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.ClassDef(name=name, body=body):
                    found[within + name] = body
                    enter(child, f"{within}{name}.")
                case ast.FunctionDef(name=name):
                    enter(child, f"{within}{name}.<locals>.")
                case ast.stmt():
                    enter(child, within)

    enter(ast.parse(inspect.getsource(sys.modules[module])), "")
    return found


class DescribedSchema(GenerateJsonSchema):
    """JSON Schema whose properties say what the attributes' docstrings say."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Add the descriptions to the schema of a model."""
        made = super().model_schema(schema)
        kind: type[BaseModel] = schema["cls"]
        properties: dict[str, Any] = made.get("properties", {})
        for name, field in kind.model_fields.items():
            shown = properties.get(field.alias if self.by_alias and field.alias else name)
            text = description(kind, name)
            if shown is not None and text:
                shown.setdefault("description", text)
        return made
