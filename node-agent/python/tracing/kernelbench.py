"""A KernelBench problem (Model, get_inputs, get_init_inputs) as a Definition: parameters and buffers become inputs, sizes constants."""
import hashlib
import inspect
import json
import keyword
import os
import re
import sys
import types

import torch

from . import definition, scale
from . import graph as graphs
from .errors import TraceError
from .primitives import primitives
from .record import RandomOperation, Recorder

REFERENCE = '''

# --- what follows was added: the same computation as a function of inputs and parameters -------------------------------------------
import torch as _torch
try:
    from torch.func import functional_call as _functional_call
except ImportError:  # torch 1.13, whose own form forgets recurrent layers' list of weights
    def _functional_call(model, state, inputs):
        for name, tensor in state.items():
            path, _, leaf = name.rpartition(".")
            owner = model.get_submodule(path)
            owner._parameters.pop(leaf, None)
            setattr(owner, leaf, tensor)
        return model(*inputs)
_torch.manual_seed(42)
_model = Model(*get_init_inputs()).train({training})


def run({parameters}):
    returned = _functional_call(_model, {{{state}}}, ({inputs}))
    return {answer}
'''


class Problem:
    def __init__(self, path, scale_text):
        self.path = path
        self.name = operator_name(path)
        try:
            with open(path, encoding="utf-8") as file:
                source = file.read()
        except UnicodeDecodeError as problem:
            raise TraceError("%s: not UTF-8 text (%s)" % (path, problem))
        try:
            self.source, self.cuts = scale.apply(source, scale.parse(scale_text), path)
            code = compile(self.source, path, "exec")
        except SyntaxError as problem:
            raise TraceError("%s:%s: syntax error: %s" % (path, problem.lineno, problem.msg))
        module = types.ModuleType("problem")
        module.__file__ = path
        sys.modules["problem"] = module
        self.scope = module.__dict__
        self.guarded(lambda: exec(code, self.scope), "running the file")
        for name in ("Model", "get_inputs"):
            if not callable(self.scope.get(name)):
                raise TraceError("%s: defines no %s; expected a KernelBench problem with Model, get_inputs and get_init_inputs" % (path, name))
        self.model = self.guarded(self.build, "building Model")

    def build(self):
        torch.manual_seed(42)
        model = self.scope["Model"](*self.scope.get("get_init_inputs", list)())
        if not isinstance(model, torch.nn.Module):
            raise TraceError("%s: Model is a %s, expected a torch.nn.Module" % (self.path, type(model).__name__))
        return model

    def guarded(self, action, doing):
        """Runs the problem's own code; what it raises becomes an error with its file and line."""
        try:
            with torch.no_grad():
                return action()
        except TraceError:
            raise
        except ImportError as problem:
            raise TraceError("%s: %s: %s" % (definition.locate(problem, self.path), doing, problem))
        except Exception as problem:
            at_scale = " (at the scale asked for: %s; another --scale may fit)" % self.cuts if self.cuts else ""
            raise TraceError("%s: %s: %s: %s%s" % (definition.locate(problem, self.path), doing, type(problem).__name__, problem, at_scale))

    def inputs(self):
        given = self.guarded(lambda: list(self.scope["get_inputs"]()), "get_inputs")
        return [as_tensor(value, index, self.path) for index, value in enumerate(given)]

    def input_names(self, count):
        names = [p.name for p in inspect.signature(self.model.forward).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names = (names + ["input_%d" % i for i in range(len(names), count)])[:count]
        return [usable(n) for n in names]

    def state(self, training):
        """Parameters, and the buffers that are statistics: name in the model -> tensor."""
        state = dict(self.model.named_parameters())
        for name, buffer in self.model.named_buffers():
            if not training and buffer is not None and name.split(".")[-1] in ("running_mean", "running_var"):
                state[name] = buffer
        return state


def operator_name(path):
    name = re.sub(r"[^A-Za-z0-9_]", "_", os.path.splitext(os.path.basename(path))[0])
    return name if not name[:1].isdigit() else "kb_" + name


def usable(name):
    return name + "_" if keyword.iskeyword(name) or name in ("returned",) else name


def as_tensor(value, index, path):
    """(tensor, is a Python scalar)."""
    if isinstance(value, torch.Tensor):
        return value.detach(), False
    if isinstance(value, bool):
        return torch.tensor(value), True
    if isinstance(value, (int, float)):
        return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float32), True
    raise TraceError("%s: get_inputs()[%d] is a %s, expected a tensor or a number" % (path, index, type(value).__name__))


