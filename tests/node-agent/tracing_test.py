#!/usr/bin/env python3
"""Traces a broad sample of operations and replays each graph against the model on fresh inputs and parameters (the tracer does that itself and
raises where they differ); here: that they trace at all, in canonical form, with symbolic shapes, and that what cannot be traced is named.
Exit code 77: skipped, no torch.
"""
import json
import os
import re
import sys
import tempfile
import unittest
import warnings

warnings.filterwarnings("ignore")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "node-agent", "python"))
try:
    import torch
except ImportError as problem:
    print("skipped: %s has no torch (%s); KEVOLVE_PYTHON names another interpreter" % (sys.executable, problem))
    sys.exit(77)
from tracing import definition, graph as graphs, kernelbench, solve  # noqa: E402
from tracing.errors import TraceError  # noqa: E402

CANONICAL_AWAY = {"aten.t.default", "aten.transpose.int", "aten._unsafe_view.default", "aten._reshape_alias.default", "aten.detach.default",
                  "aten.zeros.default", "aten.ones.default", "aten.empty.memory_format", "aten.split.Tensor", "aten.unbind.int",
                  "aten.lift_fresh.default", "aten._fused_rms_norm.default", "aten.mkldnn_rnn_layer.default"}

# name: (constructor lines, forward lines, inputs)
MODELS = {
    "linear": ("self.f = nn.Linear(13, 7)", "return self.f(x)", "torch.randn(5, 13)"),
    "linear_3d": ("self.f = nn.Linear(13, 7)", "return self.f(x)", "torch.randn(2, 5, 13)"),
    "linear_no_bias": ("self.f = nn.Linear(13, 1, bias=False)", "return self.f(x)", "torch.randn(1, 13)"),
    "matmul": ("", "return torch.matmul(x, y)", "torch.randn(11, 17), torch.randn(17, 1)"),
    "bmm": ("", "return torch.bmm(x, y)", "torch.randn(3, 4, 5), torch.randn(3, 5, 6)"),
    "matmul_broadcast": ("", "return x @ y.transpose(-1, -2)", "torch.randn(2, 3, 4, 5), torch.randn(3, 6, 5)"),
    "einsum": ("", "return torch.einsum('bijl,lk->bijk', x, y)", "torch.randn(2, 3, 4, 5), torch.randn(5, 6)"),
    "conv2d": ("self.c = nn.Conv2d(3, 8, 3, stride=2, padding=1)", "return self.c(x)", "torch.randn(2, 3, 9, 11)"),
    "conv2d_grouped": ("self.c = nn.Conv2d(4, 8, (3, 5), dilation=2, groups=2, padding='same')", "return self.c(x)", "torch.randn(2, 4, 9, 11)"),
    "conv1d": ("self.c = nn.Conv1d(3, 4, 3)", "return self.c(x)", "torch.randn(2, 3, 9)"),
    "conv3d": ("self.c = nn.Conv3d(2, 4, 3, padding=1)", "return self.c(x)", "torch.randn(1, 2, 5, 6, 7)"),
    "conv_transpose2d": ("self.c = nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1)", "return self.c(x)", "torch.randn(2, 3, 5, 6)"),
    "conv_transpose3d": ("self.c = nn.ConvTranspose3d(2, 3, 3)", "return self.c(x)", "torch.randn(1, 2, 4, 5, 6)"),
    "batch_norm_training": ("self.n = nn.BatchNorm2d(3)", "return self.n(x)", "torch.randn(4, 3, 5, 6)"),
    "instance_norm": ("self.n = nn.InstanceNorm2d(3, affine=True)", "return self.n(x)", "torch.randn(4, 3, 5, 6)"),
    "group_norm": ("self.n = nn.GroupNorm(2, 6)", "return self.n(x)", "torch.randn(2, 6, 5, 7)"),
    "layer_norm": ("self.n = nn.LayerNorm((6, 5))", "return self.n(x)", "torch.randn(3, 6, 5)"),
    "rms_norm": ("self.w = nn.Parameter(torch.ones(64))", "return x / torch.sqrt(torch.mean(x ** 2, dim=1, keepdim=True) + 1e-5) * self.w[None, :, None]", "torch.rand(2, 64, 7)"),
    "frobenius_norm": ("", "return x / torch.norm(x, p='fro')", "torch.rand(3, 4, 5)"),
    "l2_normalise": ("", "return F.normalize(x, p=2, dim=1)", "torch.randn(3, 7)"),
    "l1_norm": ("", "return x / torch.mean(torch.abs(x), dim=1, keepdim=True)", "torch.randn(3, 7)"),
    "softmax": ("", "return torch.softmax(x, dim=1)", "torch.randn(3, 7)"),
    "log_softmax": ("", "return F.log_softmax(x, -1)", "torch.randn(3, 7)"),
    "logsumexp": ("", "return torch.logsumexp(x, dim=1, keepdim=True)", "torch.randn(3, 7)"),
    "activations": ("", "return F.relu(x), torch.sigmoid(x), torch.tanh(x), F.leaky_relu(x, 0.1), F.gelu(x), F.gelu(x, approximate='tanh'), F.selu(x), F.elu(x, 0.7), F.hardsigmoid(x), F.hardswish(x), F.softplus(x), F.softsign(x), F.hardtanh(x, -0.5, 0.5), F.silu(x), F.mish(x)", "torch.randn(3, 7)"),
    "in_place_activations": ("", "y = x * 2\n        F.relu_(y)\n        y.add_(1).mul_(x).clamp_(min=0.25, max=3)\n        return y.sigmoid_()", "torch.randn(3, 7)"),
    "in_place_on_input": ("", "x += 1\n        return x * 2", "torch.randn(3, 7)"),
    "pooling": ("self.m = nn.MaxPool2d(3, 2, 1, dilation=1)\n        self.a = nn.AvgPool2d(2)", "return self.m(x), self.a(x), F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, (2, 3))", "torch.randn(2, 3, 9, 11)"),
    "pooling_1d_3d": ("", "return F.max_pool1d(x, 2), F.avg_pool1d(x, 3, 2), F.max_pool3d(y, 2), F.avg_pool3d(y, 2)", "torch.randn(2, 3, 9), torch.randn(1, 2, 5, 6, 7)"),
    "reductions": ("", "return x.sum(), x.sum(1), x.mean(), x.mean((0, 2)), x.amax(1), torch.max(x, dim=1)[0], torch.min(x, 2)[0], x.argmax(1), x.argmin(2), x.prod(1), x.var(1), x.std((0, 1))", "torch.randn(3, 4, 5)"),
    "scans": ("", "return x.cumsum(1), x.cumprod(1), torch.cumsum(x.flip(1), 1).flip(1)", "torch.randn(3, 7)"),
    "exclusive_cumsum": ("", "e = torch.cat((torch.zeros_like(x.select(1, 0).unsqueeze(1)), x), dim=1)[:-1]\n        return torch.cumsum(e, dim=1)", "torch.randn(4, 7)"),
    "masked_cumsum": ("", "return torch.cumsum(x * m, dim=1)", "torch.randn(4, 7), torch.randint(0, 2, (4, 7)).bool()"),
    "triangular": ("", "return torch.triu(x @ y), torch.tril(x), torch.diag(x[0])[:, :2]", "torch.randn(5, 5), torch.randn(5, 5)"),
    "diagonal_product": ("", "return torch.diag(x) @ y", "torch.randn(5), torch.randn(5, 3)"),
    "mse": ("", "return torch.mean((x - y) ** 2)", "torch.randn(5, 3), torch.randn(5, 3)"),
    "cross_entropy": ("", "return F.cross_entropy(x, y)", "torch.randn(6, 9), torch.randint(0, 9, (6,))"),
    "huber_and_hinge": ("", "return F.smooth_l1_loss(x, y), torch.mean(torch.clamp(1 - x * y, min=0))", "torch.randn(6, 9), torch.randn(6, 9)"),
    "kl_divergence": ("", "return F.kl_div(torch.log(x), y, reduction='batchmean')", "torch.rand(4, 5).softmax(-1), torch.rand(4, 5).softmax(-1)"),
    "triplet": ("self.l = nn.TripletMarginLoss(margin=1.0)", "return self.l(x, y, z)", "torch.rand(4, 9), torch.rand(4, 9), torch.rand(4, 9)"),
    "cosine": ("", "return torch.mean(1 - F.cosine_similarity(x, y, dim=1))", "torch.randn(4, 9), torch.randn(4, 9)"),
    "views": ("", "return x.view(3, -1), x.reshape(-1), x.permute(2, 0, 1), x.transpose(1, 2).contiguous(), x.unsqueeze(-1), x[:, None].squeeze(1), x.expand(2, 3, 4, 5), x.flatten(1)", "torch.randn(3, 4, 5)"),
    "slices": ("", "return x[:, 1:], x[..., ::2], x[0], x[-1, 1:-1], x[:, :-1, None], x[:, -2:]", "torch.randn(3, 4, 5)"),
    "split_and_join": ("", "a, b = x.chunk(2, 1)\n        c, d, e = x.split([1, 2, 1], dim=1)\n        return torch.cat([a, b * 2], -1), torch.stack([c, e]), torch.stack(x.unbind(2), 0), d", "torch.randn(3, 4, 5)"),
    "assignment": ("", "y = torch.zeros_like(x)\n        y[:, 0] = x[:, 1]\n        y[1:, 2:] += x[1:, 2:]\n        y[0].fill_(3)\n        y.t()[1] *= 2\n        return y", "torch.randn(3, 4)"),
    "where_and_masks": ("", "return torch.where(x > 0, x, x * 0.1), x.masked_fill(x < 0, float('-inf')).softmax(-1).nan_to_num(), torch.minimum(x, y), torch.maximum(x, y)", "torch.randn(3, 4), torch.randn(3, 4)"),
    "constants": ("self.register_buffer('mask', torch.tril(torch.ones(6, 6)).view(1, 1, 6, 6))\n        self.scale = torch.tensor([1.0, 2.5, 0.5, 4.0, 1.0])", "return x.masked_fill(self.mask[:, :, :4, :5] == 0, -1e9), x * self.scale, x + torch.arange(5), x + torch.tensor(2.0)", "torch.randn(1, 1, 4, 5)"),
    "gather_and_index": ("self.e = nn.Embedding(11, 4)", "return self.e(i), torch.gather(x, 1, i), x[:, i[0]], torch.index_select(x, 1, i[0])", "torch.randn(3, 11), torch.randint(0, 11, (3, 5))"),
    "attention": ("self.q = nn.Linear(8, 24)", "q, k, v = self.q(x).view(2, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)\n        return F.scaled_dot_product_attention(q, k, v, is_causal=True)", "torch.randn(2, 6, 8)"),
    "multihead_attention": ("self.a = nn.MultiheadAttention(8, 2, batch_first=True)", "return self.a(x, x, x)[0]", "torch.randn(2, 5, 8)"),
    "transformer_layer": ("self.l = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)", "return self.l(x)", "torch.randn(2, 5, 8)"),
    "lstm": ("self.l = nn.LSTM(4, 5, 2, batch_first=True)", "return self.l(x)[0]", "torch.randn(2, 6, 4)"),
    "gru": ("self.l = nn.GRU(4, 5, 1, bidirectional=True)", "y, h = self.l(x)\n        return y, h", "torch.randn(6, 2, 4)"),
    "rnn_by_hand": ("self.i = nn.Linear(7, 4)", "h = torch.zeros(2, 4)\n        for t in range(x.shape[0]):\n            h = torch.tanh(self.i(torch.cat((x[t], h), 1)))\n        return h", "torch.randn(3, 2, 3)"),
    "dropout": ("self.d = nn.Dropout(0.3)", "return self.d(x) * 2", "torch.randn(3, 4)"),
    "upsample_and_pad": ("", "return F.interpolate(x, scale_factor=2, mode='nearest'), F.pad(x, (1, 2, 0, 1)), F.pad(x[0], (1, 1), mode='reflect'), F.pixel_shuffle(y, 2)", "torch.randn(1, 3, 4, 5), torch.randn(1, 8, 2, 2)"),
    "arithmetic": ("", "return x + 2, 3 - x, x / y, 1 / y, x ** 2, 2 ** x, x.exp(), (y + 1).log(), y.sqrt(), y.rsqrt(), x.abs(), -x, x.clamp(-1, 1), torch.clamp_min(x, 0), x.floor(), x % 2, x // 2, x.sin() * x.cos(), torch.erf(x), x.sign(), y.reciprocal()", "torch.randn(3, 4), torch.rand(3, 4) + 0.5"),
    "comparisons": ("", "return x > y, (x >= 0) & (y < 0.5), ~(x > 0), x == y, x.isnan(), (x > 0).float(), (x > 0).any(), (x > -9).all()", "torch.randn(3, 4), torch.rand(3, 4)"),
    "types": ("", "return x.half(), x.double() * 2, x.to(torch.bfloat16).float(), x.int(), x.bool()", "torch.randn(3, 4) * 3"),
    "scalar_input": ("", "return x * s + s", "torch.randn(3, 4), 3.14"),
    "tied_and_shared": ("self.a = nn.Linear(4, 4)\n        self.b = self.a", "return self.b(self.a(x))", "torch.randn(3, 4)"),
    "output_is_input": ("", "return x, x * 2, x.clone()", "torch.randn(3, 4)"),
    "out_variant": ("", "y = torch.empty(3, 4)\n        torch.add(x, x, out=y)\n        return y", "torch.randn(3, 4)"),
    "unfold_and_roll": ("", "return F.unfold(x, 2), x.roll(1, 2), x.repeat(1, 2, 1, 1), x.repeat_interleave(2, 1)", "torch.randn(1, 3, 4, 5)"),
    "one_element": ("self.f = nn.Linear(1, 1)", "return self.f(x).softmax(1)", "torch.randn(1, 1)"),
    "primes": ("self.f = nn.Linear(127, 31)", "return F.gelu(self.f(x))", "torch.randn(61, 127)"),
}

