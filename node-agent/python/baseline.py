"""Holds a Definition's reference as a baseline, "eager" or torch.compile'd, and obeys the judge on descriptor 3 (node-agent/channel.hpp).

    baseline.py eager|compile REFERENCE.py AXIS...

Inputs are tensors over the judge's shared memory. A timed call makes new outputs, as PyTorch does, and drops them; only a call that the
judge marks writes its result into the shared outputs, where the judge compares it. The clock is the judge's.
"""
import array
import ctypes
import mmap
import os
import signal
import socket
import struct
import sys
import warnings

# Read before torch loads OpenMP: with OMP_PROC_BIND it binds this thread to one core, and the affinity read later would say 1.
CORES = max(1, len(os.sched_getaffinity(0)))
MAGIC = 0x4B45564F
LOAD, MAP, CALL, UNMAP = 1, 2, 3, 4
WRITE_OUTPUTS = 1 << 31
REQUEST = struct.Struct("<IIQIIQ")
REPLY = struct.Struct("<IiQQQ")
DTYPES = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", None,
          "int64", "int32", "int16", "int8", "uint8", "bool"]


class Slot:
    """One set of arguments, and where results go when they are asked for."""

    def __init__(self, torch, body, inputs_fd, outputs_fd):
        words = array.array("q")
        words.frombytes(body)
        position = 1 + words[0]
        self.axes = list(words[1:position])
        self.maps = []
        self.inputs, position = self._tensors(torch, words, position, inputs_fd, False)
        self.outputs, position = self._tensors(torch, words, position, outputs_fd, True)
        self.arguments = [t.item() if scalar else t for t, scalar in self.inputs]

    def _tensors(self, torch, words, position, fd, writable):
        count = words[position]
        position += 1
        # The judge gives inputs as read-only descriptors: a reference that writes them ends here, not in somebody's measurement.
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        memory = mmap.mmap(fd, os.fstat(fd).st_size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)
        self.maps.append(memory)
        tensors = []
        for _ in range(count):
            dtype, scalar, offset, nbytes, rank = words[position:position + 5]
            shape = list(words[position + 5:position + 5 + rank])
            position += 5 + rank
            kind = getattr(torch, DTYPES[dtype])
            elements = nbytes // torch.empty(0, dtype=kind).element_size()
            if elements:
                flat = torch.frombuffer(memory, dtype=kind, count=elements, offset=offset)
            else:
                flat = torch.empty(0, dtype=kind)
            tensors.append((flat.reshape(shape), bool(scalar)))
        return tensors, position


def entry(path):
    scope = {"__name__": "reference", "__file__": path}
    with open(path, encoding="utf-8") as source:
        exec(compile(source.read(), path, "exec"), scope)  # the operator's own reference
    if "run" not in scope:
        raise RuntimeError("the reference defines no function 'run'")
    return scope["run"]


def results_of(value):
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (tuple, list)) else [value]


class Host:
    def __init__(self, kind, path):
        self.kind = kind
        import torch
        self.torch = torch
        torch.set_num_threads(CORES)
        if torch.get_num_threads() != CORES:
            raise RuntimeError(f"PyTorch runs on {torch.get_num_threads()} threads of {CORES}: too weak a baseline")
        torch.set_grad_enabled(False)
        self.run = entry(path)
        if kind == "compile":
            torch._dynamo.config.cache_size_limit = 64
            # One specialisation per shape, the best that torch.compile has for fixed shapes.
            self.run = torch.compile(self.run, dynamic=False)
        self.slots = {}

    def map(self, number, body, fds):
        slot = Slot(self.torch, body, *fds)
        self.run(*slot.arguments)  # compiles
        self.run(*slot.arguments)
        self.slots[number] = slot

    def call(self, number, count):
        slot = self.slots[number]
        run, arguments = self.run, slot.arguments
        if count & WRITE_OUTPUTS:
            results = results_of(run(*arguments))
            if len(results) != len(slot.outputs):
                raise RuntimeError(f"the reference returns {len(results)} values, the operator has {len(slot.outputs)} outputs")
            for (to, _), result in zip(slot.outputs, results):
                to.copy_(self.torch.as_tensor(result).reshape(to.shape))
            return
        kept = None
        for _ in range(count):
            kept = run(*arguments)
        del kept


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    warnings.filterwarnings("ignore")
    channel = socket.socket(fileno=3)
    host = None
    while True:
        data, fds, _, _ = socket.recv_fds(channel, REQUEST.size + 65536, 2)
        if len(data) < REQUEST.size:
            return
        mark, verb, number, slot, count, length = REQUEST.unpack_from(data)
        if mark != MAGIC:
            return
        text, status = b"", 0
        try:
            if host is None:
                host = Host(sys.argv[1], sys.argv[2])
            if verb == MAP:
                host.map(slot, data[REQUEST.size:REQUEST.size + length], fds)
            elif verb == CALL:
                host.call(slot, count)
            elif verb == UNMAP:
                host.slots.pop(slot, None)
        except BaseException as problem:  # whatever the reference raises is this baseline's finding
            text, status = f"{type(problem).__name__}: {problem}".encode()[:2000], 1
        for fd in fds:
            os.close(fd)
        channel.send(REPLY.pack(MAGIC, status, number, len(text), 0) + text)


if __name__ == "__main__":
    main()
