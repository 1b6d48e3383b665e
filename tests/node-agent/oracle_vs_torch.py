"""Writes cases for oracle_vs_torch_test: references traced by node-agent/python, inputs, and what PyTorch computes for them in float64.

    oracle_vs_torch.py SOURCE_ROOT OUTPUT_DIRECTORY

A case is "name: argument=KINDxSHAPE, … | expression". Kinds: n normal, p uniform in [0.1, 2), u uniform in (0, 1), k small integers as
floats (ties), iN integers below N, b booleans. Exit code 4: torch is missing.
"""
import ctypes
import json
import os
import re
import sys
import warnings
from unittest import mock

CASES = """
add: x=n3x5, y=n5 | x + y
add_alpha: x=n3x5, y=n3x1 | torch.add(x, y, alpha=-2.5)
sub_scalar: x=n7 | 3 - x
rsub: x=n7 | torch.rsub(x, 2.5, alpha=3)
mul: x=n3x1x5, y=n4x1 | x * y
div: x=n4x5, y=p5 | x / y
div_floor: x=n4x5, y=p5 | torch.div(x, y, rounding_mode='floor')
div_trunc: x=n4x5, y=p5 | torch.div(x, y, rounding_mode='trunc')
floor_divide_int: x=i50x4x5 | (x - 25) // 7
remainder: x=n40, y=p40 | torch.remainder(x * 5, y) + torch.remainder(x * 5, -y)
remainder_int: x=i50x30 | (x - 25) % 7 + torch.remainder(x - 25, -7)
fmod: x=n40, y=p40 | torch.fmod(x * 5, y)
fmod_int: x=i50x30 | torch.fmod(x - 25, 7)
pow_scalar: x=p20 | x ** 2 + x ** 3 + x ** 0.5 + x ** -0.5 + x ** 1.7
pow_tensor: x=p4x5, y=n5 | x ** y
pow_base: x=n9 | 2.5 ** x
pow_int: x=i7x9 | x ** 3
pow_broadcast: x=p3, y=n1 | torch.pow(x, y)
maximum: x=n4x5, y=n5 | torch.maximum(x, y) + torch.minimum(x, y)
fmax: x=n4x5, y=n5 | torch.fmax(x, y) + torch.fmin(x, y)
clamp: x=n20 | x.clamp(-0.5, 0.7) + x.clamp(min=0.1) + x.clamp(max=0.2)
clamp_tensor: x=n4x5, y=n5, z=n5 | torch.clamp(x, y, z)
clamp_int: x=i9x10 | x.clamp(2, 5)
hypot: x=n9, y=n9 | torch.hypot(x, y) + torch.atan2(x, y) + torch.copysign(x, y)
logaddexp: x=n9, y=n9 | torch.logaddexp(x, y)
xlogy: x=p9, y=p9 | torch.xlogy(x, y) + torch.special.xlog1py(x, y)
lerp: x=n9, y=n9, w=u9 | torch.lerp(x, y, w) + torch.lerp(x, y, 0.3)
addcmul: x=n4x5, y=n5, z=n4x1 | torch.addcmul(x, y, z, value=0.5)
addcdiv: x=n4x5, y=n5, z=p4x1 | torch.addcdiv(x, y, z, value=0.5)
compare: x=k20, y=k20 | (x < y).float() + 2 * (x <= y).float() + 4 * (x == y).float() + 8 * (x != y) + 16 * (x > y) + 32 * (x >= 1)
compare_int: x=i5x20 | (x > 2) & (x != 4) | (x == 0)
logic: x=b20, y=b20 | torch.logical_and(x, y).int() + torch.logical_or(x, y) * 2 + torch.logical_xor(x, y) * 4 + (~x) * 8
bits: x=i100x20 | (x & 12) | (x ^ 5) | (x << 2) | (x >> 1)
bitwise_not: x=i100x20 | ~x
where: x=n4x5, y=n5, c=b4x5 | torch.where(c, x, y)
where_scalar: x=n4x5 | torch.where(x > 0, x, 0.1 * x)
masked_fill: x=n4x5, c=b4x5 | x.masked_fill(c, float('-inf')).exp()
unary: x=n33 | x.abs() + x.neg() + x.sign() + x.square() + x.floor() + x.ceil() + x.trunc() + x.frac() + x.round()
round_decimals: x=n33 | torch.round(x, decimals=2)
exponentials: x=n33 | x.exp() + x.exp2() + x.expm1() + torch.sinh(x) + torch.cosh(x) + torch.tanh(x)
logarithms: x=p33 | x.log() + x.log2() + x.log10() + x.log1p() + x.sqrt() + x.rsqrt() + x.reciprocal() + torch.acosh(x + 1)
trigonometry: x=u33 | x.sin() + x.cos() + x.tan() + x.asin() + x.acos() + x.atan() + x.asinh() + x.atanh()
error_functions: x=n33 | x.erf() + x.erfc() + torch.erfinv(torch.tanh(x)) + torch.lgamma(x.abs() + 0.1)
predicates: x=n33 | torch.isnan(x.log()).int() + torch.isinf(1 / x.round()).int() * 2 + torch.isfinite(x) * 4 + torch.signbit(x) * 8
nan_to_num: x=n33 | torch.nan_to_num(x.log(), nan=3.0)
to_int: x=n33 | (x * 10).to(torch.int32) + (x * 10).long()
to_bool: x=k33 | x.bool().int()
to_uint8: x=i300x33 | x.to(torch.uint8)
sigmoid: x=n33 | torch.sigmoid(x) + torch.logit(torch.sigmoid(x), 1e-3)
relu: x=n33 | F.relu(x) + F.relu6(x * 4)
gelu: x=n33 | F.gelu(x)
gelu_tanh: x=n33 | F.gelu(x, approximate='tanh')
silu: x=n33 | F.silu(x) + F.mish(x) + F.softplus(x) + F.softplus(x * 9, 2.0, 5.0)
elu: x=n33 | F.elu(x, 0.7) + F.celu(x, 0.8) + F.selu(x)
hard: x=n33 | F.hardtanh(x, -0.5, 0.4) + F.hardsigmoid(x * 3) + F.hardswish(x * 3)
leaky: x=n33 | F.leaky_relu(x, 0.2) + F.threshold(x, 0.3, -2.0)
shrink: x=n33 | F.hardshrink(x) + F.softshrink(x) + F.tanhshrink(x) + F.softsign(x) + F.logsigmoid(x)
prelu: x=n2x3x5, w=p3 | F.prelu(x, w)
prelu_one: x=n2x3x5, w=p1 | F.prelu(x, w)
glu: x=n3x8x5 | F.glu(x, 1) + F.glu(x, -2)
dropout_eval: x=n3x8 | F.dropout(x, 0.5, False) * 2
views: x=n4x6x5 | x.view(24, 5).t().reshape(-1, 4, 6).transpose(0, 2).permute(2, 0, 1)
flatten: x=n4x6x5 | torch.flatten(x, 1).unflatten(1, (5, 6))
squeeze: x=n1x4x1x5 | x.squeeze(0).squeeze(-2).unsqueeze(1) + x.squeeze()[:, None]
slices: x=n7x9 | x[1:-1:2, ::3] + x[-3:, :3]
select: x=n7x9 | x[2] - x[:, -1].sum()
split: x=n7x9 | torch.cat([p * (i + 1) for i, p in enumerate(x.split(2, 0))]) + torch.cat(x.chunk(4, 1), 1)
split_sizes: x=n7x9 | torch.cat([p * (i + 1) for i, p in enumerate(x.split([3, 4], 0))])
unbind: x=n3x5 | sum(p * (i + 1) for i, p in enumerate(x.unbind(1)))
stack: x=n3x5, y=n3x5 | torch.stack([x, y, x], -1) + torch.stack([x, y], 1).sum(1).unsqueeze(-1)
expand: x=n3x1 | x.expand(4, 3, 6) * x.expand(-1, 6)
repeat: x=n3x2 | x.repeat(2, 1, 3)
repeat_interleave: x=n3x2 | x.repeat_interleave(3, 1)
tile: x=n3x2 | torch.tile(x, (2, 2))
pad: x=n3x5 | F.pad(x, (1, 2, 0, 3), value=0.5) + F.pad(x, (2, 1, 3, 0))
pad_negative: x=n6x7 | F.pad(x, (-1, 2, 1, -2))
pad_reflect: x=n2x3x5x6 | F.pad(x, (2, 1, 3, 0), mode='reflect')
pad_replicate: x=n2x3x5x6 | F.pad(x, (2, 1, 3, 0), mode='replicate')
pad_circular: x=n2x3x5x6 | F.pad(x, (2, 1, 3, 0), mode='circular')
flip: x=n3x5x2 | x.flip(0, 2) + torch.fliplr(x)
roll: x=n3x5 | torch.roll(x, (1, -2), (0, 1)) + torch.roll(x, 3)
unfold_view: x=n3x11 | x.unfold(1, 4, 3)
diagonal: x=n5x6 | torch.diagonal(x, 1) * 2 + torch.diagonal(x, 0)
as_strided: x=n5x6 | torch.as_strided(x, (3, 4), (7, 1), 2)
tril: x=n2x5x6 | torch.tril(x) + torch.tril(x, 2) + torch.triu(x, -1) + torch.triu(x, 1)
write_slice: x=n5x6 | (lambda y: (y[1:3, ::2].mul_(3), y[4].fill_(1), y)[-1])(x.clone())
write_diagonal: x=n5x6 | (lambda y: (y.diagonal().add_(3), y)[-1])(x.clone())
movedim: x=n2x3x4x5 | torch.movedim(x, (0, 2), (3, 0))
meshgrid: x=n3, y=n4 | torch.meshgrid(x, y, indexing='ij')[0] * torch.meshgrid(x, y, indexing='ij')[1]
creation: x=n3x5 | x + torch.arange(5) + torch.ones(3, 1) * 2 + torch.full((5,), 0.5) + torch.zeros_like(x) + torch.linspace(0, 1, 5)
creation_eye: x=n5x5 | x * torch.eye(5) + torch.arange(0.5, 3, 0.5)
constant: x=n5 | x * torch.tensor([1.5, -2.0, 0.25, 8.0, 1e-3])
one_hot: x=i6x7 | (x[:, None] == torch.arange(6)).long()
sum: x=n3x4x5 | x.sum() + x.sum(-1).sum() + x.sum((0, 2)).sum() + x.sum(1, keepdim=True)
sum_bool: x=b40 | x.sum()
sum_int: x=i9x3x5 | x.sum(0)
mean: x=n3x4x5 | x.mean() + x.mean((-1, 0), keepdim=True) + x.mean(1, keepdim=True)
prod: x=p3x4 | x.prod(1) * x.prod()
maxima: x=k3x7x2 | x.max() + x.amax(1) + x.amin((0, 1)) + x.min()
max_dim: x=k3x7x2 | torch.stack([x.max(1)[0], x.max(1)[1].to(x.dtype), x.min(-2)[0], x.min(-2)[1].to(x.dtype)])
argmax: x=k3x7x2 | x.argmax(1) * 10 + x.argmin(1) + x.argmax() + x.argmin(dim=-2, keepdim=True).sum()
aminmax: x=n3x7 | torch.aminmax(x, dim=1)[0] + torch.aminmax(x, dim=1)[1]
any_all: x=k3x7 | (x > 1).any(1).int() + (x > -2).all(1).int() * 2 + (x > 0).any().int() * 4 + torch.all(x).int() * 8
count_nonzero: x=k3x7 | torch.count_nonzero(x, 1)
var: x=n3x7x2 | x.var(1) + x.var((0, 2)).mean() + x.std(1, unbiased=False) + x.var().sqrt() + x.std()
var_mean: x=n3x7 | torch.var_mean(x, 1)[0] + torch.var_mean(x, 1)[1] + torch.std_mean(x, 1, correction=2)[0]
norm: x=n3x7 | x.norm() + x.norm(1, 1).sum() + x.norm(p=3, dim=0).sum() + x.norm(p=float('inf'), dim=1) + x.norm(0)
vector_norm: x=n3x7 | torch.linalg.vector_norm(x, 2, dim=-1, keepdim=True) + torch.linalg.vector_norm(x, float('-inf'))
frobenius: x=n3x7 | torch.norm(x, p='fro') + F.normalize(x, dim=1)
logsumexp: x=n3x7 | torch.logsumexp(x, 1) + torch.logsumexp(x * 100, (0, 1))
median: x=n3x7 | torch.median(x, 1)[0] + torch.median(x, 1)[1] + torch.median(x)
cumsum: x=n3x7x2 | x.cumsum(1) + x.cumsum(0) + x.cumsum(-1).flip(-1)
cumprod: x=p3x7 | x.cumprod(1) + x.cumprod(0)
cummax: x=k3x7 | torch.cummax(x, 1)[0] + torch.cummax(x, 1)[1] * 10 + torch.cummin(x, 0)[0] * 100 + torch.cummin(x, 0)[1] * 1000
logcumsumexp: x=n3x7 | torch.logcumsumexp(x, 1)
sort: x=n3x7 | torch.sort(x, 1)[0] + torch.sort(x, 1)[1] * 10 + torch.sort(x, 0, descending=True)[0] * 100
sort_stable: x=k3x17 | torch.sort(x, dim=1, stable=True)[1] + torch.sort(x, dim=1, stable=True, descending=True)[1] * 100
argsort: x=n3x7 | torch.argsort(x, 1)
topk: x=n3x17 | torch.topk(x, 4, 1)[0] + torch.topk(x, 4, 1)[1] + torch.topk(x, 4, 1, largest=False)[0]
kthvalue: x=n3x17 | torch.kthvalue(x, 4, 1)[0] + torch.kthvalue(x, 4, 1)[1]
softmax: x=n3x7x2 | F.softmax(x, 1) + F.softmax(x, 0) + F.softmax(x, -1) + F.softmin(x, 1)
log_softmax: x=n3x7x2 | F.log_softmax(x, 1) + F.log_softmax(x, -1)
mm: x=n7x9, y=n9x5 | x @ y
mm_transposed: x=n9x7, y=n5x9 | x.t() @ y.t()
mm_int: x=i9x3x4, y=i9x4x5 | x @ y
matvec: x=n7x9, y=n9 | torch.mv(x, y) + x @ y
dot: x=n9, y=n9 | torch.dot(x, y) + x @ y
addmm: x=n7x9, y=n9x5, z=n5 | torch.addmm(z, x, y, beta=0.5, alpha=2.0)
addmv: x=n7x9, y=n9, z=n7 | torch.addmv(z, x, y, beta=0.5, alpha=2.0)
addr: x=n7, y=n9, z=n7x9 | torch.addr(z, x, y) + torch.outer(x, y)
bmm: x=n3x7x9, y=n3x9x5 | torch.bmm(x, y)
baddbmm: x=n3x7x9, y=n3x9x5, z=n7x5 | torch.baddbmm(z, x, y, beta=0.5, alpha=2.0)
addbmm: x=n3x7x9, y=n3x9x5, z=n7x5 | torch.addbmm(z, x, y)
matmul_broadcast: x=n2x1x7x9, y=n3x9x5 | x @ y
matmul_row: x=n9, y=n3x9x5 | x @ y
matmul_column: x=n3x7x9, y=n9 | x @ y
linear: x=n2x3x9, w=n5x9, b=n5 | F.linear(x, w, b)
linear_no_bias: x=n9, w=n5x9 | F.linear(x, w)
einsum: x=n2x7x9, y=n2x9x5 | torch.einsum('bij,bjk->bik', x, y)
einsum_outer: x=n4x5, y=n4x6 | torch.einsum('bi,bj->bij', x, y)
bilinear: x=n4x5, y=n4x6, w=n3x5x6 | F.bilinear(x, y, w)
cosine: x=n4x5, y=n4x5 | F.cosine_similarity(x, y)
cdist: x=n4x5, y=n3x5 | (x[:, None] - y[None]).pow(2).sum(-1).sqrt()
index_select: x=n7x9, i=i7x5 | torch.index_select(x, 0, i)
gather: x=n7x9, i=i7x4x9 | torch.gather(x, 0, i)
gather_last: x=n7x9, i=i9x7x3 | torch.gather(x, -1, i)
embedding: w=n11x4, i=i11x3x5 | F.embedding(i, w)
index: x=n7x9x2, i=i7x5, j=i9x5 | x[i, j] + x[i][:, 0]
index_split: x=n7x9x6, i=i7x5, j=i6x5 | x[i, :, j]
index_middle: x=n7x9x6, i=i9x5x2 | x[:, i]
index_negative: x=n7x9, i=i7x5 | x[i - 7]
index_put: x=n7x9, i=i7x3, v=n9 | x.index_put((i,), v.expand(3, 9))
index_put_add: x=n7x9, i=i7x30, v=n30x9 | x.index_put((i,), v, accumulate=True)
index_put_2: x=n7x9, i=i7x4, j=i9x4 | x.index_put((i, j), torch.tensor(2.5), accumulate=True)
scatter: x=n7x9, i=i7x4x9 | torch.scatter(x, 0, i[:1], 2.5)
scatter_src: x=n7x9, s=n1x9, i=i7x1x9 | torch.scatter(x, 0, i, s)
scatter_add: x=n7x9, s=n5x9, i=i7x5x9 | torch.scatter_add(x, 0, i, s)
scatter_reduce: x=n7x9, s=n5x9, i=i7x5x9 | torch.scatter_reduce(x, 0, i, s, 'amax')
index_add: x=n7x9, s=n5x9, i=i7x5 | torch.index_add(x, 0, i, s, alpha=2)
index_fill: x=n7x9, i=i7x2 | torch.index_fill(x, 0, i, 1.5)
index_put_rows: x=n7x9, i=i9x5, v=n7x5 | torch.ops.aten.index_put(x, [None, i], v) + torch.ops.aten.index_put(x, [None, i - 9], torch.tensor(2.0), True)
scatter_many: x=n7x9, s=n7x6, i=i9x7x4 | torch.scatter(x, 1, i, s) + torch.scatter(x, 1, i[:5], -1.0)
index_copy: x=n7x9, s=n1x9, i=i7x1 | torch.index_copy(x, 0, i, s)
take: x=n7x9, i=i63x2x3 | torch.take(x, i)
segment_reduce: x=n20x3, i=i4x6 | torch.segment_reduce(x, 'mean', offsets=torch.cat((i[:1] * 0, i.cumsum(0))), unsafe=True, initial=0)
segment_reduce_max: x=n20x3, i=i3x6 | torch.segment_reduce(x, 'max', offsets=torch.cat((i[:1] * 0, (i + 1).cumsum(0))), unsafe=True) + torch.segment_reduce(x, 'sum', offsets=torch.cat((i[:1] * 0, i.cumsum(0))), unsafe=True)
bucketize: x=n20 | torch.bucketize(x, torch.tensor([-1.0, 0.0, 0.5, 2.0]))
conv1d: x=n2x4x15, w=n6x4x3, b=n6 | F.conv1d(x, w, b, stride=2, padding=1)
conv1d_dilated: x=n2x4x15, w=n6x2x3 | F.conv1d(x, w, None, dilation=3, padding=2, groups=2)
conv2d: x=n2x3x11x9, w=n4x3x3x5, b=n4 | F.conv2d(x, w, b, padding=(1, 2))
conv2d_strided: x=n2x4x11x9, w=n8x1x3x3, b=n8 | F.conv2d(x, w, b, stride=(2, 3), padding=1, groups=4, dilation=(1, 2))
conv2d_same: x=n2x3x8x9, w=n4x3x3x4 | F.conv2d(x, w, padding='same')
conv2d_pointwise: x=n2x3x8x9, w=n4x3x1x1 | F.conv2d(x, w)
conv3d: x=n2x3x5x7x6, w=n4x3x2x3x3, b=n4 | F.conv3d(x, w, b, stride=(1, 2, 1), padding=(1, 0, 1))
conv_transpose1d: x=n2x4x7, w=n4x3x5, b=n6 | F.conv_transpose1d(x, w, b, stride=3, padding=2, output_padding=1, groups=2)
conv_transpose2d: x=n2x4x5x6, w=n4x3x3x4, b=n3 | F.conv_transpose2d(x, w, b, stride=2, padding=1, dilation=(2, 1))
conv_transpose2d_groups: x=n2x4x5x6, w=n4x3x3x3 | F.conv_transpose2d(x, w, None, stride=2, output_padding=1, groups=4)
conv_transpose3d: x=n2x4x3x5x4, w=n4x3x3x2x3, b=n3 | F.conv_transpose3d(x, w, b, stride=(2, 1, 2), padding=1)
conv2d_large: x=n1x3x67x59, w=n5x3x7x7 | F.conv2d(x, w, stride=1, padding=3)
max_pool1d: x=n2x3x15 | F.max_pool1d(x, 3, 2, 1)
max_pool2d: x=k2x3x9x11 | F.max_pool2d(x, 3, 2, 1) + F.max_pool2d(x, (3, 2), 2, (1, 1), return_indices=True)[1][:, :, :, :6]
max_pool2d_dilated: x=n2x3x15x14 | F.max_pool2d(x, 3, 2, 1, dilation=2, ceil_mode=True)
max_pool3d: x=n2x3x7x9x8 | F.max_pool3d(x, 3, 2, 1)
avg_pool1d: x=n2x3x15 | F.avg_pool1d(x, 3, 2, 1)
avg_pool2d: x=n2x3x9x11 | F.avg_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
avg_pool2d_ceil: x=n2x3x10x12 | F.avg_pool2d(x, 3, 2, 1, ceil_mode=True) + F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=5)
avg_pool3d: x=n2x3x7x9x8 | F.avg_pool3d(x, 2)
adaptive_avg_pool1d: x=n2x3x15 | F.adaptive_avg_pool1d(x, 4)
adaptive_avg_pool2d: x=n2x3x9x11 | F.adaptive_avg_pool2d(x, (4, 3)) + F.adaptive_avg_pool2d(x, 1)
adaptive_avg_pool3d: x=n2x3x5x9x11 | F.adaptive_avg_pool3d(x, (2, 4, 3))
adaptive_max_pool2d: x=n2x3x9x11 | F.adaptive_max_pool2d(x, (4, 3))
adaptive_max_pool1d: x=n2x3x15 | F.adaptive_max_pool1d(x, 4)
lp_pool: x=p2x3x9x11 | F.lp_pool2d(x, 2, 3)
batch_norm_train: x=n4x3x5, w=p3, b=n3 | F.batch_norm(x, None, None, w, b, True)
batch_norm_eval: x=n4x3x5x2, m=n3, v=p3, w=p3, b=n3 | F.batch_norm(x, m, v, w, b, False, 0.1, 1e-3)
batch_norm_plain: x=n4x3, m=n3, v=p3 | F.batch_norm(x, m, v)
layer_norm: x=n4x3x5, w=p3x5, b=n3x5 | F.layer_norm(x, (3, 5), w, b) + F.layer_norm(x, (5,))
group_norm: x=n4x6x5x2, w=p6, b=n6 | F.group_norm(x, 3, w, b) + F.group_norm(x, 1)
instance_norm: x=n4x6x5x2, w=p6, b=n6 | F.instance_norm(x, None, None, w, b)
rms_norm: x=n4x6x5, w=p5 | F.rms_norm(x, (5,), w, 1e-5)
local_response_norm: x=n4x6x5 | F.local_response_norm(x, 3)
attention: q=n2x3x5x8, k=n2x3x7x8, v=n2x3x7x4 | F.scaled_dot_product_attention(q, k, v)
attention_causal: q=n2x3x5x8, k=n2x3x5x8, v=n2x3x5x8 | F.scaled_dot_product_attention(q, k, v, is_causal=True)
attention_mask: q=n2x3x5x8, k=n2x3x7x8, v=n2x3x7x8, m=n5x7 | F.scaled_dot_product_attention(q, k, v, attn_mask=m, scale=0.3)
attention_by_hand: q=n2x3x5x8, k=n2x3x7x8, v=n2x3x7x8 | torch.softmax(q @ k.transpose(-2, -1) / 8 ** 0.5, -1) @ v
nearest: x=n2x3x5x7 | F.interpolate(x, scale_factor=2) + F.interpolate(x, size=(10, 14), mode='nearest')
nearest1d: x=n2x3x5 | F.interpolate(x, size=13)
nearest3d: x=n1x2x3x4x5 | F.interpolate(x, scale_factor=(2, 1, 3))
bilinear_resize: x=n2x3x5x7 | F.interpolate(x, size=(11, 4), mode='bilinear') + F.interpolate(x, size=(11, 4), mode='bilinear', align_corners=True)
bilinear_scale: x=n2x3x5x7 | F.interpolate(x, scale_factor=1.7, mode='bilinear')
linear_resize: x=n2x3x5 | F.interpolate(x, size=12, mode='linear')
trilinear: x=n1x2x3x4x5 | F.interpolate(x, size=(5, 3, 9), mode='trilinear')
bicubic: x=n2x3x5x7 | F.interpolate(x, size=(11, 9), mode='bicubic') + F.interpolate(x, size=(11, 9), mode='bicubic', align_corners=True)
pixel_shuffle: x=n2x12x3x5 | F.pixel_shuffle(x, 2)
pixel_unshuffle: x=n2x3x4x6 | F.pixel_unshuffle(x, 2)
channel_shuffle: x=n2x6x4x5 | F.channel_shuffle(x, 3)
fold_patches: x=n2x18x15 | F.fold(x, (8, 9), (3, 2), dilation=2, padding=1, stride=2) + F.fold(x[0], (8, 9), (3, 2), dilation=2, padding=1, stride=2)
topk_of_many: x=n5x300, y=n271x3 | torch.cat([torch.topk(x, 7)[0].reshape(-1), torch.topk(y, 3, dim=0)[0].reshape(-1), torch.topk(x, 7)[1].reshape(-1).to(x.dtype)])
topk_not_finite: x=n5x300 | torch.cat([torch.topk(x.log(), 20)[0].reshape(-1), torch.topk(-(x.abs() / 0.0), 3)[0].reshape(-1)])
grid_sample: x=n2x3x5x7, g=n2x4x6x2 | F.grid_sample(x, g, align_corners=False) + F.grid_sample(x, g, padding_mode='border', align_corners=True)
diag_embed: x=n3x5 | torch.diag_embed(x) + torch.diag_embed(x, 0, 0, 2).transpose(0, 1)
diag_embed_offset: x=n3x5 | torch.diag_embed(x, 2) + torch.diag_embed(x, -2) + torch.diag(x[1], 2)
trace: x=n5x5, y=n4x7 | torch.trace(x) + torch.trace(y)
cross: x=n4x3x5, y=n4x3x5 | torch.cross(x, y, dim=1) + torch.linalg.cross(x, y[:1], dim=1)
distances: x=n2x5x7, y=n2x6x7 | torch.cdist(x, y)
distances_many: x=n30x7, y=n33x7 | torch.cdist(x, y)
nansum: x=n8x5 | torch.nansum(x.log(), 1) + torch.nansum(x)
unfold_patches: x=n2x3x8x9 | F.unfold(x, (3, 2), dilation=2, padding=1, stride=2)
mse: x=n4x5, y=n4x5 | F.mse_loss(x, y) + F.mse_loss(x, y, reduction='sum') + F.mse_loss(x, y, reduction='none')
l1: x=n4x5, y=n4x5 | F.l1_loss(x, y)
smooth_l1: x=n4x5, y=n4x5 | F.smooth_l1_loss(x, y) + F.smooth_l1_loss(x, y, beta=0.5, reduction='none')
huber: x=n4x5, y=n4x5 | F.huber_loss(x, y, delta=0.7)
cross_entropy: x=n4x5, y=i5x4 | F.cross_entropy(x, y) + F.cross_entropy(x, y, reduction='sum')
cross_entropy_weights: x=n4x5, y=i5x4, w=p5 | F.cross_entropy(x, y, w, ignore_index=2) + F.cross_entropy(x, y, label_smoothing=0.1)
cross_entropy_soft: x=n4x5, y=u4x5 | F.cross_entropy(x, y)
cross_entropy_2d: x=n2x5x3x4, y=i5x2x3x4 | F.cross_entropy(x, y)
nll: x=n4x5, y=i5x4 | F.nll_loss(x, y, reduction='none')
kl_div: x=n4x5, y=u4x5 | F.kl_div(x, y, reduction='batchmean') + F.kl_div(x, y.log(), log_target=True, reduction='sum')
bce: x=u4x5, y=u4x5, w=p5 | F.binary_cross_entropy(x, y) + F.binary_cross_entropy(x, y, w, reduction='none')
bce_logits: x=n4x5, y=u4x5, w=p5 | F.binary_cross_entropy_with_logits(x, y) + F.binary_cross_entropy_with_logits(x, y, pos_weight=w)
hinge: x=n4x5, y=n4x5 | torch.mean(torch.clamp(1 - x * y, min=0)) + F.soft_margin_loss(x, y.sign())
triplet: x=n4x5, y=n4x5, z=n4x5 | F.triplet_margin_loss(x, y, z)
margin_ranking: x=n4, y=n4, z=n4 | F.margin_ranking_loss(x, y, z.sign())
multi_margin: x=n4x5, y=i5x4 | F.multi_margin_loss(x, y)
layer_norm_backward: g=n4x3x5, x=n4x3x5, w=p5, b=n5 | torch.ops.aten.native_layer_norm_backward(g, x, [5], *torch.ops.aten.native_layer_norm(x, [5], w, b, 1e-5)[1:], w, b, [True, True, True])
softmax_backward: g=n4x5, x=n4x5 | torch.ops.aten._softmax_backward_data(g, torch.softmax(x, 1), 1, x.dtype) + torch.ops.aten._log_softmax_backward_data(g, torch.log_softmax(x, 0), 0, x.dtype)
activation_backward: g=n33, x=n33 | torch.ops.aten.gelu_backward(g, x) + torch.ops.aten.gelu_backward(g, x, approximate='tanh') + torch.ops.aten.silu_backward(g, x) + torch.ops.aten.threshold_backward(g, x, 0.1) + torch.ops.aten.tanh_backward(g, x.tanh()) + torch.ops.aten.sigmoid_backward(g, x.sigmoid())
lstm: x=n5x2x4, h=n2x2x3, c=n2x2x3, a=n12x4, b=n12x3, d=n12, e=n12, f=n12x3, g=n12x3, i=n12, j=n12 | torch.cat([o.reshape(-1) for o in torch._VF.lstm(x, (h, c), [a, b, d, e, f, g, i, j], True, 2, 0.0, False, False, False)])
lstm_both: x=n2x5x4, h=n2x2x3, c=n2x2x3, a=n12x4, b=n12x3, f=n12x4, g=n12x3 | torch.cat([o.reshape(-1) for o in torch._VF.lstm(x, (h, c), [a, b, f, g], False, 1, 0.0, False, True, True)])
gru: x=n5x2x4, h=n1x2x3, a=n9x4, b=n9x3, d=n9, e=n9 | torch.cat([o.reshape(-1) for o in torch._VF.gru(x, h, [a, b, d, e], True, 1, 0.0, False, False, False)])
gru_both: x=n5x2x4, h=n4x2x3, a=n9x4, b=n9x3, d=n9x4, e=n9x3, f=n9x6, g=n9x3, i=n9x6, j=n9x3 | torch.cat([o.reshape(-1) for o in torch._VF.gru(x, h, [a, b, d, e, f, g, i, j], False, 2, 0.0, False, True, False)])
rnn_tanh: x=n5x2x4, h=n1x2x3, a=n3x4, b=n3x3, d=n3, e=n3 | torch.cat([o.reshape(-1) for o in torch._VF.rnn_tanh(x, h, [a, b, d, e], True, 1, 0.0, False, False, False)])
rnn_relu: x=n5x2x4, h=n1x2x3, a=n3x4, b=n3x3, d=n3, e=n3 | torch.cat([o.reshape(-1) for o in torch._VF.rnn_relu(x, h, [a, b, d, e], True, 1, 0.0, False, False, False)])
lstm_deep: x=n2x5x4, h=n3x2x3, c=n3x2x3, a=n12x4, b=n12x3, f=n12x3, g=n12x3, i=n12x3, j=n12x3 | torch._VF.lstm(x, (h, c), [a, b, f, g, i, j], False, 3, 0.0, False, False, True)
lstm_both_deep: x=n5x2x4, h=n4x2x3, c=n4x2x3, a=n12x4, b=n12x3, d=n12x4, e=n12x3, f=n12x6, g=n12x3, i=n12x6, j=n12x3, k=n12 | torch._VF.lstm(x, (h, c), [a, b, k, k, d, e, k, k, f, g, k, k, i, j, k, k], True, 2, 0.0, False, True, False)
lstm_projected: x=n5x2x4, h=n1x2x3, c=n1x2x5, a=n20x4, b=n20x3, p=n3x5 | torch._VF.lstm(x, (h, c), [a, b, p], False, 1, 0.0, False, False, False)
gru_batch_first: x=n2x5x4, h=n2x2x3, a=n9x4, b=n9x3, f=n9x3, g=n9x3 | torch._VF.gru(x, h, [a, b, f, g], False, 2, 0.0, False, False, True)
gru_both_batch_first: x=n2x5x4, h=n2x2x3, a=n9x4, b=n9x3, d=n9, f=n9x4, g=n9x3 | torch._VF.gru(x, h, [a, b, d, d, f, g, d, d], True, 1, 0.0, False, True, True)
rnn_tanh_both: x=n2x5x4, h=n4x2x3, a=n3x4, b=n3x3, d=n3x4, e=n3x3, f=n3x6, g=n3x3, i=n3x6, j=n3x3 | torch._VF.rnn_tanh(x, h, [a, b, d, e, f, g, i, j], False, 2, 0.0, False, True, True)
rnn_relu_deep: x=n5x2x4, h=n2x2x3, a=n3x4, b=n3x3, d=n3, f=n3x3, g=n3x3 | torch._VF.rnn_relu(x, h, [a, b, d, d, f, g, d, d], True, 2, 0.0, False, False, False)
not_finite: x=n40 | torch.stack([F.relu(x.log()), x.log().clamp(0, 1), torch.maximum(x.log(), x), F.gelu(x / 0.0), F.silu(x / 0.0), torch.tanh(x / 0.0), F.hardswish(x / 0.0), F.softplus(x / 0.0), F.elu(x / 0.0), F.mish(x.abs() / 0.0)])
not_finite_rows: x=n8x5 | torch.cat([x.log().amax(1), x.log().sum(1), (x / 0.0).sum(1), x.log().max(1)[1].to(x.dtype), torch.logsumexp(x / 0.0, 1), F.softmax(x / 0.0, 1)[:, 0], torch.sort(x.log(), 1)[1][:, 0].to(x.dtype)])
"""

