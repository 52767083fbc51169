"""Which cells of a notebook a piece of code needs, found by the names that they share.

The analysis reads code and does not run it. When in doubt it takes a cell too many: a method call
or a call with an argument counts as a change of that object.

Source: program slicing, M. Weiser 1984: https://doi.org/10.1109/TSE.1984.5010248
"""

import ast
import builtins
import functools
import symtable
from collections.abc import Iterable, Sequence
from typing import NamedTuple

BUILTINS = frozenset(dir(builtins))
# Calls on these change no argument, unless the function's name ends in "_".
PURE_MODULES = {"evaluation", "math", "np", "plots", "torch"}
UNCONDITIONAL = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef)


class Names(NamedTuple):
    """The names in a piece of code, apart from those of Python itself."""

    bound: frozenset[str]  # assigned, imported or defined at the top level
    surely_bound: frozenset[str]  # those of them that do not depend on a condition
    imported: frozenset[str]
    used: frozenset[str]  # with a value from before
    changed: frozenset[str]  # objects that the code may change in place
    functions: dict[str, "Names"]  # what the functions and classes use and change when called


@functools.lru_cache(maxsize=4096)
def names_in(source: str) -> Names | None:
    """Return the names in the source of a cell, None if it cannot be parsed."""
    try:
        return _names(parse(source).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse(source: str) -> ast.Module:
    """Return the syntax tree of a cell's source; IPython's own syntax may stand in it.

    Raises:
        SyntaxError: and ValueError, RecursionError or MemoryError, if it cannot be parsed.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(source))


def needed_cells(sources: Sequence[str], needed: Iterable[str]) -> list[int]:
    """Return the indices of the cells that give these names their values, in order.

    Args:
        sources: of the code cells, in the order in which they run.
        needed: the names.
    """
    cells = [names_in(source) for source in sources]
    functions: dict[str, Names] = {}
    for names in filter(None, cells):
        functions |= names.functions
    imported = frozenset().union(*(names.imported for names in cells if names))
    needed, found = _with_calls(needed, functions)[0], []
    for index in reversed(range(len(cells))):
        names = cells[index]
        if names is None:
            continue
        used, changed = _with_calls(names.used, functions)
        if needed & (names.bound | ((names.changed | changed) - imported)):
            needed = (needed - names.surely_bound) | used
            found.append(index)
    return found[::-1]


def _with_calls(used: Iterable[str], functions: dict[str, Names]) -> tuple[set[str], set[str]]:
    """Add what the functions among the names use; return all used and all changed names."""
    todo, used, changed = list(used), set(), set()
    while todo:
        name = todo.pop()
        if name not in used:
            used.add(name)
            if name in functions:
                todo += functions[name].used
                changed |= functions[name].changed
    return used, changed


def _names(statements: Sequence[ast.stmt]) -> Names:
    bound, surely, imported, used, changed = set(), set(), set(), set(), set()
    functions = {}
    for node in statements:
        table = symtable.symtable(ast.unparse(_Generators().visit(node)), "cell", "exec")
        globals_ = _globals_in(table)
        inner = {name for name in _changed_in(node) if name in globals_}
        used |= globals_ - surely
        own = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        bound |= own
        imported |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_imported()}
        if function := _function_name(node):
            functions[function] = Names(*[frozenset()] * 3, frozenset(globals_), inner, {})
        else:
            changed |= inner
        surely |= own if isinstance(node, UNCONDITIONAL) else set()
    return Names(*map(frozenset, (bound, surely, imported, used, changed)), functions)


class _Generators(ast.NodeTransformer):
    """Replace comprehensions by generators, whose names stay their own in Python 3.12 and later.

    Source: PEP 709, https://peps.python.org/pep-0709/
    """

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def _globals_in(table: symtable.SymbolTable) -> set[str]:
    """Return the top-level names that code refers to, also within its functions."""
    top = table.get_type() == "module"
    found = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (top or symbol.is_global())
    }
    return found.union(*(_globals_in(child) for child in table.get_children())) - BUILTINS


def _changed_in(node: ast.AST) -> set[str]:
    return set().union(*(_changed_by(part) for part in ast.walk(node)))


def _changed_by(node: ast.AST) -> set[str]:
    """Return the names of objects that one node of the tree may change in place."""
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return {_root(node)}
    if not isinstance(node, ast.Call):
        return set()
    function = node.func
    last = function.attr if isinstance(function, ast.Attribute) else _root(function)
    if _root(function) in PURE_MODULES and not last.endswith("_"):
        return set()
    if isinstance(function, ast.Name) and function.id in BUILTINS - {"setattr", "next"}:
        return set()
    receiver = [function.value] if isinstance(function, ast.Attribute) else []
    given = [part.value if isinstance(part, ast.Starred) else part for part in node.args]
    given += [keyword.value for keyword in node.keywords]
    return {_root(part) for part in receiver + given}


def _root(node: ast.AST) -> str:
    """Return the name that an expression such as `a.b[0].c` starts from, "" if there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _function_name(node: ast.stmt) -> str:
    """Return the name of the function or class that a statement defines, "" if it does not."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    is_lambda = isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
    return _root(node.targets[0]) if is_lambda else ""
