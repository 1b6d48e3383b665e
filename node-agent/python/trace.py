#!/usr/bin/env python3
"""Traces a PyTorch reference to a Definition with its graph.

    trace.py SPEC [--scale cpu|FACTOR] [--output FILE]

SPEC is a FlashInfer-Trace Definition (.json, its `reference` is traced) or a KernelBench problem (.py with Model, get_inputs and
get_init_inputs). The complete Definition goes to FILE or to stdout, everything else to stderr. Needs torch 1.13 or newer, nothing else.
Exit codes: 0 done, 2 the specification is wrong (one line says where and why), 4 torch is missing.
"""
import argparse
import os
import sys
import warnings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("--scale", default="", help="cut a KernelBench problem's sizes: cpu, or a factor")
    parser.add_argument("--output", default="", help="file to write; stdout without it")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    try:
        import torch  # noqa: F401
    except ImportError as problem:
        print("error: %s cannot import torch (%s): tracing a Python reference needs PyTorch" % (sys.executable, problem), file=sys.stderr)
        return 4
    from tracing.errors import TraceError
    real_stdout, sys.stdout = sys.stdout, sys.stderr  # whatever the specification prints is not our answer
    try:
        text = trace(options)
    except TraceError as problem:
        print("error: %s" % problem, file=sys.stderr)
        return 2
    except OSError as problem:
        print("error: %s: %s" % (problem.filename or options.spec, problem.strerror), file=sys.stderr)
        return 2
    finally:
        sys.stdout = real_stdout
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")
    return 0


def trace(options):
    import torch
    from tracing import writing
    from tracing.definition import Definition, load
    from tracing.errors import TraceError
    torch.manual_seed(20240817)
    if options.spec.endswith(".py"):
        from tracing import kernelbench
        return writing.text_of(kernelbench.trace(options.spec, options.scale))
    if options.scale:
        raise TraceError("%s: --scale applies to KernelBench problems (.py); a Definition's sizes are in its workloads" % options.spec)
    value = load(options.spec)
    ours = dict(value.get("x_kevolve", {}))
    ours["graph"] = Definition(value, options.spec).trace()
    return writing.text_of(dict(value, x_kevolve=ours))


if __name__ == "__main__":
    sys.exit(main())