SPEC = re.compile(r"(\w+)=([npukb]|i\d+x)(.*)")


def argument(text):
    name, kind, shape = SPEC.fullmatch(text.strip()).groups()
    return name, kind, [int(s) for s in shape.split("x") if s]


def draw(torch, kind, shape, generator):
    if kind == "n":
        return torch.randn(shape, generator=generator)
    if kind == "p":
        return torch.rand(shape, generator=generator) * 1.9 + 0.1
    if kind == "u":
        return torch.rand(shape, generator=generator) * 0.998 + 0.001
    if kind == "k":
        return torch.randint(-3, 4, shape, generator=generator).float()
    if kind == "b":
        return torch.randint(0, 2, shape, generator=generator).bool()
    return torch.randint(0, int(kind[1:-1]), shape, generator=generator)


def definition(name, arguments, body, outputs):
    axes, described = {}, {"in": {}, "out": {}}
    for side, tensors in (("in", arguments), ("out", outputs)):
        for tensor, shape, dtype in tensors:
            for size in shape:
                axes["n%d" % size] = {"type": "const", "value": size}
            described[side][tensor] = {"shape": ["n%d" % size for size in shape], "dtype": dtype}
    reference = "import torch\nimport torch.nn.functional as F\n\n\ndef run(%s):\n    return %s\n" % (
        ", ".join(tensor for tensor, _, _ in arguments), body)
    return {"name": name, "op_type": "test", "axes": axes, "inputs": described["in"], "outputs": described["out"], "reference": reference}


