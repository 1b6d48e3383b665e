"""Records the ATen operations of one forward pass as a functional graph.

A dispatch-level log of every operation, so that whatever Python does to shapes is followed. In-place operations become their functional
form: each tensor knows the root it is a view of and the chain of views that leads there; a write goes back through that chain (slice_scatter
and its kind), and other views of the root are derived again when they are read next.
"""
import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import canonical, constants
from .errors import TraceError

RANDOM = {
    "rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "bernoulli_", "normal", "normal_",
    "normal_functional", "uniform", "uniform_", "native_dropout", "multinomial", "exponential", "exponential_", "rrelu_with_noise",
    "rrelu_with_noise_", "random_", "geometric_", "cauchy_", "log_normal_", "poisson", "binomial",
}
DATA_DEPENDENT = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive", "bincount", "equal",
    "is_nonzero", "nonzero_static", "histc",
}
RESHAPED_IN_PLACE = {"squeeze_", "unsqueeze_", "t_", "transpose_", "swapaxes_"}
DROPPED_ARGUMENTS = {"device", "layout", "pin_memory", "memory_format", "requires_grad", "non_blocking", "generator", "implicit", "out"}


class Ref:
    """An argument that is a value of the graph."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Ref) and other.name == self.name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return "%" + self.name


class Node:
    __slots__ = ("op", "arguments", "outputs", "where")

    def __init__(self, op, arguments, outputs, where):
        self.op, self.arguments, self.outputs, self.where = op, arguments, outputs, where


class Root:
    """Memory that tensors may alias: its current value, and how often it was written."""

    def __init__(self, value):
        self.value, self.version = value, 0


class Track:
    """What a live tensor stands for: the value `name`, as of `version` of its root, reached through `chain` of (operation, arguments)."""

    def __init__(self, root, chain, name):
        self.root, self.chain, self.name, self.version = root, chain, name, root.version


class Recorder(TorchDispatchMode):
    def __init__(self, source_name):
        super().__init__()
        self.source_name = source_name
        self.inputs = []       # names
        self.nodes = []
        self.values = {}       # name -> (torch dtype, shape)
        self.fixed = set()     # names of values that depend on no input
        self.tracks = {}       # id -> (tensor, Track); holding the tensor keeps its id its own
        self.scattered = {}    # name of a scatter's result -> (view operation, its arguments, what was scattered)
        self.paused = False
        self.counts = {}

    # -- values ------------------------------------------------------------------------------------------------------------------

    def add_input(self, name, tensor):
        self.inputs.append(name)
        self.counts[name] = 1
        self.values[name] = (tensor.dtype, tuple(tensor.shape))
        self.track(tensor, Track(Root(name), [], name))

    def track(self, tensor, track):
        self.tracks[id(tensor)] = (tensor, track)

    def fresh_name(self, op):
        base = op.split(".")[1].strip("_")
        number = self.counts.get(base, 0)
        self.counts[base] = number + 1
        return base if number == 0 else self.fresh_name("x." + base + "_" + str(number))

    def shape(self, name):
        return self.values[name][1]

    def dtype(self, name):
        return self.values[name][0]

    def emit(self, op, arguments, results):
        """Appends one operation; `results` are tensors, (dtype, shape) pairs or None. Gives the names of its outputs."""
        known = self.scattered.get(arguments["self"].name) if isinstance(arguments.get("self"), Ref) else None
        if known and known[:2] == (op, without_self(arguments)):
            return [known[2]]  # reading back what was just written through the same view
        depends = any(r.name not in self.fixed for r in refs_in(list(arguments.values())))
        names = []
        for result in results:
            name = self.fresh_name(op)
            names.append(name)
            if result is None:
                result = (torch.float32, (0,))
            self.values[name] = result if isinstance(result, tuple) else (result.dtype, tuple(result.shape))
            if not depends:
                self.fixed.add(name)
        self.nodes.append(Node(op, arguments, names, self.location()))
        return names

    def read(self, tensor):
        """The name of a tensor's current value."""
        if id(tensor) not in self.tracks:
            self.track(tensor, Track(Root(constants.capture(self, tensor)), [], None))
            self.tracks[id(tensor)][1].name = self.tracks[id(tensor)][1].root.value
        track = self.tracks[id(tensor)][1]
        if track.version != track.root.version:
            track.name = self.views_of(track)[-1]
            track.version = track.root.version
        return track.name

    def views_of(self, track):
        """Values along the chain, from the root's current value on."""
        names = [track.root.value]
        for op, arguments, shape in track.chain:
            names += self.emit(op, dict(arguments, self=Ref(names[-1])), [(self.dtype(names[-1]), shape)])
        return names

    def write(self, tensor, name):
        """The tensor now holds the value `name`: carried back through its views to the root."""
        if self.read(tensor) == name:
            return
        track = self.tracks[id(tensor)][1]
        dtype, shape = self.values[track.name]
        if self.dtype(name) != dtype:
            (name,) = self.emit("aten._to_copy.default", {"self": Ref(name), "dtype": dtype}, [(dtype, self.shape(name))])
        if self.shape(name) != shape:
            (name,) = self.emit("aten.expand.default", {"self": Ref(name), "size": list(shape)}, [(dtype, shape)])
        carried = name
        if track.chain:
            before = self.views_of(Track(track.root, track.chain[:-1], None))
            for (op, arguments, _), base in zip(reversed(track.chain), reversed(before)):
                carried = canonical.scatter(self, op, arguments, base, carried)
        track.root.value = carried
        track.root.version += 1
        track.name, track.version = name, track.root.version

    # -- operations --------------------------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.paused:
            return func(*args, **kwargs)
        op = operation_name(func)
        plain = op.split(".")[1]
        if plain in canonical.DECOMPOSITIONS:
            with self:
                return canonical.DECOMPOSITIONS[plain](*args, **kwargs)
        self.refuse_random(plain, op)
        arguments = bind_arguments(func, args, kwargs)
        values = {name: self.convert(value, op, name) for name, value in arguments.items() if name not in DROPPED_ARGUMENTS}
        self.refuse_data_dependent(plain, op, arguments, values)
        if plain == "_local_scalar_dense":
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        if plain in RESHAPED_IN_PLACE:  # the same tensor, read otherwise from now on: a view that replaces it
            canonical.record(self, "aten.%s.%s" % (plain[:-1], op.split(".")[2]), arguments, values, result, True)
            return result
        written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if written:
            self.record_in_place(func, op, arguments, values, written)
        else:
            is_view = any(r.alias_info is not None for r in func._schema.returns)
            canonical.record(self, op, arguments, values, result, is_view)
        return result

    def record_in_place(self, func, op, arguments, values, written):
        targets = [arguments[name] for name in written if arguments[name] is not None]
        if canonical.record_assignment(self, op, arguments, values):
            return
        functional = functional_form(func, written)
        if functional is None:
            raise TraceError(self.located("operation %s writes in place and has no functional form" % op))
        name = operation_name(functional)
        wanted = {a.name for a in functional._schema.arguments}
        values = {k: v for k, v in values.items() if k in wanted}
        results = [(t.dtype, tuple(t.shape)) for t in targets]
        names = self.emit(name, canonical.normalise(self, name, values, results), results)
        for target, new in zip(targets, names):
            self.write(target, new)

    def record_primitive(self, func, args):
        """Runs and records `func` as one operation, whatever it consists of (lstm, gru)."""
        arguments = bind_arguments(func, args, {})
        op = operation_name(func)
        values = {name: self.convert(value, op, name) for name, value in arguments.items()}
        self.paused = True
        try:
            result = func(*args)
        finally:
            self.paused = False
        canonical.record(self, op, arguments, values, result, False)
        return result

    def convert(self, value, op, name):
        if isinstance(value, torch.Tensor):
            return Ref(self.read(value))
        if isinstance(value, (list, tuple)):
            return [self.convert(item, op, name) for item in value]
        if value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
            return value
        raise TraceError(self.located("operation %s: argument '%s' is a %s, expected a tensor, number, boolean, text or type"
                                      % (op, name, type(value).__name__)))

    # -- refusals ----------------------------------------------------------------------------------------------------------------

    def refuse_random(self, plain, op):
        if plain in RANDOM:
            raise RandomOperation(self.located("operation %s draws random numbers: its results cannot be compared" % op))

    def refuse_data_dependent(self, plain, op, arguments, values):
        boolean_index = plain in ("index", "index_put", "index_put_") and any(
            t is not None and t.dtype in (torch.bool, torch.uint8) for t in arguments["indices"])
        if plain not in DATA_DEPENDENT and not boolean_index:
            return
        if any(r.name not in self.fixed for r in refs_in(list(values.values()))):
            raise TraceError(self.located("operation %s: control flow or shapes that depend on the data of an input cannot be traced"
                                          % op))

    def location(self):
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.source_name:
                return "%s:%d" % (self.source_name, frame.f_lineno)
            frame = frame.f_back
        return ""

    def located(self, message):
        where = self.location()
        return "%s: %s" % (where or self.source_name, message)


