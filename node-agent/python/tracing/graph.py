"""Recorded passes to one graph: integers solved over the axes, dead operations dropped, values named; the graph's JSON; its replay."""
import math

import torch

from . import solve
from .errors import TraceError
from .record import Node, Ref, refs_in

DTYPES = {name: getattr(torch, name) for name in (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32", "int16", "int8", "uint8", "bool")
    if hasattr(torch, name)}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_name(dtype, where):
    if dtype not in NAMES:
        raise TraceError("%s: element type %s is not supported, expected one of %s" % (where, dtype, ", ".join(sorted(DTYPES))))
    return NAMES[dtype]


class Recording:
    """One recorded pass, ready for comparison with the others: live nodes only, outputs named."""

    def __init__(self, recorder, outputs, output_names):
        self.inputs, self.values = recorder.inputs, recorder.values
        names = [recorder.read(t) for t in outputs]
        names = self.separate(recorder, outputs, names)
        self.nodes = live(recorder.nodes, names)
        self.outputs = names
        self.rename(names, output_names)

    def separate(self, recorder, outputs, names):
        """An output that is an input, or another output, becomes a value of its own."""
        seen = set(recorder.inputs)
        result = []
        for tensor, name in zip(outputs, names):
            if name in seen:
                (name,) = recorder.emit("aten.clone.default", {"self": Ref(name)}, [tensor])
            seen.add(name)
            result.append(name)
        return result

    def rename(self, names, output_names):
        taken = set(output_names)
        used = {r.name for n in self.nodes for r in refs_in(list(n.arguments.values()))} | set(names)
        new = dict(zip(names, output_names))
        for node in self.nodes:
            for name in node.outputs:
                if name not in used:
                    new[name] = ""
                elif name not in new:
                    fresh = name
                    while fresh in taken:
                        fresh += "_"
                    new[name] = fresh
        self.values = {new.get(k, k): v for k, v in self.values.items() if new.get(k, k)}
        for node in self.nodes:
            node.outputs = [(new[name], name) for name in node.outputs]
            node.arguments = {k: substitute(v, new) for k, v in node.arguments.items()}
        self.outputs = list(output_names)


def live(nodes, outputs):
    """Dead operations dropped (what in-place variants, running statistics and unused factories leave behind)."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in needed for name in node.outputs):
            needed |= {r.name for r in refs_in(list(node.arguments.values()))}
            kept.append(node)
    return kept[::-1]


def substitute(value, names):
    if isinstance(value, Ref):
        return Ref(names.get(value.name, value.name))
    if isinstance(value, list):
        return [substitute(item, names) for item in value]
    return value


def unify(recordings, bindings):
    """The graph's JSON from passes under several bindings of the axes; an error names the first operation where they disagree."""
    first = recordings[0]
    for other, binding in zip(recordings[1:], bindings[1:]):
        for position, (a, b) in enumerate(zip(first.nodes, other.nodes)):
            if a.op != b.op:
                raise TraceError("%s: operation %d is %s with %s but %s with %s: which operations run must not depend on the axes"
                                 % (a.where, position, a.op, show(bindings[0]), b.op, show(binding)))
        if len(first.nodes) != len(other.nodes):
            raise TraceError("%d operations run with %s but %d with %s: which operations run must not depend on the axes"
                             % (len(first.nodes), show(bindings[0]), len(other.nodes), show(binding)))
    used = {r.name for n in first.nodes for r in refs_in(list(n.arguments.values()))}
    merge = Merge(bindings)

    def value(name, where, recorded=None):
        seen = [r.values[recorded[i] if recorded else name] for i, r in enumerate(recordings)]
        return {"name": name, "dtype": dtype_name(seen[0][0], where), "shape": [merge.integer([s[1][d] for s in seen], where, "a shape")
                                                                               for d in range(len(seen[0][1]))]}

    nodes = []
    for position, node in enumerate(first.nodes):
        peers = [r.nodes[position] for r in recordings]
        where = "%s: operation %s" % (node.where, node.op)
        arguments = {k: merge.argument([p.arguments[k] for p in peers], where, k) for k in node.arguments}
        outputs = [value(name, where) if name else {"name": "", "dtype": "float32", "shape": []} for name, _ in node.outputs]
        nodes.append({"op": node.op, "args": arguments, "out": outputs})
    graph = {"version": 1, "inputs": [value(name, "input '%s'" % name) for name in first.inputs], "nodes": nodes,
             "outputs": first.outputs}
    return graph, used | set(first.outputs)


def show(binding):
    return ", ".join("%s=%d" % item for item in binding.items())


class Merge:
    def __init__(self, bindings):
        self.bindings, self.known = bindings, {}

    def integer(self, values, where, what):
        if all(v == values[0] for v in values):
            return values[0]
        key = tuple(values)
        if key not in self.known:
            self.known[key] = solve.expression(values, self.bindings)
        if self.known[key] is None:
            seen = "; ".join("%d with %s" % (v, show(b)) for v, b in zip(values[:3], self.bindings))
            raise TraceError("%s: %s is no integer expression over the axes (%s)" % (where, what, seen))
        return self.known[key]

    def argument(self, values, where, name):
        first, what = values[0], "argument '%s'" % name
        if any(isinstance(v, bool) != isinstance(first, bool) or type(v).__name__ != type(first).__name__ for v in values):
            raise TraceError("%s: %s changes its kind with the axes" % (where, what))
        if isinstance(first, Ref):
            if any(v.name != first.name for v in values):
                raise TraceError("%s: %s is a different tensor depending on the axes" % (where, what))
            return {"v": first.name}
        if isinstance(first, list):
            if any(len(v) != len(first) for v in values):
                raise TraceError("%s: %s changes its length with the axes" % (where, what))
            return [self.argument([v[i] for v in values], where, name) for i in range(len(first))]
        if isinstance(first, torch.dtype):
            return {"dtype": dtype_name(first, where)}
        if isinstance(first, int) and not isinstance(first, bool):
            found = self.integer(values, where, what)
            return found if isinstance(found, int) else {"e": found}
        if isinstance(first, float):
            return self.real(values, where, what)
        if any(v != first for v in values):
            raise TraceError("%s: %s depends on the axes (%r, %r)" % (where, what, first, next(v for v in values if v != first)))
        return first

    def real(self, values, where, what):
        first = values[0]
        if all(v == first or (v != v and first != first) for v in values):
            if math.isfinite(first):
                return first
            return {"f": "NaN" if first != first else "Infinity" if first > 0 else "-Infinity"}
        if all(v == int(v) for v in values):
            return {"e": self.integer([int(v) for v in values], where, what)}
        raise TraceError("%s: %s is a real number that depends on the axes (%r, %r); only integer expressions can be recorded"
                         % (where, what, first, values[1]))


def bound(value, axes, known=None):
    """An argument of the JSON under bound axes, ready to be passed to torch."""
    if isinstance(value, list):
        return [bound(item, axes, known) for item in value]
    if not isinstance(value, dict):
        return value
    if "v" in value:
        return known[value["v"]]
    if "e" in value:
        return eval_integer(value["e"], axes)
    return DTYPES[value["dtype"]] if "dtype" in value else float(value["f"])


def eval_integer(text, axes):
    return text if isinstance(text, int) else int(eval(text, {"__builtins__": {}}, dict(axes)))  # our own output: + - * // only


def replay(graph, axes, inputs):
    """Runs the graph with torch's operations; checks every recorded shape and type on the way."""
    known = dict(zip((v["name"] for v in graph["inputs"]), inputs))
    for node in graph["nodes"]:
        arguments = {k: bound(v, axes, known) for k, v in node["args"].items()}
        result = run_operation(node["op"], arguments)
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        for value, tensor in zip(node["out"], results):
            if not value["name"]:
                continue
            shape = [eval_integer(extent, axes) for extent in value["shape"]]
            if list(tensor.shape) != shape or NAMES[tensor.dtype] != value["dtype"]:
                raise TraceError("operation %s: replayed, '%s' is %s %s, but the graph says %s %s: this form of the operation cannot be "
                                 "traced" % (node["op"], value["name"], NAMES[tensor.dtype], list(tensor.shape), value["dtype"], shape))
            known[value["name"]] = tensor
    return [known[name] for name in graph["outputs"]]


def run_operation(op, arguments):
    if op == "kevolve.literal.default":
        return torch.tensor(arguments["values"], dtype=arguments["dtype"]).reshape(arguments["size"])
    if op == "aten.view.default":
        return arguments["self"].reshape(arguments["size"])
    if op in ("aten.full.default",):
        return torch.full(arguments["size"], arguments["fill_value"], dtype=arguments["dtype"])
    namespace, name, overload = op.split(".")
    func = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    positional = [a.name for a in func._schema.arguments if not a.kwarg_only]  # torch 1.13 takes no `self` by name
    return func(*[arguments[name] for name in positional if name in arguments],
                **{name: value for name, value in arguments.items() if name not in positional})
