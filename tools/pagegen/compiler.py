# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of templates as C statements. Parents, blocks and includes are
resolved here, so that a page is one C function and its HTML can be followed
from the first byte to the last; macros are C functions of their own."""

from __future__ import annotations

from jinja2 import nodes

from expressions import Expressions, Loop, Scope, Variable
from position import Position, PositionError, Where
from templates import Declaration, Loader, Template
from writer import Writer

INCLUDES_MAX = 16

Macro = tuple[Template, nodes.Macro, Declaration]


class Compiler:
    """Compiles the body of one page or macro."""

    def __init__(self, unit: Unit, declaration: Declaration):
        self.unit = unit
        self.writer = Writer()
        self.position = Position()
        self.names: dict[str, int] = {"out": 1}
        self.overrides: dict[str, list[tuple[Template, nodes.Block]]] = {}  # most derived first
        self.supers: list[tuple[str, int]] = []  # blocks that are being written, and which of them
        self.includes = 0
        self.scope = Scope()
        for parameter in declaration.parameters:
            self.names[parameter.name] = 1
            self.scope.variables[parameter.name] = Variable(parameter.name, parameter.is_pointer, True)

    # ---- helpers ----

    def expressions(self, template: Template) -> Expressions:
        return Expressions(template, self.scope, self.unit.filters)

    def c_name(self, name: str) -> str:
        """A C name that shadows nothing."""
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}_{self.names[name]}"

    def statement(self, template: Template, node: nodes.Node, text: str) -> None:
        self.writer.statement(template.path, node.lineno, text)

    def require_text(self, template: Template, node: nodes.Node, what: str) -> None:
        if self.position.where is not Where.TEXT:
            raise template.error(node, f"{what} gives HTML and cannot stand in {self.position.describe()}")

    # ---- pages ----

    def page(self, template: Template) -> None:
        """The outermost parent's body, with the blocks of those that extend it."""
        while True:
            for name, block in template.blocks.items():
                self.overrides.setdefault(name, []).append((template, block))
            self.unit.take_imports(template)
            if template.parent is None:
                break
            node = next(node for node in template.body if isinstance(node, nodes.Extends))
            template = self.unit.loader.find(template.parent, template, node)
            if self.includes > INCLUDES_MAX:
                raise template.error(node, "templates extend each other in a circle")
            self.includes += 1
        self.includes = 0
        self.body(template, template.body)
        if self.position.where is not Where.TEXT:
            raise template.error(template.body[-1], f"the page ends in {self.position.describe()}")

    def body(self, template: Template, body: list[nodes.Node]) -> None:
        for node in body:
            write = getattr(self, "write_" + type(node).__name__.lower(), None)
            if write is None:
                raise template.error(node, f"'{type(node).__name__}' is not supported in templates of ours")
            write(template, node)

    def nested(self, template: Template, body: list[nodes.Node], scope: Scope) -> None:
        outer, self.scope = self.scope, scope
        self.body(template, body)
        self.scope = outer

    def text_of(self, declaration: Declaration, head: str) -> str:
        """The whole C function."""
        unused = "".join(f"  (void) {variable.c};\n" for variable in self.scope.variables.values()
                         if variable.is_parameter and not variable.is_used)
        return f"{head}({declaration.arguments})\n{{\n{unused}{self.writer.result()}}}\n"

    # ---- output ----

    def write_output(self, template: Template, node: nodes.Output) -> None:
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                self.literal(template, part)
            else:
                self.value(template, part)

    def literal(self, template: Template, node: nodes.TemplateData) -> None:
        line = node.lineno
        for piece in node.data.splitlines(keepends=True):
            try:
                self.position = self.position.feed(piece)
            except PositionError as error:
                raise template.error(line, str(error)) from error
            line += 1
        self.writer.text(node.data)

    def value(self, template: Template, node: nodes.Expr) -> None:
        if isinstance(node, nodes.Concat):
            for part in node.nodes:
                self.value(template, part)
        elif isinstance(node, nodes.CondExpr):
            is_empty = node.expr2 is None or (isinstance(node.expr2, nodes.Const) and node.expr2.value == "")
            self.branches(template, node, [(node.test, node.expr1)], [] if is_empty else node.expr2)
        elif isinstance(node, nodes.Call):
            self.call(template, node)
        elif isinstance(node, nodes.Filter) and node.name in self.unit.macros_of(template):
            self.call_macro(template, node, node.name, [node.node, *node.args], node.kwargs)
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            self.writer.text(self.escaped_constant(template, node))
        else:
            try:
                escaper = self.position.escaper()
            except PositionError as error:
                raise template.error(node, str(error)) from error
            self.statement(template, node, f"{escaper}(out, {self.expressions(template).value(node)});")
            self.position = self.position.after_value()

    def escaped_constant(self, template: Template, node: nodes.Const) -> str:
        """A literal text printed by {{ }} is text, not HTML."""
        text = node.value
        for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
            text = text.replace(character, entity)
        try:
            if text:
                self.position.escaper()
                self.position = self.position.feed(text)
        except PositionError as error:
            raise template.error(node, str(error)) from error
        return text

    # ---- branches and loops ----

    def branch(self, template: Template, content: list[nodes.Node] | nodes.Expr) -> Position:
        """Writes one branch from the present position; returns where it ends."""
        begin = self.position
        if isinstance(content, nodes.Expr):
            self.value(template, content)
        else:
            self.nested(template, content, self.scope.child())
        end, self.position = self.position, begin
        return end

    def branches(self, template: Template, node: nodes.Node,
                 tests: list[tuple[nodes.Expr, list[nodes.Node] | nodes.Expr]],
                 otherwise: list[nodes.Node] | nodes.Expr) -> None:
        end: Position | None = None
        for index, (test, content) in enumerate(tests):
            condition = self.expressions(template).condition(test)
            if index > 0:
                self.writer.close("")
            self.statement(template, test, f"{'' if index == 0 else '} else '}if {condition} {{")
            self.writer.depth += 1
            end = self.merge(template, node, end, self.branch(template, content))
        if otherwise:
            self.writer.close("} else {")
            self.writer.depth += 1
        end = self.merge(template, node, end, self.branch(template, otherwise))
        self.writer.close()
        self.position = end

    def merge(self, template: Template, node: nodes.Node, end: Position | None, other: Position) -> Position:
        merged = other if end is None else end.merge(other)
        if merged is None:
            raise template.error(node, "the branches of this 'if' end in different places: "
                                 f"{end.describe()} and {other.describe()}")
        return merged

    def write_if(self, template: Template, node: nodes.If) -> None:
        tests = [(node.test, node.body)] + [(branch.test, branch.body) for branch in node.elif_]
        self.branches(template, node, tests, node.else_)

    def write_for(self, template: Template, node: nodes.For) -> None:
        if not isinstance(node.target, nodes.Name) or node.test is not None or node.recursive:
            raise template.error(node, "a loop reads '{% for NAME in LIST %}'")
        list_name, index, item = self.c_name("list"), self.c_name("i"), self.c_name(node.target.name)
        items = self.expressions(template).pointer(node.iter)
        with self.writer.block(template.path, node.lineno, "{"):
            self.statement(template, node, f"__auto_type {list_name} = {items};")
            with self.writer.block(template.path, node.lineno,
                                   f"for (size_t {index} = 0; {index} < {list_name}->count; {index}++) {{"):
                self.statement(template, node, f"__auto_type {item} = UI_REF({list_name}->items[{index}]);")
                scope = self.scope.child()
                scope.variables[node.target.name] = Variable(item)
                scope.loop = Loop(index, f"{list_name}->count")
                self.loop_body(template, node, node.body, scope)
                if not scope.variables[node.target.name].is_used:
                    self.statement(template, node, f"(void) {item};")
            if node.else_:
                with self.writer.block(template.path, node.lineno, f"if ({list_name}->count == 0) {{"):
                    self.loop_body(template, node, node.else_, self.scope.child())

    def loop_body(self, template: Template, node: nodes.For, body: list[nodes.Node], scope: Scope) -> None:
        begin = self.position
        self.nested(template, body, scope)
        if self.position != begin:
            raise template.error(node, f"the loop begins in {begin.describe()} and ends in "
                                 f"{self.position.describe()}")

    def write_assign(self, template: Template, node: nodes.Assign) -> None:
        """The variable lives to the end of the branch or loop that it stands in."""
        if not isinstance(node.target, nodes.Name):
            raise template.error(node, "'set' gives one name a value")
        if node.target.name in self.scope.variables:
            raise template.error(node, f"'{node.target.name}' has a value here already")
        expressions = self.expressions(template)
        is_path = isinstance(node.node, (nodes.Name, nodes.Getattr)) and not (
            isinstance(node.node, nodes.Getattr) and expressions.is_loop(node.node))
        value = expressions.pointer(node.node) if is_path else self.argument_text(template, node.node)
        name = self.c_name(node.target.name)
        self.statement(template, node, f"__auto_type {name} = {value};")
        self.scope.variables[node.target.name] = Variable(name, is_pointer=is_path)

    # ---- templates in templates ----

    def write_block(self, template: Template, node: nodes.Block) -> None:
        self.write_override(node.name, self.overrides.get(node.name, [(template, node)]), 0)

    def write_override(self, name: str, chain: list[tuple[Template, nodes.Block]], depth: int) -> None:
        template, block = chain[depth]
        self.supers.append((name, depth))
        begin = self.position
        self.nested(template, block.body, self.scope.child())
        self.supers.pop()
        end = begin.merge(self.position)
        if end is None:
            raise template.error(block, f"the block '{name}' begins in {begin.describe()} and ends in "
                                 f"{self.position.describe()}")
        self.position = end

    def write_include(self, template: Template, node: nodes.Include) -> None:
        if not isinstance(node.template, nodes.Const):
            raise template.error(node, "the name of what is included must be a literal text")
        self.includes += 1
        if self.includes > INCLUDES_MAX:
            raise template.error(node, "templates include each other too deeply")
        included = self.unit.loader.find(node.template.value, template, node)
        self.unit.take_imports(included)
        self.nested(included, included.body, self.scope.child())
        self.includes -= 1

    def write_extends(self, template: Template, node: nodes.Extends) -> None:
        raise template.error(node, "'extends' must stand at the top of a page, not of what is included")

    def write_fromimport(self, template: Template, node: nodes.FromImport) -> None:
        """Done already (take_imports)."""

    def write_macro(self, template: Template, node: nodes.Macro) -> None:
        """Written as a function of its own when somebody calls it."""

    # ---- calls ----

    def call(self, template: Template, node: nodes.Call) -> None:
        if not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
            raise template.error(node, "only macros can be called, with plain arguments")
        if node.node.name == "super":
            name, depth = self.supers[-1] if self.supers else ("", 0)
            chain = self.overrides.get(name, [])
            if depth + 1 >= len(chain):
                raise template.error(node, "there is no parent's block for super() here")
            self.write_override(name, chain, depth + 1)
            return
        self.call_macro(template, node, node.node.name, node.args, node.kwargs)

    def call_macro(self, template: Template, node: nodes.Node, name: str, arguments: list[nodes.Expr],
                   keywords: list[nodes.Keyword]) -> None:
        macro = self.unit.macros_of(template).get(name)
        if macro is None:
            raise template.error(node, f"unknown macro '{name}'")
        self.require_text(template, node, f"the macro '{name}'")
        declaration = macro[2]
        given = self.match_arguments(template, node, macro, arguments, keywords)
        values = ["out"]
        for parameter, argument in zip(declaration.parameters, given):
            expressions = self.expressions(template)
            if parameter.is_pointer:
                values.append(expressions.pointer(argument))
            elif parameter.c_type == "struct str ":
                values.append(self.argument_text(template, argument))
            else:
                values.append(expressions.value(argument))
        self.statement(template, node, f"{self.unit.use_macro(macro)}({', '.join(values)});")

    def match_arguments(self, template: Template, node: nodes.Node, macro: Macro, arguments: list[nodes.Expr],
                        keywords: list[nodes.Keyword]) -> list[nodes.Expr]:
        """By place, by name, or the default, one for each parameter."""
        names = [parameter.name for parameter in macro[2].parameters]
        defaults = macro[1].defaults
        by_name = dict(zip(names[len(names) - len(defaults):], defaults))
        by_name.update(zip(names, arguments))
        by_name.update((keyword.key, keyword.value) for keyword in keywords)
        missing = [name for name in names if name not in by_name]
        if missing or len(arguments) > len(names) or len(by_name) > len(names):
            raise template.error(node, f"the macro '{macro[1].name}' takes ({', '.join(names)})")
        return [by_name[name] for name in names]

    def argument_text(self, template: Template, node: nodes.Expr) -> str:
        """A `struct str`; what is put together or filtered lives in a buffer."""
        expressions = self.expressions(template)
        if isinstance(node, nodes.Concat):
            parts = node.nodes
        elif isinstance(node, nodes.Filter):
            parts = [node]
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            return expressions.value(node)
        elif isinstance(node, (nodes.Name, nodes.Getattr)):
            return f"UI_STR({expressions.value(node)})"
        else:
            return expressions.value(node)
        buffer = self.c_name("text")
        self.statement(template, node, f"CLEANUP_BUF struct buf {buffer} = {{ 0 }};")
        for part in parts:
            self.statement(template, part, f"ui_put_plain(&{buffer}, {expressions.value(part)});")
        return f"buf_str(&{buffer})"


