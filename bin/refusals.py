"""The sentences that the console refuses with, found in the sources where they are raised. Read by bin/catalogue.py.

``Invalid("No group {name}.", name=name)``: the text may stand in the call, or reach it by way of a variable,
a constant or a helper whose parameter is called ``message``, ``detail`` or ``hint``. It is followed there; an f-string
is a fault: no catalogue can hold it.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter

# The parameters that take a text which a person reads.
_TAKING = ("template", "detail", "message", "hint")
# What carries such a text to where it is told, beside the errors themselves.
_CARRYING = frozenset({"FieldError", "Fault", "Unreached", "Finding", "NotStarted", "Dropped", "Notice", "UnusableKey"})
# These give a sentence that is found elsewhere, or the words of another program.
_GIVING = frozenset({"Sentence", "joined", "all_of", "str"})
# A text that goes through more variables and helpers than this is put together, whatever else it is.
_DEEPEST = 3
_RESERVED = frozenset({"code", "errors", "extra"})


@dataclass
class _Module:
    """What a source says by its names: the parameters of its functions and classes, its constants, its imports."""

    tree: ast.Module
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


class Refusals:
    """Reads ``sources``, syntax trees by dotted name. ``found`` holds the module and the text of each, ``faults`` where
    one is put together in the code, or has other placeholders than values."""

    def __init__(self, sources: Mapping[str, ast.Module]) -> None:
        self.found: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self._modules = {name: _Module(tree) for name, tree in sources.items()}
        self._errors = {"OpsconsoleError"}
        for _round in range(2):
            # A class may stand in a module that is read before that of its base.
            for module in self._modules.values():
                self._read_names(module)
        for name, module in self._modules.items():
            if module.parameters.get("Sentence"):
                # Where sentences are made from any text that comes in.
                continue
            for node in ast.walk(module.tree):
                if isinstance(node, ast.FunctionDef):
                    self._read_calls(name, node.body, node)
            self._read_calls(name, [one for one in module.tree.body if not isinstance(one, ast.FunctionDef)], None)

    def _read_names(self, module: _Module) -> None:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                self._read_class(module, node)
            elif isinstance(node, ast.FunctionDef):
                words = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                module.functions[node.name] = node
                told = {"message", "hint"} if "message" in words else set()
                if isinstance(node.returns, ast.Name) and node.returns.id in self._errors | _CARRYING:
                    told = set(_TAKING)
                module.parameters[node.name] = tuple(
                    one if one in told or one not in _TAKING else "" for one in words if one not in {"self", "cls"}
                )
            elif isinstance(node, ast.ImportFrom) and node.module:
                module.imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}
        for statement in module.tree.body:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and statement.value:
                module.constants[target.id] = statement.value

    def _read_class(self, module: _Module, node: ast.ClassDef) -> None:
        if self._errors.intersection([node.name, *(getattr(base, "id", "") for base in node.bases)]):
            self._errors.add(node.name)
            module.parameters[node.name] = ("detail",)
        elif node.name == "Sentence":
            module.parameters[node.name] = ("template",)
        elif node.name in _CARRYING:
            made = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
            fields = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
            taken = [*made.args.posonlyargs, *made.args.args][1:] if made else []
            words = [one.arg for one in taken] or [getattr(one, "id", "") for one in fields]
            module.parameters[node.name] = tuple(words)

    def _read_calls(self, name: str, body: list[ast.stmt], function: ast.FunctionDef | None) -> None:
        for call in _calls(body):
            called = self._called(name, call.func)
            words = self._parameters(name, call.func)
            given = dict(zip(words, call.args, strict=False)) | {one.arg: one.value for one in call.keywords if one.arg}
            for word in _TAKING:
                if word in words and word in given:
                    self._read(name, function, given[word])
            if called in self._errors or called == "Sentence":
                self._check_values(name, function, call)

    def _called(self, name: str, function: ast.expr) -> str:
        if isinstance(function, ast.Name):
            return self._modules[name].imports.get(function.id, ("", function.id))[1]
        return function.attr if isinstance(function, ast.Attribute) else ""

    def _parameters(self, name: str, function: ast.expr) -> tuple[str, ...]:
        """Returns the parameters of what is called where they are those of a text, else none."""
        module = self._modules[name]
        if isinstance(function, ast.Name):
            source, called = module.imports.get(function.id, (name, function.id))
            return self._modules[source].parameters.get(called, ()) if source in self._modules else ()
        if not isinstance(function, ast.Attribute):
            return ()
        if isinstance(function.value, ast.Name) and function.value.id in module.imports:
            source = ".".join(module.imports[function.value.id])
            if source in self._modules:
                return self._modules[source].parameters.get(function.attr, ())
        # A method: that of this module, else the one of its name that takes a text.
        own = module.parameters.get(function.attr)
        others = (one.parameters.get(function.attr, ()) for one in self._modules.values())
        return own or next((words for words in others if "message" in words), ())

    def _read(self, name: str, function: ast.FunctionDef | None, text: ast.expr, depth: int = 0) -> None:
        """Takes down the constants that ``text`` may come to."""
        parts = _parts(text)
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value:
            self.found.append((name, text.value))
        elif isinstance(text, ast.Name):
            self._read_variable(name, function, text.id, depth)
        elif parts:
            for part in parts:
                self._read(name, function, part, depth)
        elif isinstance(text, ast.Call) and self._called(name, text.func) not in _GIVING:
            self._read_answers(name, text, depth)
        elif isinstance(text, ast.JoinedStr | ast.BinOp):
            self._blame(name, text)

    def _read_answers(self, name: str, call: ast.Call, depth: int) -> None:
        source, called = self._modules[name].imports.get(ast.unparse(call.func), (name, self._called(name, call.func)))
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            source = ".".join(self._modules[name].imports.get(call.func.value.id, (name,)))
        made = self._modules[source].functions.get(called) if source in self._modules else None
        if made is None or depth > _DEEPEST:
            self._blame(name, call)
            return
        for node in ast.walk(made):
            if isinstance(node, ast.Return) and node.value is not None:
                self._read(name, made, node.value, depth + 1)

    def _read_variable(self, name: str, function: ast.FunctionDef | None, variable: str, depth: int) -> None:
        values = list(_assigned(function, variable)) if function is not None else []
        if not values:
            source, variable = self._modules[name].imports.get(variable, (name, variable))
            module = self._modules.get(source)
            if module is not None and variable in module.constants:
                self._read(source, None, module.constants[variable], depth)
        for value in values:
            self._read(name, function, value, depth + 1) if depth <= _DEEPEST else self._blame(name, value)

    def _check_values(self, name: str, function: ast.FunctionDef | None, call: ast.Call) -> None:
        """A placeholder without its value would fail when somebody is refused, a value without a place be lost."""
        values = {one.arg for one in call.keywords if one.arg} - _RESERVED
        if not values or not call.args:
            return
        given = call.args[0]
        made = list(_assigned(function, given.id)) if isinstance(given, ast.Name) and function else [given]
        for one in made:
            if not isinstance(one, ast.Constant) or set(_places(one.value)) != values:
                self._blame(name, call)

    def _blame(self, name: str, node: ast.expr) -> None:
        self.faults.append(f"{name}:{node.lineno}: {ast.unparse(node)[:100]}")


def _calls(body: list[ast.stmt]) -> Iterator[ast.Call]:
    """Yields the calls in ``body``, without those of functions defined in it."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            continue
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Call):
                yield node
            waiting += [one for one in ast.iter_child_nodes(node) if not isinstance(one, ast.FunctionDef)]


def _parts(text: ast.expr) -> list[ast.expr]:
    """Returns the texts of which ``text`` is one: both sides of a choice, what a table holds."""
    if isinstance(text, ast.IfExp):
        return [text.body, text.orelse]
    if isinstance(text, ast.BoolOp | ast.Dict):
        return list(text.values)
    if isinstance(text, ast.Subscript):
        return [text.value]
    if isinstance(text, ast.Call) and isinstance(text.func, ast.Attribute) and text.func.attr == "get":
        return [text.func.value, *text.args[1:]]
    return []


def _assigned(function: ast.FunctionDef, variable: str) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.NamedExpr) and variable in {getattr(one, "id", None) for one in targets}:
            yield node.value


def _places(template: object) -> Iterator[str]:
    for _text, name, form, _conversion in Formatter().parse(str(template)):
        if name is not None:
            yield name
            yield from _places(form or "")
