# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads templates: Jinja2's own parser, and our declarations in comments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, nodes

DECLARATION = re.compile(
    r'\{#-?\s*(page|macro)\s+([a-z_][a-z0-9_]*)\s*\(([^)]*)\)\s*(?:from\s+"([^"]+)"\s*)?-?#\}')
PARAMETER = re.compile(r"(?P<type>(?:struct\s+)?\w+(?:\s*\*|\s)\s*)(?P<name>[a-z_][a-z0-9_]*)$")


class TemplateError(Exception):
    """A mistake in a template; printed as FILE:LINE: error: MESSAGE."""

    def __init__(self, path: Path, line: int, message: str):
        super().__init__(f"{path}:{line}: error: {message}")


@dataclass
class Parameter:
    c_type: str  # "struct overview *", "int ", ends in '*' or a space
    name: str

    @property
    def is_pointer(self) -> bool:
        return self.c_type.endswith("*")

    @property
    def declaration(self) -> str:
        return ("const " if self.is_pointer else "") + self.c_type + self.name


@dataclass
class Declaration:
    """A page or a macro, as C sees it."""

    path: Path
    line: int
    kind: str
    name: str
    parameters: list[Parameter]
    header: str | None

    @property
    def arguments(self) -> str:
        return ", ".join(["struct buf *out"] + [parameter.declaration for parameter in self.parameters])


@dataclass
class Template:
    path: Path
    body: list[nodes.Node]
    page: Declaration | None = None
    macro_declarations: dict[str, Declaration] = field(default_factory=dict)
    macros: dict[str, nodes.Macro] = field(default_factory=dict)
    blocks: dict[str, nodes.Block] = field(default_factory=dict)
    parent: str | None = None

    def error(self, node: nodes.Node | int, message: str) -> TemplateError:
        return TemplateError(self.path, node if isinstance(node, int) else line_of(node), message)


def line_of(node: nodes.Node) -> int:
    """Jinja2 gives some nodes no line: then that of the first node inside which has one."""
    return node.lineno or next((line for child in node.iter_child_nodes() if (line := line_of(child))), 0)


def parse_parameters(path: Path, line: int, text: str) -> list[Parameter]:
    parameters = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = PARAMETER.match(part)
        if match is None:
            raise TemplateError(path, line, f"'{part}' is no C parameter such as 'struct overview *page'")
        c_type = " ".join(match["type"].replace("*", " * ").split())
        parameters.append(Parameter(c_type if c_type.endswith("*") else c_type + " ", match["name"]))
    return parameters


class Loader:
    """Finds templates beside the one that names them, then in the shared folders."""

    def __init__(self, folders: list[Path]):
        self.folders = folders
        self.loaded: dict[Path, Template] = {}
        self.environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)

    def find(self, name: str, user: Template, node: nodes.Node) -> Template:
        for folder in [user.path.parent, *self.folders]:
            if (folder / name).exists():
                return self.load(folder / name)
        raise user.error(node, f"there is no template '{name}' beside this one or in "
                         + ", ".join(str(folder) for folder in self.folders))

    def load(self, path: Path) -> Template:
        if path not in self.loaded:
            self.loaded[path] = self.read(path)
        return self.loaded[path]

    def read(self, path: Path) -> Template:
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TemplateError(path, error.object.count(b"\n", 0, error.start) + 1, "this is not UTF-8") from error
        try:
            tree = self.environment.parse(source)
        except TemplateSyntaxError as error:
            raise TemplateError(path, error.lineno, error.message or "syntax error") from error
        template = Template(path, tree.body)
        self.read_declarations(template, source)
        template.blocks = {block.name: block for block in tree.find_all(nodes.Block)}
        for node in tree.body:
            if isinstance(node, nodes.Macro):
                template.macros[node.name] = node
            elif isinstance(node, nodes.Extends):
                if not isinstance(node.template, nodes.Const):
                    raise template.error(node, "the parent's name must be a literal text")
                template.parent = node.template.value
        return template

    def read_declarations(self, template: Template, source: str) -> None:
        for match in DECLARATION.finditer(source):
            line = source.count("\n", 0, match.start()) + 1
            kind, name, parameters, header = match.groups()
            declaration = Declaration(template.path, line, kind, name,
                                      parse_parameters(template.path, line, parameters), header)
            if kind == "macro":
                template.macro_declarations[name] = declaration
            elif template.page is not None:
                raise TemplateError(template.path, line, "a template declares one page")
            else:
                template.page = declaration
