"""Tensors that a forward pass reads but that are neither inputs nor made by a recorded operation: captured as an operation that makes them."""
import torch

from .errors import TraceError

LITERAL_ELEMENTS = 65536  # 2.4k in Swin's relative positions; half a megabyte of JSON at most


def capture(recorder, tensor):
    """Records what makes `tensor` (full, arange, tril of ones, or a literal); gives its name."""
    data = tensor.detach()
    recorder.paused, paused = True, recorder.paused
    try:
        op, arguments, follow = describe(data)
    finally:
        recorder.paused = paused
    if op is None:
        raise TraceError(recorder.located(
            "a constant tensor of shape %s (%d elements) is read that is no input, parameter or buffer: make it a registered buffer, "
            "or build it from arange, full or tril (literals hold at most %d elements)"
            % (list(data.shape), data.numel(), LITERAL_ELEMENTS)))
    (name,) = recorder.emit(op, arguments, [data])
    for op, arguments in follow:
        from .record import Ref
        (name,) = recorder.emit(op, dict({"self": Ref(name)}, **arguments), [data])
    return name


def describe(data):
    size, dtype = list(data.shape), data.dtype
    if data.numel() == 0:
        return "aten.full.default", {"size": size, "fill_value": 0, "dtype": dtype}, []
    first = data.reshape(-1)[0]
    if bool((data == first).all()):
        return "aten.full.default", {"size": size, "fill_value": first.item(), "dtype": dtype}, []
    if data.dim() == 1 and not dtype.is_floating_point and dtype != torch.bool:
        steps = data[1:] - data[:-1]
        if bool((steps == steps[0]).all()):
            start, step = int(data[0]), int(steps[0])
            return "aten.arange.start_step", {"start": start, "end": start + step * len(data), "step": step, "dtype": dtype}, []
    if data.dim() >= 2:
        for op, cut in (("aten.tril.default", torch.tril), ("aten.triu.default", torch.triu)):
            for diagonal in (0, 1, -1):
                corner = data[..., -1, 0] if op == "aten.tril.default" else data[..., 0, -1]
                whole = torch.full_like(data, corner.reshape(-1)[0].item())
                if bool((cut(whole, diagonal) == data).all()):
                    return ("aten.full.default", {"size": size, "fill_value": whole.reshape(-1)[0].item(), "dtype": dtype},
                            [(op, {"diagonal": diagonal})])
    if data.numel() > LITERAL_ELEMENTS:
        return None, None, None
    return "kevolve.literal.default", {"values": data.reshape(-1).tolist(), "size": size, "dtype": dtype}, []