class Unit:
    """One C file: the pages of a room and the macros that they use."""

    def __init__(self, loader: Loader, filters: set[str]):
        self.loader = loader
        self.filters = filters
        self.imports: dict[str, dict[str, Macro]] = {}  # by template: what it can call
        self.used: dict[str, Macro] = {}  # by C name, in order of first use

    def take_imports(self, template: Template) -> None:
        if str(template.path) in self.imports:
            return
        macros = {name: self.macro(template, template, node, name) for name, node in template.macros.items()}
        self.imports[str(template.path)] = macros
        for node in template.body:
            if not isinstance(node, nodes.FromImport):
                continue
            source = self.loader.find(getattr(node.template, "value", ""), template, node)
            self.take_imports(source)
            for name in node.names:
                inner, alias = name if isinstance(name, tuple) else (name, name)
                if inner not in source.macros:
                    raise template.error(node, f"{source.path} has no macro '{inner}'")
                macros[alias] = self.macro(source, template, source.macros[inner], inner)

    def macro(self, source: Template, user: Template, node: nodes.Macro, name: str) -> Macro:
        declaration = source.macro_declarations.get(name)
        if declaration is None:
            raise source.error(node, f"the macro '{name}' has no declaration: put "
                               f"{{#- macro {name}(C TYPE NAME, ...) -#}} before it")
        if [argument.name for argument in node.args] != [parameter.name for parameter in declaration.parameters]:
            raise source.error(node, f"the macro '{name}' and its declaration in line {declaration.line} differ")
        return source, node, declaration

    def macros_of(self, template: Template) -> dict[str, Macro]:
        return self.imports.get(str(template.path), {})

    def use_macro(self, macro: Macro) -> str:
        """The C name of a macro, which then is written too."""
        name = f"macro_{macro[0].path.stem.replace('-', '_')}_{macro[1].name}"
        self.used.setdefault(name, macro)
        return name

    def write_page(self, template: Template) -> str:
        compiler = Compiler(self, template.page)
        compiler.page(template)
        return compiler.text_of(template.page, f"void\n{template.page.name}")

    def write_macro(self, name: str) -> str:
        source, node, declaration = self.used[name]
        self.take_imports(source)
        compiler = Compiler(self, declaration)
        compiler.nested(source, node.body, compiler.scope)
        if compiler.position.where is not Where.TEXT:
            raise source.error(node, f"the macro ends in {compiler.position.describe()}")
        return compiler.text_of(declaration, f"static void\n{name}")
