"""Smaller sizes for a KernelBench problem: its module-level integer constants are cut before get_inputs sees them.

`cpu`: batch at most 4, dimensions of 4095 and more divided by 8, spatial sizes above 64 divided by 4. A factor: everything above 64, and the
batch, divided by it. What a smaller constant of the module divided before, it still divides.
"""
import ast
import math
import re

from .errors import TraceError

BATCH = re.compile(r"batch|^(b|bs|bsz)$", re.I)
SPATIAL = re.compile(r"height|width|depth|length|spatial|image|^(h|w|d|l)(_?in)?$|^(seq|input_size|dim[123])", re.I)


def parse(text):
    """None, "cpu" or a factor above 1."""
    if not text:
        return None
    if text == "cpu":
        return "cpu"
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not factor > 1 or math.isinf(factor):
        raise TraceError("--scale '%s': expected cpu or a factor above 1" % text)
    return factor


def apply(source, scale, path):
    """(source with cut constants, what was cut as text)."""
    if scale is None:
        return source, ""
    tree = ast.parse(source, path)
    found = [entry for statement in tree.body if isinstance(statement, (ast.Assign, ast.AnnAssign)) for entry in constants_in(statement)]
    values = {value for _, _, value in found}
    changes, notes = [], []
    for name, node, value in found:
        small = cut(name, value, scale, values)
        if small != value:
            changes.append((node, small))
            notes.append("%s %d -> %d" % (name, value, small))
    if not changes:
        raise TraceError("%s: --scale found no module-level integer constant to cut; edit the sizes in the file instead" % path)
    return replace(source, changes), ", ".join(notes)


def constants_in(statement):
    """(name, node, value) of `NAME = 4096`, `NAME = 64 * 64`, `NAME = (4096, 64)`."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    if not isinstance(target, ast.Name) or statement.value is None:
        return []
    nodes = statement.value.elts if isinstance(statement.value, (ast.Tuple, ast.List)) else [statement.value]
    return [(target.id, node, value) for node in nodes for value in [integer(node)] if value is not None]


def integer(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Add, ast.Sub, ast.Pow, ast.FloorDiv)):
        left, right = integer(node.left), integer(node.right)
        if left is None or right is None or isinstance(node.op, ast.Pow) and not 0 <= right <= 62 or right == 0 and \
                isinstance(node.op, ast.FloorDiv):
            return None
        return {ast.Mult: left * right, ast.Add: left + right, ast.Sub: left - right, ast.Pow: left ** min(abs(right), 62),
                ast.FloorDiv: left // (right or 1)}[type(node.op)]
    return None


def cut(name, value, scale, others):
    if scale == "cpu":
        small = min(value, 4) if BATCH.search(name) else value // 8 if value >= 4095 else \
            value // 4 if SPATIAL.search(name) and value > 64 else value
    else:
        small = max(1, int(value / scale)) if value > 64 or BATCH.search(name) else value
    if small == value or BATCH.search(name):
        return small
    step = 1
    for other in others:
        if 1 < other <= 64 and value % other == 0 and step * other // math.gcd(step, other) <= small:
            step = step * other // math.gcd(step, other)
    return max(step, small // step * step)


def replace(source, changes):
    lines = source.splitlines(keepends=True)
    for node, value in sorted(changes, key=lambda c: (c[0].lineno, c[0].col_offset), reverse=True):
        first, last = node.lineno - 1, node.end_lineno - 1
        head = lines[first].encode()[:node.col_offset].decode()
        tail = lines[last].encode()[node.end_col_offset:].decode()
        lines[first:last + 1] = [head + str(value) + tail]
    return "".join(lines)