def flatten(returned, name="out"):
    """Outputs by name: a tensor is `out`, members of a tuple out_0, out_1, …; of a dict by key."""
    if isinstance(returned, torch.Tensor):
        return [(name, returned)]
    if isinstance(returned, (tuple, list)):
        return [pair for i, item in enumerate(returned) for pair in flatten(item, "%s_%d" % (name, i))]
    if isinstance(returned, dict):
        return [pair for k, item in returned.items() for pair in flatten(item, "%s_%s" % (name, re.sub(r"\W", "_", str(k))))]
    if returned is None:
        return []
    raise TraceError("Model.forward returns a %s, expected tensors" % type(returned).__name__)


def answer_expression(returned, path="returned"):
    if isinstance(returned, torch.Tensor):
        return [path]
    if isinstance(returned, (tuple, list)):
        return [p for i, item in enumerate(returned) for p in answer_expression(item, "%s[%d]" % (path, i))]
    if isinstance(returned, dict):
        return [p for k, item in returned.items() for p in answer_expression(item, "%s[%r]" % (path, k))]
    return []


def trace(path, scale_text):
    """Training mode, as KernelBench runs it, unless that draws random numbers; numbers among the inputs stay inputs where they can."""
    problem = Problem(path, scale_text)
    has_numbers = any(scalar for _, scalar in problem.inputs())
    failures = []
    for training, bake in ((True, False), (True, True), (False, False), (False, True)):
        if bake and not has_numbers or not training and not any(isinstance(f, RandomOperation) for f in failures):
            continue
        try:
            return Tracing(problem, training, bake).definition()
        except TraceError as refused:
            failures.append(refused)
    raise failures[-1]


