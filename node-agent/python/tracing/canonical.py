"""Fewer ways to say the same thing: operations are recorded in one canonical form, so that who reads a graph meets fewer of them.

Identities (clone, detach, a copy to the same type) leave no trace; _unsafe_view and _reshape_alias are view; t and transpose are permute;
split, chunk and unbind are slices and selects; zeros, ones, empty, *_like and new_* are full; sizes are the result's, never -1; dimensions
count from the front; fused CPU operations are taken apart.
"""
import math

import torch

from .errors import TraceError

FACTORIES = {"zeros": 0, "zeros_like": 0, "new_zeros": 0, "empty": 0, "empty_like": 0, "new_empty": 0, "empty_strided": 0,
             "new_empty_strided": 0, "ones": 1, "ones_like": 1, "new_ones": 1}
VIEWS = {"view", "_unsafe_view", "_reshape_alias", "view_copy", "reshape"}
SAME_MEMORY = {"detach", "alias", "lift_fresh", "lift"}
END = 2 ** 62  # what x[1:] passes as its end is past this


def record(recorder, op, arguments, values, result, is_view):
    """Records one operation that wrote nothing, in canonical form, and tracks its results."""
    from .record import Root, Track, without_self
    plain, overload = op.split(".")[1:]
    source = values.get("self")

    def alias(keep_memory):
        track = recorder.tracks[id(arguments["self"])][1]
        shared = Track(track.root, track.chain, track.name) if keep_memory else Track(Root(track.name), [], track.name)
        recorder.track(result, shared)

    def one(name, rest, tensor=None, view=False):
        tensor = result if tensor is None else tensor
        (made,) = recorder.emit(name, rest, [tensor])
        if view:
            track = recorder.tracks[id(arguments["self"])][1]
            chain = track.chain + [(name, without_self(rest), tuple(tensor.shape))]
            recorder.track(tensor, Track(track.root, chain, made))
        else:
            recorder.track(tensor, Track(Root(made), [], made))

    if plain in SAME_MEMORY or (plain == "_conj" or plain == "_neg_view") and not result.is_complex():
        return alias(True)
    if plain in ("clone", "contiguous", "_to_copy") and result.dtype == arguments["self"].dtype:
        return alias(False)
    if plain == "_to_copy":
        return one("aten._to_copy.default", {"self": source, "dtype": result.dtype})
    if plain in VIEWS and not (plain == "view" and overload == "dtype"):
        if recorder.shape(source.name) == tuple(result.shape):
            return alias(True)
        return one("aten.view.default", {"self": source, "size": list(result.shape)}, view=is_view)
    if plain == "expand":
        if recorder.shape(source.name) == tuple(result.shape):
            return alias(True)
        return one("aten.expand.default", {"self": source, "size": list(result.shape)}, view=True)
    if plain in ("t", "transpose", "permute", "numpy_T") or plain == "swapaxes":
        return one("aten.permute.default", {"self": source, "dims": permutation(recorder, plain, values)}, view=True)
    if plain in ("squeeze", "unsqueeze"):
        return record_squeeze(recorder, plain, arguments, values, result, alias, one)
    if plain in ("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk"):
        start, dim = 0, positive(values["dim"], len(recorder.shape(source.name)))
        for piece in result:
            end = start + piece.shape[dim]
            one("aten.slice.Tensor", {"self": source, "dim": dim, "start": start, "end": end, "step": 1}, piece, view=True)
            start = end
        return None
    if plain == "unbind":
        dim = positive(values["dim"], len(recorder.shape(source.name)))
        for index, piece in enumerate(result):
            one("aten.select.int", {"self": source, "dim": dim, "index": index}, piece, view=True)
        return None
    if plain in FACTORIES:
        return one("aten.full.default", {"size": list(result.shape), "fill_value": FACTORIES[plain], "dtype": result.dtype})
    if plain in ("full", "full_like", "new_full", "scalar_tensor"):
        fill = values["s"] if plain == "scalar_tensor" else values["fill_value"]
        return one("aten.full.default", {"size": list(result.shape), "fill_value": fill, "dtype": result.dtype})
    if plain == "arange":
        rest = {"start": values.get("start") or 0, "end": values["end"], "step": values.get("step") or 1, "dtype": result.dtype}
        return one("aten.arange.start_step", rest)
    if plain in ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_batch_norm_with_update",
                 "_batch_norm_no_update"):
        return record_batch_norm(recorder, plain, values, result)
    return record_plain(recorder, op, arguments, values, result, is_view)


