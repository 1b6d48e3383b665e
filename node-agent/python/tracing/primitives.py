"""Recurrent layers are recorded whole: ATen would unroll them, step by step, to thousands of operations."""
import contextlib

import torch

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@contextlib.contextmanager
def primitives(recorder):
    """While it holds, torch.nn's recurrent layers go to `recorder` as one operation each."""
    namespace = torch._VF
    before = {name: getattr(namespace, name) for name in RECURRENT}
    for name in RECURRENT:
        setattr(namespace, name, whole(recorder, name, before[name]))
    try:
        yield
    finally:
        for name in RECURRENT:
            setattr(namespace, name, before[name])


def whole(recorder, name, original):
    def call(*args):
        if len(args) != 9 or isinstance(args[2], bool):  # packed sequences have another signature
            return original(*args)
        return recorder.record_primitive(getattr(torch.ops.aten, name).input, args)
    return call