class Tracing:
    def __init__(self, problem, training, bake):
        self.problem, self.training = problem, training
        problem.model.train(training)
        self.given = problem.inputs()
        names = problem.input_names(len(self.given))
        self.calls = [repr(tensor.item()) if bake and scalar else name for name, (tensor, scalar) in zip(names, self.given)]
        self.baked = [name for name, call in zip(names, self.calls) if name != call]
        self.samples = [sample for sample, name in zip(self.given, names) if name not in self.baked]
        self.names = [name for name in names if name not in self.baked]
        self.state_names = {}
        taken = set(self.names)
        for name in problem.state(training):
            flat = usable(re.sub(r"\W", "_", name))
            while flat in taken or flat in ("out", "returned"):
                flat += "_"
            taken.add(flat)
            self.state_names[name] = flat

    def record(self):
        problem = self.problem
        recorder = Recorder(problem.path)
        inputs = [tensor.clone() for tensor, _ in self.samples]
        for name, tensor in zip(self.names, inputs):
            recorder.add_input(name, tensor)
        remaining = iter(inputs)
        passed = [next(remaining) if call in self.names else tensor.item() for call, (tensor, _) in zip(self.calls, self.given)]
        state = problem.state(self.training)
        for name, tensor in state.items():
            recorder.add_input(self.state_names[name], tensor)

        def forward():
            with primitives(recorder), recorder:
                return problem.model(*passed)
        before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
        returned = problem.guarded(forward, "running Model.forward")
        problem.model.load_state_dict(before)
        outputs = flatten(returned)
        if not outputs:
            raise TraceError("%s: Model.forward returns no tensor" % problem.path)
        self.returned = returned
        self.output_names = [name if name not in set(self.names) | set(self.state_names.values()) else name + "_" for name, _ in outputs]
        self.outputs = [tensor for _, tensor in outputs]
        with torch.no_grad():
            return graphs.Recording(recorder, self.outputs, self.output_names)

    def definition(self):
        graph, used = graphs.unify([self.record()], [{}])
        graph["inputs"] = [v for v in graph["inputs"] if v["name"] in used or v["name"] in self.names]
        kept = {v["name"] for v in graph["inputs"]}
        state = {n: t for n, t in self.problem.state(self.training).items() if self.state_names[n] in kept}
        tensors = [(name, tensor, scalar) for name, (tensor, scalar) in zip(self.names, self.samples)]
        tensors += [(self.state_names[n], t.detach(), False) for n, t in state.items()]
        distributions = self.distributions(state)
        axes = {"d%d" % size: {"type": "const", "value": size} for _, t, scalar in tensors if not scalar for size in t.shape}
        for tensor in self.outputs:
            axes.update({"d%d" % size: {"type": "const", "value": size} for size in tensor.shape})
        spec = lambda tensor, scalar=False: {"shape": None if scalar else ["d%d" % s for s in tensor.shape],
                                             "dtype": graphs.dtype_name(tensor.dtype, self.problem.path)}
        value = {
            "name": self.name(graph), "op_type": "kernelbench",
            "axes": dict(sorted(axes.items(), key=lambda item: item[1]["value"])),
            "inputs": {name: spec(tensor, scalar) for name, tensor, scalar in tensors},
            "outputs": {name: spec(tensor) for name, tensor in zip(self.output_names, self.outputs)},
            "reference": self.reference(state), "tags": self.lint(), "description": self.description(),
            "constraints": [],
            "x_kevolve": {"tolerance": {"atol": 1e-4, "rtol": 1e-4, "matched_ratio": 1.0}, "distributions": distributions,
                          "provenance": self.provenance(), "workloads": [self.workload(self.name(graph), tensors)], "graph": graph},
        }
        self.verify(value, graph)
        return value

    def lint(self):
        """What makes this problem a weak test, as tags: outputs that other inputs leave within the tolerance."""
        before = {name: tensor.clone() for name, tensor in self.problem.model.state_dict().items()}
        passed = [tensor.item() if scalar else tensor for tensor, scalar in self.problem.inputs()]
        again = [tensor for _, tensor in flatten(self.problem.guarded(lambda: self.problem.model(*passed), "running Model.forward"))]
        self.problem.model.load_state_dict(before)
        same = [torch.allclose(a.double(), b.double(), atol=1e-4, rtol=1e-4, equal_nan=True) for a, b in zip(self.outputs, again) if a.shape == b.shape]
        return ["lint:constant_output"] if same and all(same) and passed else []

    def name(self, graph):
        """The file's name and a digest of the graph: other sizes or other code are another operator."""
        return "%s_%s" % (self.problem.name, hashlib.sha256(json.dumps(graph).encode()).hexdigest()[:6])

    def description(self):
        text = self.problem.scope["Model"].__dict__.get("__doc__") or ""
        return text.strip().split("\n")[0]

    def provenance(self):
        baked = "; fixed numbers: %s" % ", ".join(self.baked) if self.baked else ""
        cuts = "; scaled: " + self.problem.cuts if self.problem.cuts else ""
        mode = "training mode" if self.training else "eval mode, because training draws random numbers"
        return "%s; torch %s; %s%s%s" % (os.path.basename(self.problem.path), torch.__version__, mode, baked, cuts)

    def workload(self, name, tensors):
        inputs = {n: {"type": "scalar", "value": tensor.item()} if scalar else {"type": "random"} for n, tensor, scalar in tensors}
        ours = {"name": "scaled" if self.problem.cuts else "as published"}
        return {"axes": {}, "inputs": inputs, "uuid": "%s-only" % name, "x_kevolve": ours}

    def reference(self, state):
        names = self.names + [self.state_names[n] for n in state]
        answer = answer_expression(self.returned)
        return self.problem.source + REFERENCE.format(
            training=self.training, parameters=", ".join(names),
            state=", ".join("%r: %s" % (n, self.state_names[n]) for n in state),
            inputs="".join(call + ", " for call in self.calls), answer=answer[0] if len(answer) == 1 else "(" + ", ".join(answer) + ")")

    def distributions(self, state):
        draws = {name: [tensor] for name, (tensor, scalar) in zip(self.names, self.samples)}
        for _ in range(32):  # small inputs say little in one draw
            if all(sum(t.numel() for t in drawn) >= 4096 for drawn in draws.values()):
                break
            for call, (tensor, _) in zip(self.calls, self.problem.inputs()):
                if call in draws:
                    draws[call].append(tensor)
        found = {}
        for name, drawn in draws.items():
            found[name] = distribution_of(torch.cat([t.reshape(-1)[:1 << 20] for t in drawn]))
        for name, tensor in state.items():
            found[self.state_names[name]] = parameter_distribution(name, tensor.detach())
        return {name: d for name, d in found.items() if d is not None}

    def verify(self, value, graph):
        """Replays the graph on fresh inputs and parameters against the reference that goes into the Definition."""
        checked = definition.Definition(value, self.problem.path)
        checked.source_name = "%s reference" % self.problem.path
        inputs = checked.fresh_inputs({name: axis["value"] for name, axis in value["axes"].items()})
        for position, (tensor, scalar) in enumerate(self.samples):
            if scalar:
                inputs[position] = tensor
        with torch.no_grad():
            passed = [t.item() if position < len(self.samples) and self.samples[position][1] else t.clone()
                      for position, t in enumerate(inputs)]
            expected = self.problem.guarded(lambda: checked.flatten(checked.run(*passed)), "running the reference")
            found = graphs.replay(graph, {}, inputs)
        for name, a, b in zip(self.output_names, found, expected):
            definition.compare(name, a, b, self.problem.path)