REFUSED = {
    "branch": ("return x * 2 if x.sum() > 0 else x", "_local_scalar_dense"),
    "nonzero": ("return x[x > 0]", "aten."),
    "random": ("return x + torch.randn(3, 4)", "random"),
    "past_torch": ("return torch.tensor(x.tolist())", "differs from the reference's on fresh inputs"),
}


def problem_file(folder, constructor, forward, inputs):
    count = len(eval("[%s]" % inputs, {"torch": torch}))
    order = [n for n in "xyzsim" if re.search(r"\b%s\b" % n, forward)][:count]
    if "* m," in forward:
        order = ["x", "m"]
    path = os.path.join(folder, "problem.py")
    with open(path, "w") as file:
        file.write("import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\nclass Model(nn.Module):\n    def __init__(self):\n"
                   "        super().__init__()\n        %s\n    def forward(self, %s):\n        %s\n\ndef get_inputs():\n    return [%s]\n\n"
                   "def get_init_inputs():\n    return []\n" % (constructor or "pass", ", ".join(order), forward, inputs))
    return path


class Operations(unittest.TestCase):
    def test_a_broad_sample_of_models_is_traced_and_replayed(self):
        for name, (constructor, forward, inputs) in MODELS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                if name == "attention" and not hasattr(torch.nn.functional, "scaled_dot_product_attention"):
                    self.skipTest("torch %s has no scaled_dot_product_attention" % torch.__version__)
                traced = kernelbench.trace(problem_file(folder, constructor, forward, inputs), "")
                text = json.dumps(traced, allow_nan=False)
                operations = {node["op"] for node in traced["x_kevolve"]["graph"]["nodes"]}
                self.assertFalse(operations & CANONICAL_AWAY, operations & CANONICAL_AWAY)
                self.assertFalse([op for op in operations if op.split(".")[1].endswith("_")], "in-place variants left")
                self.assertIn("def run(", text)

    def test_what_cannot_be_traced_is_named(self):
        for name, (forward, expected) in REFUSED.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                with self.assertRaises(TraceError) as caught:
                    kernelbench.trace(problem_file(folder, "", forward, "torch.randn(3, 4)"), "")
                self.assertIn(expected, str(caught.exception))
                if name != "past_torch":  # what leaves torch leaves no trace; the replay finds it
                    self.assertIn("problem.py:10", str(caught.exception))

    def test_dropout_falls_back_to_eval_mode_and_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            traced = kernelbench.trace(problem_file(folder, *MODELS["dropout"]), "")
            self.assertIn("eval mode", traced["x_kevolve"]["provenance"])

    def test_batch_norm_in_training_reads_no_running_statistics(self):
        with tempfile.TemporaryDirectory() as folder:
            traced = kernelbench.trace(problem_file(folder, *MODELS["batch_norm_training"]), "")
            self.assertEqual(["x", "n_weight", "n_bias"], list(traced["inputs"]))
            (node,) = traced["x_kevolve"]["graph"]["nodes"]
            self.assertIsNone(node["args"]["running_mean"])

    def test_constant_weights_are_never_drawn_constant(self):
        with tempfile.TemporaryDirectory() as folder:
            traced = kernelbench.trace(problem_file(folder, *MODELS["layer_norm"]), "")
            self.assertEqual({"normal": [1.0, 0.1]}, traced["x_kevolve"]["distributions"]["n_weight"])

    def test_the_same_name_with_other_sizes_is_another_operator(self):
        names = []
        for rows in (3, 4):
            with tempfile.TemporaryDirectory() as folder:
                names.append(kernelbench.trace(problem_file(folder, "", "return x * 2", "torch.randn(%d, 4)" % rows), "")["name"])
        self.assertNotEqual(*names)