def record_plain(recorder, op, arguments, values, result, is_view):
    from .record import Root, Track, without_self
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    if any(r is not None and not isinstance(r, torch.Tensor) for r in results):
        raise TraceError(recorder.located("operation %s gives a Python number: control flow or shapes that depend on it cannot be traced"
                                          % op))
    values = normalise(recorder, op, values, results)
    names = recorder.emit(op, values, results)
    base = arguments.get("self")
    for tensor, name in zip(results, names):
        if tensor is None:
            continue
        if is_view and isinstance(base, torch.Tensor) and len(results) == 1:
            track = recorder.tracks[id(base)][1]
            if tensor is base:
                continue
            entry = (op, without_self(values), tuple(tensor.shape))
            recorder.track(tensor, Track(track.root, track.chain + [entry], name))
        else:
            recorder.track(tensor, Track(Root(name), [], name))


def record_squeeze(recorder, plain, arguments, values, result, alias, one):
    source = values["self"]
    shape = recorder.shape(source.name)
    if plain == "unsqueeze":
        return one("aten.unsqueeze.default", {"self": source, "dim": positive(values["dim"], len(shape) + 1)}, view=True)
    dims = values.get("dim", list(range(len(shape))))
    dims = [positive(d, len(shape)) for d in (dims if isinstance(dims, list) else [dims])]
    dims = [d for d in dims if shape and shape[d] == 1]
    if not dims:
        return alias(True)
    if len(dims) == 1:
        return one("aten.squeeze.dim", {"self": source, "dim": dims[0]}, view=True)
    return one("aten.view.default", {"self": source, "size": list(result.shape)}, view=True)


def record_batch_norm(recorder, plain, values, result):
    """One form: native_batch_norm. In training it reads the batch's statistics only; running statistics are not outputs."""
    from .record import Root, Track
    training = values.get("training", plain == "_batch_norm_with_update")
    rest = {
        "input": values["input"], "weight": values["weight"], "bias": values["bias"],
        "running_mean": None if training else values.get("running_mean"),
        "running_var": None if training else values.get("running_var"),
        "training": bool(training), "momentum": float(values["momentum"]), "eps": float(values["eps"]),
    }
    outputs = list(result)[:3]
    for tensor, name in zip(outputs, recorder.emit("aten.native_batch_norm.default", rest, outputs)):
        recorder.track(tensor, Track(Root(name), [], name))


def record_assignment(recorder, op, arguments, values):
    """In-place operations that replace the whole value: copy_, fill_, zero_. False: not one of them."""
    plain = op.split(".")[1]
    target = arguments.get("self")
    if plain == "copy_":
        recorder.write(target, values["src"].name)
        return True
    if plain == "zero_" or plain == "fill_":
        fill = 0 if plain == "zero_" else values["value"]
        if not isinstance(fill, (int, float, bool)):
            recorder.write(target, fill.name)
            return True
        rest = {"size": list(target.shape), "fill_value": fill, "dtype": target.dtype}
        recorder.write(target, recorder.emit("aten.full.default", rest, [target])[0])
        return True
    return plain in ("resize_", "as_strided_", "set_") and refuse_layout(recorder, op)


def refuse_layout(recorder, op):
    raise TraceError(recorder.located("operation %s changes a tensor's layout in place, which a graph cannot say" % op))


