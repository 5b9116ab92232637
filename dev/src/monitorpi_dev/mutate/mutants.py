"""All small faults that a module's source can be given, one at a time. Pure.

The operators are those that mutation testing agrees on (DeMillo, Lipton and Sayward 1978; Offutt et
al. 1996): another comparison, operator, connective, constant or truth value, a condition that is
always met or never, a statement left out, an argument left out, another end of a range. What only
people read (docstrings, log lines, texts of errors) and types are left alone.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHER: Final[dict[type[ast.AST], str]] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "*",
    ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "&", ast.LShift: ">>", ast.RShift: "<<",
    ast.And: "or", ast.Or: "and",
}  # fmt: skip
_FOR_PROGRAMMERS: Final = ("encoding", "strict")
"""Arguments that say what is so anyway: UTF-8 on all systems we run on, lists of one length."""
_TWINS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_TEXT_FOR_PEOPLE: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_STATEMENTS: Final = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)
_Edit = tuple[int, int, str]
"""Where it begins and ends in the source, in characters, and what stands there instead."""


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One fault: the text between two places of the source is another."""

    line: int
    """First line of the statement, from 1."""
    last_line: int
    start: int
    """Offset in the source, in characters."""
    end: int
    text: str
    """What stands there instead."""

    def applied(self, source: str) -> str:
        """Return the faulty source."""
        return source[: self.start] + self.text + source[self.end :]

    def describe(self, source: str) -> str:
        """Return the line before and after, as people read it."""
        begin = source.rfind("\n", 0, self.start) + 1
        end = source.find("\n", self.end)
        before = source[begin : end if end >= 0 else None]
        after = (
            source[begin : self.start] + self.text + source[self.end : end if end >= 0 else None]
        )
        return f"{_one_line(before)}  ->  {_one_line(after)}"