def symbolic(reference, inputs, outputs, axes=("M",), const=None):
    declared = {a: {"type": "var"} for a in axes}
    declared.update({k: {"type": "const", "value": v} for k, v in (const or {}).items()})
    value = {"name": "t", "op_type": "t", "axes": declared,
             "inputs": {k: {"shape": v, "dtype": "float32"} for k, v in inputs.items()},
             "outputs": {k: {"shape": v, "dtype": "float32"} for k, v in outputs.items()},
             "reference": "import torch\nimport torch.nn.functional as F\ndef run(%s):\n    %s\n" % (", ".join(inputs), reference)}
    return definition.Definition(value, "t.json").trace()


class Symbols(unittest.TestCase):
    def test_shapes_and_integers_become_expressions(self):
        traced = symbolic("return (x.view(-1) / x.shape[0]).sum(0)", {"x": ["M", "N"]}, {"out": []}, ("M", "N"))
        self.assertEqual(["M*N"], traced["nodes"][0]["out"][0]["shape"])
        self.assertEqual({"e": "M"}, traced["nodes"][1]["args"]["other"])

    def test_halves_and_strides_are_floor_divisions(self):
        traced = symbolic("return F.max_pool1d(x, 3, 2, 1)", {"x": ["B", 4, "L"]}, {"out": ["B", 4, "(L - 1)//2 + 1"]}, ("B", "L"))
        last = traced["nodes"][-1]["out"][0]["shape"][-1]
        for length in (2, 5, 64, 199):
            self.assertEqual((length - 1) // 2 + 1, graphs.eval_integer(last, {"B": 1, "L": length}))

    def test_sums_of_axes(self):
        traced = symbolic("return torch.cat([x, y, y])", {"x": ["M", 3], "y": ["N", 3]}, {"out": ["M + N*2", 3]}, ("M", "N"))
        self.assertEqual("M + N*2", traced["nodes"][-1]["out"][0]["shape"][0])

    def test_divisible_axes_are_found(self):
        symbolic("return x.view(-1, 64, 3).sum(1)", {"x": ["M", 3]}, {"out": ["M//64", 3]})

    def test_operations_that_depend_on_axes_are_refused_by_name(self):
        with self.assertRaises(TraceError) as caught:
            symbolic("return x * 2 if x.shape[0] % 2 else x + 1", {"x": ["M"]}, {"out": ["M"]})
        self.assertIn("aten.", str(caught.exception))
        with self.assertRaises(TraceError) as caught:
            symbolic("return x[:80] * 2", {"x": ["M"]}, {"out": ["M"]})  # min(M, 80)
        with self.assertRaises(TraceError) as caught:
            symbolic("return x * x.shape[0] ** 0.5", {"x": ["M"]}, {"out": ["M"]})
        self.assertIn("aten.mul.Tensor", str(caught.exception))
        self.assertIn("depends on the axes", str(caught.exception))

    def test_an_output_of_another_shape_than_declared_is_an_error(self):
        with self.assertRaises(TraceError) as caught:
            symbolic("return x.sum(0)", {"x": ["M", 3]}, {"out": ["M"]})
        self.assertIn("outputs.out", str(caught.exception))

    def test_a_solved_expression_holds_for_bindings_it_never_saw(self):
        bindings = solve.choose_bindings(["M", "N"])
        for function in (lambda b: b["M"] * b["N"] * 3 + 7, lambda b: b["M"] * 2 - b["N"], lambda b: (b["M"] + 5) // 2,
                         lambda b: (b["M"] + 2) * (b["N"] + 2)):
            text = solve.expression([function(b) for b in bindings], bindings)
            for other in ({"M": 1, "N": 1}, {"M": 4096, "N": 33}, {"M": 7, "N": 250}):
                self.assertEqual(function(other), graphs.eval_integer(text, other), text)

    def test_operators_that_ship_trace_to_the_graph_they_carry(self):
        folder = os.path.join(ROOT, "kb", "operators")
        for name in sorted(n for n in os.listdir(folder) if n.endswith(".json")):
            with self.subTest(name):
                value = definition.load(os.path.join(folder, name))
                if "scaled_dot_product_attention" in value["reference"] and not hasattr(torch.nn.functional, "scaled_dot_product_attention"):
                    self.skipTest("torch %s has no scaled_dot_product_attention" % torch.__version__)
                self.assertEqual(value["x_kevolve"]["graph"], definition.Definition(value, name).trace())


if __name__ == "__main__":
    torch.manual_seed(1)
    unittest.main(verbosity=1)