def scatter(recorder, op, arguments, base, new):
    """The value of `base` after its view through `op` was replaced by `new`; gives the name."""
    from .record import Ref
    dtype, shape = recorder.values[base]
    kept = {"aten.slice.Tensor": "aten.slice_scatter.default", "aten.select.int": "aten.select_scatter.default",
            "aten.diagonal.default": "aten.diagonal_scatter.default"}
    if op in kept:
        if op == "aten.slice.Tensor" and recorder.shape(new) == shape:
            return new
        rest = dict({"self": Ref(base), "src": Ref(new)}, **arguments)
        (name,) = recorder.emit(kept[op], rest, [(dtype, shape)])
        recorder.scattered[name] = (op, dict(arguments), new)
        return name
    if op in ("aten.view.default", "aten.squeeze.dim", "aten.unsqueeze.default"):
        return recorder.emit("aten.view.default", {"self": Ref(new), "size": list(shape)}, [(dtype, shape)])[0]
    if op == "aten.permute.default":
        dims = arguments["dims"]
        inverse = [dims.index(d) for d in range(len(dims))]
        return recorder.emit(op, {"self": Ref(new), "dims": inverse}, [(dtype, shape)])[0]
    raise TraceError(recorder.located("an in-place write through a view made by %s cannot be traced" % op))


# Operations that count dimensions among those of their result, which has one more than their first tensor.
ADD_A_DIMENSION = ("aten.stack.default", "aten.diag_embed.default")


def positive(dim, rank):
    return dim + max(rank, 1) if dim < 0 else dim


def permutation(recorder, plain, values):
    rank = len(recorder.shape(values["self"].name))
    dims = list(range(rank))
    if plain == "permute":
        return [positive(d, rank) for d in values["dims"]]
    if plain in ("t", "numpy_T"):
        return dims[::-1]
    first, second = [positive(values[k], rank) for k in values if k in ("dim0", "dim1", "axis0", "axis1")]
    if rank:
        dims[first], dims[second] = dims[second], dims[first]
    return dims


def normalise(recorder, op, values, results):
    """Dimensions counted from the front; a slice's end within its tensor."""
    from .record import refs_in
    tensors = refs_in(list(values.values()))
    if not tensors:
        return values
    rank = len(recorder.shape(tensors[0].name)) + (1 if op in ADD_A_DIMENSION else 0)
    values = dict(values)
    for key in ("dim", "dims", "dim1", "dim2"):
        value = values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            values[key] = positive(value, rank)
        elif isinstance(value, list) and all(isinstance(d, int) for d in value):
            values[key] = [positive(d, rank) for d in value]
    if op in ("aten.slice.Tensor", "aten.slice_scatter.default"):
        size = recorder.shape(tensors[0].name)[values["dim"]]
        for key, absent in (("start", 0), ("end", size)):
            bound = absent if values[key] is None else values[key]
            values[key] = max(0, min(size, bound + size if bound < 0 else bound))
    if op == "aten.select.int" and values["index"] < 0:
        values["index"] += recorder.shape(tensors[0].name)[values["dim"]]
    return values


def rms_norm(input, normalized_shape, weight=None, eps=None):
    dims = list(range(input.dim() - len(normalized_shape), input.dim()))
    wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
    scale = torch.rsqrt(wide.pow(2).mean(dims, keepdim=True) + (torch.finfo(input.dtype).eps if eps is None else eps))
    normal = wide * scale
    normal = normal if weight is None else normal * weight
    return normal.to(input.dtype), scale


def safe_softmax(input, dim, dtype=None):
    out = torch.softmax(input, dim, dtype=dtype)
    masked = input.eq(-math.inf).all(dim, keepdim=True)
    return torch.where(masked, torch.zeros_like(out), out)


def attention(query, key, value, dropout_p=0.0, is_causal=False, attn_mask=None, scale=None, **_):
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = torch.matmul(query, key.transpose(-2, -1)) * scale
    if is_causal:
        keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~keep, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value), torch.logsumexp(scores, -1)


DECOMPOSITIONS = {
    "_fused_rms_norm": rms_norm,
    "_safe_softmax": safe_softmax,
    "_scaled_dot_product_flash_attention_for_cpu": attention,
}