def distribution(kind):
    if kind == "p":
        return {"uniform": [0.1, 2]}
    if kind == "u":
        return {"uniform": [0.001, 0.999]}
    if kind == "k":
        return {"integers": [-3, 4]}
    if kind == "b":
        return {"integers": [0, 2]}
    return {"normal": [0, 1]} if kind == "n" else {"integers": [0, int(kind[1:-1])]}


def type_name(tensor):
    return str(tensor.dtype).split(".")[1]


def write(torch, tensor, path):
    """Floating tensors as float64, others as int64."""
    wide = tensor.detach().double() if tensor.is_floating_point() else tensor.long()
    wide = wide.contiguous()
    with open(path, "wb") as file:
        file.write(ctypes.string_at(wide.data_ptr(), wide.numel() * 8) if wide.numel() else b"")
    return {"file": path, "dtype": type_name(tensor), "shape": list(tensor.shape)}


def run_case(torch, functional, Definition, line, number, directory):
    name, rest = line.split(":", 1)
    if name in NEEDS_PYTORCH_2 and int(torch.__version__.split(".")[0]) < 2:
        raise RuntimeError("older versions trace it to an operation whose shape depends on data")
    described, body = rest.split(" | ", 1)
    generator = torch.Generator().manual_seed(1000 + number)
    arguments = [argument(a) for a in described.split(", ")]
    tensors = {a: draw(torch, kind, shape, generator) for a, kind, shape in arguments}
    scope = {"torch": torch, "F": functional}

    def call(values):
        out = eval("lambda %s: (%s)" % (", ".join(values), body), dict(scope))(**values)
        return list(out) if isinstance(out, (tuple, list)) else [out]

    narrow = call({k: v.clone() for k, v in tensors.items()})
    before, _ = torch.get_default_dtype(), torch.set_default_dtype(torch.float64)
    try:
        wide = call({k: v.double() if v.is_floating_point() else v.clone() for k, v in tensors.items()})
    finally:
        torch.set_default_dtype(before)
    outputs = [("out%d" % i, list(t.shape), type_name(t)) for i, t in enumerate(narrow)]
    value = definition(name, [(k, list(v.shape), type_name(v)) for k, v in tensors.items()], body, outputs)
    value["x_kevolve"] = {"distributions": {a: distribution(kind) for a, kind, _ in arguments}}
    value["x_kevolve"]["graph"] = Definition(value, name).trace()
    prefix = os.path.join(directory, name)
    return {
        "definition": value, "axes": {},
        "inputs": [write(torch, v, "%s.in%d" % (prefix, i)) for i, v in enumerate(tensors.values())],
        "outputs": [write(torch, v, "%s.out%d" % (prefix, i)) for i, v in enumerate(wide)],
    }