NO_CHANGE: Final = Mutant(1, 1, 0, 0, "")
"""The source as it is."""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of the source.

    Raises:
        SyntaxError: the source is no Python.

    """
    return sorted(set(_Finder(source).of_block(ast.parse(source).body)))


class _Finder:
    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def _offset(self, line: int, column: int) -> int:
        """Return where a place lies; columns of the syntax tree count UTF-8 bytes."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end = (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return self._offset(node.lineno, node.col_offset), self._offset(*end)

    def _between(self, left: ast.expr, right: ast.expr, new: str) -> _Edit:
        """Return the replacement of the operator between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        raw = self._source[start:end]
        bare = raw.strip(" ()\n\\")
        at = start + raw.index(bare)
        return at, at + len(bare), new

    def of_block(self, body: list[ast.stmt]) -> Iterator[Mutant]:
        for statement in body:
            if _is_docstring(statement) or _is_for_tools(statement):
                continue
            header_end = statement.end_lineno or statement.lineno
            blocks = _blocks_of(statement)
            if blocks:
                header_end = max(statement.lineno, min(b[0].lineno for b in blocks if b) - 1)
            for start, end, text in self._of_statement(statement):
                if self._source[start:end] != text:
                    yield Mutant(statement.lineno, header_end, start, end, text)
            for block in blocks:
                yield from self.of_block(block)

    def _of_statement(self, statement: ast.stmt) -> Iterator[_Edit]:
        start, end = self._span(statement)
        if isinstance(statement, _STATEMENTS) and not _is_of_module(statement):
            if not _is_text_for_people(statement):
                yield start, end, "pass"
        elif isinstance(statement, ast.Return) and not _is_nothing(statement.value):
            yield start, end, "return None"
        elif isinstance(statement, ast.Continue):
            yield start, end, "break"
        elif isinstance(statement, ast.Break):
            yield start, end, "continue"
        elif isinstance(statement, (ast.If, ast.While)):
            for truth in ("True", "False") if isinstance(statement, ast.If) else ("False",):
                yield *self._span(statement.test), truth
        for expression in _expressions_of(statement):
            yield from self._of_expression(expression)

    def _of_expression(self, node: ast.expr) -> Iterator[_Edit]:
        if isinstance(node, ast.Call) and _is_call_for_people(node):
            return
        yield from self._of_operator(node)
        yield from self._of_value(node)
        for child in ast.iter_child_nodes(node):
            yield from self._of_child(child)

    def _of_operator(self, node: ast.expr) -> Iterator[_Edit]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
                    yield self._between(left, right, _OTHER[type(operator)])
            case ast.BinOp(op=operator) if type(operator) in _OTHER and not _joins_text(node):
                yield self._between(node.left, node.right, _OTHER[type(operator)])
            case ast.BoolOp(op=operator):
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield self._between(left, right, _OTHER[type(operator)])
            case ast.UnaryOp(op=ast.Not()):
                yield *self._span(node), f"bool({ast.unparse(node.operand)})"
            case ast.IfExp():
                yield *self._span(node.test), "True"
                yield *self._span(node.test), "False"

    def _of_value(self, node: ast.expr) -> Iterator[_Edit]:
        match node:
            case ast.Constant(value=bool() as value):
                yield *self._span(node), str(not value)
            case ast.Constant(value=int() | float() as value):
                yield *self._span(node), repr(_other_number(value))
            case ast.Call(func=ast.Name(id=name) as function) if name in _TWINS:
                yield *self._span(function), _TWINS[name]
            case ast.Call(keywords=[_, *_]):
                yield from self._without_arguments(node)
            case ast.Lambda(body=body):
                yield *self._span(body), "None"

    def _of_child(self, child: ast.AST) -> Iterator[_Edit]:
        if isinstance(child, ast.expr) and not isinstance(child, ast.JoinedStr):
            yield from self._of_expression(child)
        elif isinstance(child, ast.comprehension):
            for test in child.ifs:
                yield *self._span(test), "True"
            for inner in (child.iter, *child.ifs):
                yield from self._of_expression(inner)
        elif isinstance(child, ast.keyword):
            yield from self._of_expression(child.value)

    def _without_arguments(self, call: ast.Call) -> Iterator[_Edit]:
        for left_out in call.keywords:
            if left_out.arg is not None and left_out.arg not in _FOR_PROGRAMMERS:
                kept = [keyword for keyword in call.keywords if keyword is not left_out]
                yield *self._span(call), ast.unparse(ast.Call(call.func, call.args, kept))


def _blocks_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(statement, "handlers", [])]
    blocks += [case.body for case in getattr(statement, "cases", [])]
    return [block for block in blocks if isinstance(block, list) and block]


def _expressions_of(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what a statement computes itself, not what stands in its blocks."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from statement.args.defaults
        yield from (one for one in statement.args.kw_defaults if one is not None)
        return
    if isinstance(statement, (ast.ClassDef, ast.Import, ast.ImportFrom)):
        return
    if isinstance(statement, ast.AnnAssign):
        if statement.value is not None:
            yield statement.value
        return
    if isinstance(statement, ast.Raise):  # the text is for people
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr


def _other_number(value: float) -> float:
    """Return a number that somebody can tell from it: 3601.0 s are 3600.0 s to every network."""
    return value * 2 if isinstance(value, float) and value else value + 1


def _is_nothing(value: ast.expr | None) -> bool:
    """Return whether a result is as false as None: where it is True or False, that is changed."""
    match value:
        case None | ast.Constant(value=None | bool() | 0 | "" | b""):
            return True
        case ast.Tuple(elts=[]) | ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id="frozenset" | "set" | "dict"), args=[], keywords=[]):
            return True
    return False


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_for_tools(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.Assert():
            return True
        case ast.Delete(targets=targets):  # names that are not used, for the lint
            return all(isinstance(target, ast.Name) for target in targets)
    return False


def _is_of_module(statement: ast.stmt) -> bool:
    """Return whether a statement is the module's own: most of its names are needed to import it."""
    return statement.col_offset == 0


def _is_text_for_people(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and _is_call_for_people(statement.value)
    )


def _is_call_for_people(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in _TEXT_FOR_PEOPLE
        and "log" in ast.unparse(call.func.value).lower()
    )


def _joins_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes)))
        for side in (node.left, node.right)
    )
