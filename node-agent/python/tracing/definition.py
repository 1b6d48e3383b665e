"""A FlashInfer-Trace Definition: its reference is run under several bindings of the variable axes and recorded."""
import json

import torch

from . import graph as graphs
from . import solve
from .errors import TraceError
from .primitives import primitives
from .record import Recorder


def load(path):
    def unique(pairs):
        keys = [k for k, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise TraceError("%s: key '%s' occurs twice in one object" % (path, key))
        return dict(pairs)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file, object_pairs_hook=unique)
    except json.JSONDecodeError as problem:
        raise TraceError("%s:%d:%d: %s" % (path, problem.lineno, problem.colno, problem.msg))
    except UnicodeDecodeError as problem:
        raise TraceError("%s: not UTF-8 text (%s)" % (path, problem))


def field(value, name, kind, where):
    if not isinstance(value, dict) or name not in value:
        raise TraceError("%s: field '%s' is missing" % (where, name))
    if not isinstance(value[name], kind):
        raise TraceError("%s: field '%s' is a %s, expected %s" % (where, name, type(value[name]).__name__, kind.__name__))
    return value[name]


def bind(definition, variable, where):
    """All axes' values under a binding of the variable ones."""
    known, open_axes = dict(variable), {}
    for name, axis in definition["axes"].items():
        if axis.get("type") == "const":
            known[name] = axis["value"]
        elif axis.get("type") == "expr":
            open_axes[name] = axis["expression"]
    while open_axes:
        ready = [n for n, e in open_axes.items() if evaluable(e, known)]
        if not ready:
            raise TraceError("%s: axes.%s: expression '%s' reads an axis that is not declared" % ((where,) + next(iter(open_axes.items()))))
        for name in ready:
            text = open_axes.pop(name)
            value = eval(text, {"__builtins__": {}}, known)
            if value != int(value):
                raise Indivisible("%s: axes.%s: expression '%s' gives %s, expected an integer" % (where, name, text, value))
            known[name] = int(value)
    return known


class Indivisible(TraceError):
    pass


def evaluable(text, known):
    try:
        eval(text, {"__builtins__": {}}, known)
        return True
    except NameError:
        return False
    except Exception as problem:
        raise TraceError("expression '%s': %s" % (text, problem))


def draw(spec, shape, distribution):
    """A fresh input on torch's own generator."""
    dtype = graphs.DTYPES[spec["dtype"]]
    kind, parameters = next(iter(distribution.items())) if distribution else (None, None)
    if dtype == torch.bool:
        return torch.rand(shape) < 0.5
    if kind == "ascending":  # along the last dimension
        low, high = parameters
        n = shape[-1] if shape else 1
        steps = (torch.arange(n, dtype=torch.float64) + torch.rand(shape, dtype=torch.float64)) / n
        return (low + (high - low) * steps).floor().to(dtype) if not dtype.is_floating_point else (low + (high - low) * steps).to(dtype)
    if kind == "constant":
        return torch.full(shape, parameters, dtype=dtype)
    if kind == "integers" or not dtype.is_floating_point:
        low, high = parameters if kind == "integers" else (0, 8)
        return torch.randint(low, high, shape).to(dtype)
    if kind == "uniform":
        return (torch.rand(shape) * (parameters[1] - parameters[0]) + parameters[0]).to(dtype)
    mean, deviation = parameters if kind == "normal" else (0.0, 1.0)
    return (torch.randn(shape) * deviation + mean).to(dtype)