def shipped(torch, Definition, root, directory, lacking):
    """The operators that ship, at small odd sizes of their variable axes."""
    folder = os.path.join(root, "kb", "operators")
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".json"):
            continue
        with open(os.path.join(folder, file), encoding="utf-8") as stream:
            value = json.load(stream)
        if "graph" not in value.get("x_kevolve", {}):
            continue
        for size in (1, 7):
            axes = {a: d.get("value", size) for a, d in value["axes"].items() if d["type"] != "expr"}
            if len(axes) != len(value["axes"]):
                continue
            subject = Definition(value, file)
            inputs = subject.fresh_inputs(axes)
            with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):  # a reference of bfloat16 computes in float32
                try:
                    out = subject.run(*[v.double() if v.is_floating_point() else v for v in inputs])
                except Exception as problem:
                    if not lacks(torch, problem):
                        raise
                    lacking.append({"name": file, "why": "%s: %s" % (type(problem).__name__, problem)})
                    continue
            out = list(out) if isinstance(out, (tuple, list)) else [out]
            prefix = os.path.join(directory, "%s_%d" % (value["name"], size))
            yield {
                "definition": value, "axes": {a: size for a, d in value["axes"].items() if d["type"] == "var"},
                "inputs": [write(torch, v, "%s.in%d" % (prefix, i)) for i, v in enumerate(inputs)],
                "outputs": [write(torch, v, "%s.out%d" % (prefix, i)) for i, v in enumerate(out)],
            }


