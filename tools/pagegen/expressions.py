# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of templates as C expressions.

A variable is a C pointer (a parameter declared as one, a loop variable, a `set`)
or a plain C value (a parameter such as `int64_t id`). UI_REF and UI_AT of
ui/html.h make a pointer of a member and a value of a variable, whatever it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from jinja2 import nodes

from templates import Template, TemplateError
from writer import c_string

CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*$")
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
ARITHMETIC = {nodes.Add: "+", nodes.Sub: "-", nodes.Mul: "*"}
FILTER = re.compile(r"\bui_filter_([a-z0-9_]+)\s*\(")


@dataclass
class Variable:
    c: str
    is_pointer: bool = True
    is_parameter: bool = False
    is_used: bool = False


@dataclass
class Loop:
    index: str
    count: str


@dataclass
class Scope:
    """Names visible at a place; a child sees its parents' names."""

    variables: dict[str, Variable] = field(default_factory=dict)
    loop: Loop | None = None
    parent: Scope | None = None

    def find(self, name: str) -> Variable | None:
        if name in self.variables:
            self.variables[name].is_used = True
            return self.variables[name]
        return self.parent.find(name) if self.parent else None

    def find_loop(self) -> Loop | None:
        return self.loop or (self.parent.find_loop() if self.parent else None)

    def child(self) -> Scope:
        return Scope(parent=self)


class Expressions:
    """Compiles the expressions of one template in one scope."""

    def __init__(self, template: Template, scope: Scope, filters: set[str]):
        self.template = template
        self.scope = scope
        self.filters = filters

    def refuse(self, node: nodes.Node, what: str) -> TemplateError:
        return self.template.error(node, what)

    # ---- values ----

    def value(self, node: nodes.Expr) -> str:
        """A C expression of any printable type."""
        if isinstance(node, nodes.Name):
            return self.name(node)
        if isinstance(node, nodes.Getattr):
            return self.member(node)
        if isinstance(node, nodes.Const):
            return self.constant(node)
        if isinstance(node, nodes.Filter):
            return self.filter(node)
        if isinstance(node, nodes.CondExpr):
            if node.expr2 is None:
                raise self.refuse(node, "an 'if' inside an expression needs its 'else'")
            return f"({self.truth(node.test)} ? {self.value(node.expr1)} : {self.value(node.expr2)})"
        if isinstance(node, (nodes.Compare, nodes.And, nodes.Or, nodes.Not)):
            return self.truth(node)
        if isinstance(node, nodes.Neg):
            return f"-({self.value(node.node)})"
        if type(node) in ARITHMETIC:
            return f"({self.value(node.left)} {ARITHMETIC[type(node)]} {self.value(node.right)})"
        raise self.refuse(node, f"'{type(node).__name__}' is not supported in templates of ours")

    def name(self, node: nodes.Name) -> str:
        variable = self.scope.find(node.name)
        if variable is not None:
            return f"UI_AT({variable.c})" if variable.is_pointer else variable.c
        if CONSTANT.match(node.name):
            return node.name  # an enum's or macro's
        raise self.refuse(node, f"unknown name '{node.name}'")

    def member(self, node: nodes.Getattr) -> str:
        if isinstance(node.node, nodes.Name) and node.node.name == "loop":
            return self.loop_member(node)
        return f"{self.pointer(node.node)}->{node.attr}"

    def pointer(self, node: nodes.Expr) -> str:
        """A C pointer to the struct (or value) that a path names."""
        if isinstance(node, nodes.Name):
            variable = self.scope.find(node.name)
            if variable is None:
                raise self.refuse(node, f"unknown name '{node.name}'")
            return variable.c if variable.is_pointer else f"UI_REF({variable.c})"
        if isinstance(node, nodes.Getattr) and not self.is_loop(node):
            return f"UI_REF({self.member(node)})"
        raise self.refuse(node, "only a name or a path such as 'page.build' can stand here")

    def is_loop(self, node: nodes.Getattr) -> bool:
        return isinstance(node.node, nodes.Name) and node.node.name == "loop"

    def loop_member(self, node: nodes.Getattr) -> str:
        loop = self.scope.find_loop()
        if loop is None:
            raise self.refuse(node, "'loop' outside a loop")
        members = {"index": f"({loop.index} + 1)", "index0": loop.index, "first": f"({loop.index} == 0)",
                   "last": f"({loop.index} + 1 == {loop.count})", "length": loop.count}
        if node.attr not in members:
            raise self.refuse(node, f"unknown 'loop.{node.attr}'")
        return members[node.attr]

    def constant(self, node: nodes.Const) -> str:
        if isinstance(node.value, bool):
            return "true" if node.value else "false"
        if isinstance(node.value, str):
            return f"UI_LITERAL({c_string(node.value)})"
        if isinstance(node.value, int):
            return f"INT64_C({node.value})"  # so that arithmetic with it has room
        raise self.refuse(node, f"the constant {node.value!r} is not supported")

    def filter(self, node: nodes.Filter) -> str:
        if node.name == "length":
            return f"{self.pointer(node.node)}->count"
        if node.name not in self.filters:
            raise self.refuse(node, f"unknown filter '{node.name}'")
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise self.refuse(node, f"the filter '{node.name}' takes plain arguments only")
        arguments = [self.value(node.node)] + [self.filter_argument(argument) for argument in node.args]
        return f"ui_filter_{node.name}({', '.join(arguments)})"

    def filter_argument(self, node: nodes.Expr) -> str:
        if not isinstance(node, nodes.Const):
            raise self.refuse(node, "the arguments of a filter must be literals")
        return c_string(node.value) if isinstance(node.value, str) else self.constant(node)

    # ---- conditions ----

    def condition(self, node: nodes.Expr) -> str:
        """A C condition in its parentheses."""
        text = self.truth(node)
        return text if text.startswith("(") else f"({text})"

    def truth(self, node: nodes.Expr) -> str:
        """A C expression that is true or false."""
        if isinstance(node, (nodes.And, nodes.Or)):
            operator = "&&" if isinstance(node, nodes.And) else "||"
            return f"({self.truth(node.left)} {operator} {self.truth(node.right)})"
        if isinstance(node, nodes.Not):
            return f"!{self.truth(node.node)}"
        if isinstance(node, nodes.Compare):
            return self.compare(node)
        if isinstance(node, nodes.Name):
            variable = self.scope.find(node.name)
            if variable is not None and variable.is_pointer and variable.is_parameter:
                return f"({variable.c} != NULL)"
        if isinstance(node, nodes.Getattr) and self.is_loop(node):
            return self.loop_member(node)
        return f"ui_is_true({self.value(node)})"

    def compare(self, node: nodes.Compare) -> str:
        if len(node.ops) != 1 or node.ops[0].op not in COMPARE:
            raise self.refuse(node, "compare two things by ==, !=, <, <=, > or >=")
        operand = node.ops[0]
        left, right = self.value(node.expr), self.value(operand.expr)
        if operand.op in ("eq", "ne"):
            return f"{'!' if operand.op == 'ne' else ''}ui_is_equal({left}, {right})"
        return f"({left} {COMPARE[operand.op]} {right})"


def known_filters(header: str) -> set[str]:
    """Names of the filters that a header declares."""
    return set(FILTER.findall(header))