def distribution_of(sample):
    if sample.dtype == torch.bool:
        return None
    if sample.numel() == 0:
        return None
    if not sample.dtype.is_floating_point:
        return {"integers": [int(sample.min()), int(sample.max()) + 1]}
    sample = sample.double()
    low, high, mean, deviation = float(sample.min()), float(sample.max()), float(sample.mean()), float(sample.std(unbiased=False))
    if deviation == 0:
        return {"constant": mean}
    kurtosis = float(((sample - mean) / deviation).pow(4).mean())  # 1.8 uniform, 3 normal
    if kurtosis < 2.2 or low >= 0 and sample.numel() > 64:  # what is never negative stays so
        return {"uniform": [rounded(low, high - low), rounded(high, high - low)]}
    return {"normal": [rounded(mean, deviation), rounded(deviation, deviation)]}


def rounded(value, spread):
    """To a fiftieth of the spread: 0.0003 is a sample's 0."""
    step = 10.0 ** torch.tensor(spread / 50.0).log10().floor().item()
    coarse = round(value / (step * 10)) * step * 10
    return float("%.4g" % (coarse if abs(coarse - value) < spread / 40 else round(value / step) * step))


def parameter_distribution(name, tensor):
    """Around the values of the initialised model; never constant, so that a candidate cannot leave a parameter out."""
    if not tensor.dtype.is_floating_point:
        return {"integers": [int(tensor.min()), int(tensor.max()) + 1]}
    if name.split(".")[-1] == "running_var":
        return {"uniform": [0.5, 1.5]}
    mean, deviation = float(tensor.double().mean()), float(tensor.double().std(unbiased=False))
    if tensor.numel() == 1 or deviation < 1e-6:
        return {"normal": [float("%.4g" % mean), 0.1]}
    return {"normal": [float("%.3g" % mean) if abs(mean) > deviation / 10 else 0.0, float("%.3g" % deviation)]}