NEEDS_PYTORCH_2 = {"repeat_interleave"}


def lacks(torch, problem):
    """An old PyTorch (Debian's 1.13) does not know all operations that references use: its failures are skipped, by name."""
    return int(torch.__version__.split(".")[0]) < 2


def main():
    root, directory = sys.argv[1:3]
    try:
        import torch
        import torch.nn.functional as functional
    except ImportError:
        return 4
    warnings.filterwarnings("ignore")
    torch.manual_seed(7)
    sys.path.insert(0, os.path.join(root, "node-agent", "python"))
    from tracing.definition import Definition
    made, refused, lacking = [], [], []
    only = os.environ.get("KEVOLVE_TORCH_ONLY")  # one case by name, for a person
    lines = [line for line in CASES.strip().split("\n") if not only or line.startswith(only + ":")]
    for number, line in enumerate(lines):
        try:
            made.append(run_case(torch, functional, Definition, line, number, directory))
        except Exception as problem:  # counted and reported by the test, case by case
            (lacking if lacks(torch, problem) else refused).append({"name": line.split(":")[0], "why": "%s: %s" % (type(problem).__name__, problem)})
    made += shipped(torch, Definition, root, directory, lacking)
    with open(os.path.join(directory, "cases.json"), "w", encoding="utf-8") as file:
        json.dump({"torch": torch.__version__, "cases": made, "refused": refused, "lacking": lacking}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