class Definition:
    def __init__(self, value, path):
        self.value, self.path = value, path
        axes, inputs, outputs = (field(value, k, dict, path) for k in ("axes", "inputs", "outputs"))
        self.variable = [name for name, axis in axes.items() if field(axis, "type", str, "%s: axes.%s" % (path, name)) == "var"]
        self.outputs = list(outputs)
        self.source_name = "%s reference" % path
        self.distributions = value.get("x_kevolve", {}).get("distributions", {})
        for role, tensors in (("inputs", inputs), ("outputs", outputs)):
            for name, spec in tensors.items():
                where = "%s: %s.%s" % (path, role, name)
                dtype = field(spec, "dtype", str, where)
                if dtype not in graphs.DTYPES:
                    raise TraceError("%s: dtype '%s', expected one of %s" % (where, dtype, ", ".join(graphs.DTYPES)))
        self.run = self.load_reference(field(value, "reference", str, path))

    def load_reference(self, source):
        scope = {"__name__": "reference"}
        try:
            exec(compile(source, self.source_name, "exec"), scope)
        except SyntaxError as problem:
            raise TraceError("%s:%s: %s" % (self.source_name, problem.lineno, problem.msg))
        if not callable(scope.get("run")):
            raise TraceError("%s: defines no top-level function 'run'" % self.source_name)
        return scope["run"]

    def shapes(self, axes):
        result = []
        for name, spec in self.value["inputs"].items():
            shape = spec.get("shape")
            result.append([] if shape is None else [self.extent(s, axes, name) for s in shape])
        return result

    def extent(self, text, axes, name):
        if isinstance(text, int):
            return text
        if not evaluable(text, axes):
            raise TraceError("%s: inputs.%s.shape: axis '%s' is not declared" % (self.path, name, text))
        return int(eval(text, {"__builtins__": {}}, axes))

    def fresh_inputs(self, axes):
        return [draw(spec, shape, self.distributions.get(name))
                for (name, spec), shape in zip(self.value["inputs"].items(), self.shapes(axes))]

    def record(self, axes):
        inputs = self.fresh_inputs(axes)
        recorder = Recorder(self.source_name)
        for name, tensor in zip(self.value["inputs"], inputs):
            recorder.add_input(name, tensor)
        with torch.no_grad(), primitives(recorder), recorder:
            outputs = self.flatten(self.run(*inputs))
        return graphs.Recording(recorder, outputs, self.outputs)

    def flatten(self, returned):
        outputs = list(returned) if isinstance(returned, (tuple, list)) else \
            [returned[k] for k in self.outputs] if isinstance(returned, dict) else [returned]
        if len(outputs) != len(self.outputs) or not all(isinstance(t, torch.Tensor) for t in outputs):
            raise TraceError("%s: run returns %s, expected %d tensors (%s)" % (
                self.source_name, [type(t).__name__ for t in outputs], len(self.outputs), ", ".join(self.outputs)))
        return outputs

    def trace(self):
        """The graph's JSON, checked by replaying it under a binding of its own."""
        graph, step, first = self.solve_axes()
        self.verify(graph, {name: value + 12 * step for name, value in first.items()})
        for small in (1, 3):  # where broadcasting and clamped slices differ; a reference may refuse such sizes
            if self.variable and small * step < min(first.values()):
                self.verify(graph, {name: small * step for name in first}, may_refuse=True)
        return graph

    def solve_axes(self):
        failure = None
        for step in (1, 2, 8, 64):  # references that need divisible axes fail on primes
            bindings = solve.choose_bindings(self.variable, step)
            try:
                recordings = [self.record(bind(self.value, b, self.path)) for b in bindings]
            except Indivisible as problem:
                failure = failure or problem
                continue
            except TraceError:
                raise
            except Exception as problem:  # the reference's own
                failure = failure or problem
                continue
            return graphs.unify(recordings, bindings)[0], step, bindings[0]
        if isinstance(failure, TraceError):
            raise failure
        raise TraceError("%s: %s: %s" % (locate(failure, self.source_name), type(failure).__name__, failure))

    def verify(self, graph, variable, may_refuse=False):
        with torch.no_grad():
            try:
                axes = bind(self.value, variable, self.path)
                inputs = self.fresh_inputs(axes)
                expected = self.flatten(self.run(*[t.clone() for t in inputs]))
            except Exception:
                if may_refuse:
                    return
                raise
            found = graphs.replay(graph, axes, inputs)
        for name, a, b in zip(self.outputs, found, expected):
            spec = self.value["outputs"][name]
            declared = None if spec.get("shape") is None else [self.extent(s, axes, name) for s in spec["shape"]]
            if graphs.NAMES[b.dtype] != spec["dtype"] or (declared is not None and list(b.shape) != declared):
                if may_refuse:
                    return
                raise TraceError("%s: outputs.%s: run gives %s %s, the definition says %s %s" % (
                    self.path, name, graphs.NAMES[b.dtype], list(b.shape), spec["dtype"], declared))
            compare(name, a, b, self.path)


def compare(name, found, expected, where):
    wide = (lambda t: t.double() if t.dtype.is_floating_point else t)
    close = torch.allclose(wide(found), wide(expected), atol=1e-4, rtol=1e-4, equal_nan=True)
    if found.shape != expected.shape or not close:
        raise TraceError("%s: output '%s' of the recorded graph differs from the reference's on fresh inputs: what runs depends on the "
                         "data, or an operation is recorded wrongly" % (where, name))


def locate(problem, source_name):
    """file:line of the innermost frame in the specification's own source."""
    where, trace = source_name, problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == source_name:
            where = "%s:%d" % (source_name, trace.tb_lineno)
        trace = trace.tb_next
    return where
