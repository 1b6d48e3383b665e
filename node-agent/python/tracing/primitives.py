"""What is recorded otherwise than ATen would: recurrent layers whole (ATen would unroll them, step by step, to thousands of operations), bags of
embeddings as what they are made of."""
import contextlib

import torch

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@contextlib.contextmanager
def primitives(recorder):
    """While it holds, torch.nn's recurrent layers go to `recorder` as one operation each."""
    bag, torch.nn.functional.embedding_bag = torch.nn.functional.embedding_bag, apart(torch.nn.functional.embedding_bag)
    namespace = torch._VF
    before = {name: getattr(namespace, name) for name in RECURRENT}
    for name in RECURRENT:
        setattr(namespace, name, whole(recorder, name, before[name]))
    try:
        yield
    finally:
        torch.nn.functional.embedding_bag = bag
        for name in RECURRENT:
            setattr(namespace, name, before[name])


def apart(original):
    """Bags of equal length (two-dimensional input) are a gather and a reduction."""
    def call(input, weight, offsets=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean", sparse=False,
             per_sample_weights=None, include_last_offset=False, padding_idx=None):
        if input.dim() != 2 or max_norm is not None or padding_idx is not None or mode not in ("sum", "mean") \
                or (per_sample_weights is not None and mode != "sum"):
            return original(input, weight, offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights,
                            include_last_offset, padding_idx)
        rows = torch.nn.functional.embedding(input, weight)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.unsqueeze(-1)
        return rows.sum(1) if mode == "sum" else rows.mean(1)
    return call


def whole(recorder, name, original):
    def call(*args):
        if len(args) != 9 or isinstance(args[2], bool):  # packed sequences have another signature
            return original(*args)
        return recorder.record_primitive(getattr(torch.ops.aten, name).input, args)
    return call