class RandomOperation(TraceError):
    pass


def operation_name(func):
    namespace, name = func._schema.name.split("::")
    return "%s.%s.%s" % (namespace, name, func._schema.overload_name or "default")


def without_self(arguments):
    return {k: v for k, v in arguments.items() if k != "self"}


def refs_in(value):
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, (list, tuple)):
        return [r for item in value for r in refs_in(item)]
    return []


def bind_arguments(func, args, kwargs):
    """Schema names to values, in schema order, defaults filled in."""
    bound = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            value = args[position]
        elif argument.name in kwargs:
            value = kwargs[argument.name]
        else:
            value = argument.default_value if argument.has_default_value() else None
        if isinstance(value, int) and not isinstance(value, bool) and str(argument.type) == "float":
            value = float(value)
        bound[argument.name] = value
    return bound


def functional_form(func, written):
    """The overload that returns what `func` writes: add_.Tensor -> add.Tensor, add.out -> add.Tensor."""
    name = func._schema.name.split("::")[1]
    packet = getattr(torch.ops.aten, name[:-1] if name.endswith("_") and not name.startswith("__i") else name, None)
    if name.startswith("__i"):
        packet = getattr(torch.ops.aten, "__" + name[3:], None)
    if packet is None:
        return None
    is_out = any(a.is_out if hasattr(a, "is_out") else a.name == "out" for a in func._schema.arguments)
    kept = [a.name for a in func._schema.arguments if not (is_out and a.name in written)]
    for overload in packet.overloads():
        found = getattr(packet, overload)
        schema = found._schema
        if any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments):
            continue
        if [a.name for a in schema.arguments if a.name not in DROPPED_ARGUMENTS] == [n for n in kept if n not in DROPPED_ARGUMENTS]:
            same_types = all(str(a.type) == str(b.type) for a, b in zip(schema.arguments, func._schema.arguments))
            if is_out or overload == (func._schema.overload_name or "default") or same_types:
                return found
    return None
