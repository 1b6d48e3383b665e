#!/usr/bin/env python3
"""Runs the knowledge base's CUDA and Triton samples on the GPU of this host, and measures what its pages on NVIDIA state in figures.

    tests/kb/samples_on_gpu.py [--out FILE.json]        needs an NVIDIA GPU, nvcc, and a Python with torch and triton

Each sample is the code block of its page: CUDA is compiled by nvcc with protocol/native_abi.h into a library and called by the native ABI; Triton's `run` is called with
inputs and outputs. Results are compared with float64, over odd sizes and large ones; time is the median of CUDA graph replays between events, beside
PyTorch's operator and the copy's bandwidth. Exits 1 when a sample is wrong, 2 where there is no GPU. Nothing in build or CI needs it.
"""
import argparse
import ctypes
import importlib.util
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "kb" / "documents" / "samples"

try:
    import torch
except ImportError:
    sys.exit("samples_on_gpu.py: needs torch")


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("rank", ctypes.c_int), ("dtype", ctypes.c_int)]


DTYPES = {torch.float32: 1, torch.float16: 2, torch.bfloat16: 3}


def described(tensors):
    kept = []
    array = (Tensor * len(tensors))()
    for at, t in enumerate(tensors):
        shape, strides = (ctypes.c_int64 * max(1, t.dim()))(*t.shape), (ctypes.c_int64 * max(1, t.dim()))(*t.stride())
        kept += [shape, strides]
        array[at] = Tensor(t.data_ptr(), shape, strides, t.dim(), DTYPES[t.dtype])
    return array, kept


def code_of(page, fence):
    found = re.search(rf"```{fence}\n(.*?)```", page.read_text(), re.S)
    if not found:
        sys.exit(f"{page}: no ```{fence} block")
    return found.group(1)


def compiled(page, folder, architecture):
    (folder / "kevolve.h").write_text((ROOT / "protocol" / "native_abi.h").read_text())
    source, library = folder / f"{page.stem}.cu", folder / f"{page.stem}.so"
    source.write_text(code_of(page, "cuda"))
    subprocess.run(["nvcc", "-std=c++17", "-O3", f"-arch={architecture}", f"-I{folder}", "-Xcompiler", "-fPIC", "-shared", str(source), "-o", str(library)], check=True)
    run = ctypes.CDLL(str(library)).kevolve_run
    run.argtypes = [ctypes.c_void_p] * 5

    def call(inputs, output):
        i, kept_i = described(inputs)
        o, kept_o = described([output])
        axes = (ctypes.c_int64 * 4)()
        status = run(i, o, axes, None, torch.cuda.current_stream().cuda_stream)
        if status:
            raise RuntimeError(f"{page.stem}: kevolve_run returned {status}")

    return call


def imported(page, folder):
    path = folder / f"{page.stem.replace('-', '_')}.py"
    path.write_text(code_of(page, "python"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda inputs, output: module.run(*inputs, output)


def seconds(call, repeats=30):
    """Median seconds of a call: replays of a CUDA graph that holds several, so that the host's launch is outside."""
    call()
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    inside = max(1, min(200, int(2 / max(start.elapsed_time(end), 0.005))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(inside):
            call()
    graph.replay()
    times = []
    for _ in range(repeats):
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / inside)
    return statistics.median(times)


# name of the operator: PyTorch's form, sizes to check, the size to time, relative tolerance, bytes or operations moved at that size
def vector_add(dtype=torch.float32):
    sizes = [(0,), (1,), (3,), (1023,), (4099,), (1 << 20,), ((1 << 24) + 5,)]
    return lambda x, y: x + y, [(s, s) for s in sizes], ((1 << 27,), (1 << 27,)), 0.0, lambda i: ("bytes", 3 * i[0].numel() * i[0].element_size())


def row_softmax():
    sizes = [(1, 1), (3, 2), (5, 31), (7, 257), (3, 1000), (2, 4096), (3, 4097), (2, 9000), (3, 50257)]
    return lambda x: torch.softmax(x, -1), [(s,) for s in sizes], ((16384, 4096),), 1e-5, lambda i: ("bytes", 2 * i[0].numel() * i[0].element_size())


def matmul():
    sizes = [(1, 1, 1), (64, 64, 16), (65, 63, 17), (128, 64, 40), (33, 130, 100), (512, 512, 512), (1000, 1001, 999)]
    return (lambda a, b: a @ b), [((m, k), (k, n)) for m, n, k in sizes], ((4096, 4096), (4096, 4096)), 1e-5, lambda i: ("flop", 2 * i[0].shape[0] * i[0].shape[1] * i[1].shape[1])


OPERATORS = {"vector-add": vector_add, "row-softmax": row_softmax, "tiled-matmul": matmul}


def checked(name, call, operator, dtype):
    reference, sizes, large, tolerance, cost = OPERATORS[operator]()
    tolerance = tolerance if dtype == torch.float32 else 2e-3
    worst = 0.0
    for shapes in sizes + [large]:
        inputs = [torch.randn(s, device="cuda", dtype=dtype) for s in shapes]
        expected = reference(*[x.double() for x in inputs])
        output = torch.full(expected.shape, float("nan"), device="cuda", dtype=dtype)
        call(inputs, output)
        torch.cuda.synchronize()
        if expected.numel():
            scale = expected.abs().max().clamp_min(1e-30)
            error = ((output.double() - (expected if tolerance else expected.to(dtype).double())).abs().max() / scale).item()
            worst = max(worst, error if error == error else float("inf"))
        del inputs, expected, output
    inputs = [torch.randn(s, device="cuda", dtype=dtype) for s in large]
    output = reference(*inputs)
    ours = seconds(lambda: call(inputs, output))
    theirs = seconds(lambda: reference(*inputs))
    unit, amount = cost(inputs)
    return {"sample": name, "dtype": str(dtype).removeprefix("torch."), "right": worst <= tolerance, "worst_relative_error": worst, "latency_s": ours, "torch_latency_s": theirs,
            "rate": amount / ours, "unit": f"{unit}/s", "shapes": [list(s) for s in large]}


MEASURES = r"""
#include <cstdio>
#include <cuda_runtime.h>
#include <chrono>
#include <algorithm>
#include <vector>
using clk = std::chrono::steady_clock;
__global__ void nothing() {}
__global__ void copy(const float4* x, float4* y, long n) { for (long i = blockIdx.x * (long)blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) y[i] = x[i]; }
__global__ void sum(const float4* x, float* y, long n, int rounds) {
  float s = 0;
  for (int r = 0; r < rounds; ++r)
    for (long i = blockIdx.x * (long)blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) { float4 v = __ldcg(x + i); s += v.x + v.y + v.z + v.w; }
  if (s == 12345.f) *y = s;
}
__global__ void sum_four(const float4* x, float* y, long n) {
  float s = 0;
  for (long i = threadIdx.x; i + 3 * blockDim.x < n; i += 4 * blockDim.x) {
    const float4 a = __ldcs(x + i), b = __ldcs(x + i + blockDim.x), c = __ldcs(x + i + 2 * blockDim.x), d = __ldcs(x + i + 3 * blockDim.x);
    s += a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w + c.x + c.y + c.z + c.w + d.x + d.y + d.z + d.w;
  }
  if (s == 12345.f) *y = s;
}
__global__ void fma(float* y, int rounds) {
  float a[8]; for (int i = 0; i < 8; ++i) a[i] = threadIdx.x + i;
  for (int r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < 8; ++i) a[i] = a[i] * 1.0001f + 0.5f;
  float s = 0; for (int i = 0; i < 8; ++i) s += a[i];
  if (s == 12345.f) *y = s;
}
__global__ void same_atomic(float* y, int rounds) { for (int r = 0; r < rounds; ++r) atomicAdd(y, 1.f); }
__global__ void own_atomic(float* y, int rounds, long n) { long at = (blockIdx.x * (long)blockDim.x + threadIdx.x) % n; for (int r = 0; r < rounds; ++r) atomicAdd(y + at, 1.f); }
__global__ void chase(const long* next, long steps, long* out, long long* cycles) { long at = 0; for (int i = 0; i < 64; ++i) at = next[at]; long long t = clock64(); for (long i = 0; i < steps; ++i) at = next[at]; *cycles = clock64() - t; *out = at; }
template <class F> double timed(F f, int repeats = 15) {
  cudaEvent_t a, b; cudaEventCreate(&a); cudaEventCreate(&b); f(); cudaDeviceSynchronize();
  std::vector<double> t;
  for (int i = 0; i < repeats; ++i) { cudaEventRecord(a); f(); cudaEventRecord(b); cudaEventSynchronize(b); float ms; cudaEventElapsedTime(&ms, a, b); t.push_back(ms / 1e3); }
  std::sort(t.begin(), t.end()); return t[t.size() / 2];
}
int main() {
  cudaDeviceProp p; cudaGetDeviceProperties(&p, 0);
  const int sms = p.multiProcessorCount;
  char* memory; const size_t total = 4ull << 30; cudaMalloc(&memory, 2 * total); cudaMemset(memory, 0, 2 * total);
  float* y = (float*)memory;
  std::printf("{\"name\": \"%s\", \"sms\": %d, \"l2_bytes\": %d, \"shared_per_block_optin\": %zu", p.name, sms, p.l2CacheSize, p.sharedMemPerBlockOptin);
  { // host side of a launch, and a chain of empty kernels
    for (int i = 0; i < 100; ++i) nothing<<<1, 32>>>(); cudaDeviceSynchronize();
    std::vector<double> h, d;
    for (int k = 0; k < 15; ++k) { auto t = clk::now(); for (int i = 0; i < 500; ++i) nothing<<<1, 32>>>(); h.push_back(std::chrono::duration<double>(clk::now() - t).count() / 500); cudaDeviceSynchronize(); }
    std::sort(h.begin(), h.end()); std::printf(", \"launch_host_s\": %.3g", h[7]);
    double chain = timed([] { for (int i = 0; i < 1000; ++i) nothing<<<1, 32>>>(); }) / 1000;
    std::printf(", \"empty_kernel_in_stream_s\": %.3g", chain);
    cudaStream_t s; cudaStreamCreate(&s); cudaGraph_t g; cudaGraphExec_t e;
    cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal); for (int i = 0; i < 1000; ++i) nothing<<<1, 32, 0, s>>>(); cudaStreamEndCapture(s, &g); cudaGraphInstantiate(&e, g, 0);
    cudaEvent_t a, b; cudaEventCreate(&a); cudaEventCreate(&b); std::vector<double> t;
    for (int k = 0; k < 15; ++k) { cudaEventRecord(a, s); cudaGraphLaunch(e, s); cudaEventRecord(b, s); cudaEventSynchronize(b); float ms; cudaEventElapsedTime(&ms, a, b); t.push_back(ms / 1e6); }
    std::sort(t.begin(), t.end()); std::printf(", \"empty_kernel_in_graph_s\": %.3g", t[7]);
    std::vector<double> w; for (int k = 0; k < 101; ++k) { auto t0 = clk::now(); nothing<<<1, 32>>>(); cudaDeviceSynchronize(); w.push_back(std::chrono::duration<double>(clk::now() - t0).count()); }
    std::sort(w.begin(), w.end()); std::printf(", \"launch_and_wait_s\": %.3g", w[50]);
  }
  std::printf(", \"copy_bytes_per_s\": {");
  const size_t copies[] = {1u << 20, 4u << 20, 16u << 20, 64u << 20, 256u << 20, 1u << 30, 4ull << 30};
  for (size_t c : copies) { double t = timed([&] { for (int r = 0; r < 10; ++r) copy<<<sms * 16, 256>>>((float4*)memory, (float4*)(memory + total), c / 16); }) / 10; std::printf("%s\"%zu\": %.4g", c == copies[0] ? "" : ", ", c, 2.0 * c / t); }
  std::printf("}, \"read_bytes_per_s\": {");
  const size_t reads[] = {4u << 20, 8u << 20, 16u << 20, 24u << 20, 32u << 20, 40u << 20, 64u << 20, 1u << 30};
  for (size_t c : reads) { int rounds = (int)std::max<size_t>(1, (1ull << 30) / c); double t = timed([&] { sum<<<sms * 8, 256>>>((float4*)memory, y, c / 16, rounds); }); std::printf("%s\"%zu\": %.4g", c == reads[0] ? "" : ", ", c, (double)c * rounds / t); }
  std::printf("}, \"one_sm_read_bytes_per_s\": %.4g", [&] { double t = timed([&] { sum_four<<<1, 1024>>>((float4*)memory, y, (256u << 20) / 16); }, 5); return (256u << 20) / t; }());
  std::printf(", \"fma_flop_per_s\": %.4g", [&] { double t = timed([&] { fma<<<sms * 8, 256>>>(y, 20000); }); return 2.0 * 8 * 20000 * sms * 8.0 * 256 / t; }());
  std::printf(", \"atomics_one_address_per_s\": %.4g", [&] { double t = timed([&] { same_atomic<<<sms, 256>>>(y, 64); }); return 64.0 * sms * 256 / t; }());
  std::printf(", \"atomics_spread_per_s\": %.4g", [&] { double t = timed([&] { own_atomic<<<sms * 8, 256>>>(y, 64, 1 << 22); }); return 64.0 * sms * 8 * 256 / t; }());
  std::printf(", \"load_latency_cycles\": {");
  const size_t spans[] = {16u << 10, 128u << 10, 8u << 20, 1u << 30};
  long* out; long long* cycles; cudaMalloc(&out, 8); cudaMalloc(&cycles, 8);
  for (size_t span : spans) { // a ring over the span; the largest is walked once, after the L2 cache was filled with something else
    const long count = span / 128; std::vector<long> ring(span / 8); long at = 0, step = 33; while (std::__gcd(step, count) != 1) ++step;
    for (long i = 0; i < count; ++i) { long to = (at + step) % count; ring[at * 16] = to * 16; at = to; }
    cudaMemcpy(memory, ring.data(), span, cudaMemcpyHostToDevice);
    const bool once = span > (256u << 20); const long steps = once ? 20000 : std::max<long>(2 * count, 20000);
    if (once) sum<<<sms * 8, 256>>>((float4*)(memory + total), y, total / 16, 1); else chase<<<1, 1>>>((long*)memory, steps, out, cycles);
    chase<<<1, 1>>>((long*)memory, steps, out, cycles);
    long long c; cudaMemcpy(&c, cycles, 8, cudaMemcpyDeviceToHost); std::printf("%s\"%zu\": %.1f", span == spans[0] ? "" : ", ", span, (double)c / steps);
  }
  std::printf("}, \"error\": \"%s\"}\n", cudaGetErrorString(cudaDeviceSynchronize()));
}
"""


def measured(folder, architecture):
    source, program = folder / "measures.cu", folder / "measures"
    source.write_text(MEASURES)
    subprocess.run(["nvcc", "-std=c++17", "-O3", f"-arch={architecture}", str(source), "-o", str(program)], check=True)
    return json.loads(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=pathlib.Path)
    chosen = options.parse_args()
    if not torch.cuda.is_available():
        print("samples_on_gpu.py: no GPU here")
        return 2
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    architecture = "sm_%d%d" % torch.cuda.get_device_capability()
    with tempfile.TemporaryDirectory() as made:
        folder, results = pathlib.Path(made), []
        for page in sorted(SAMPLES.glob("*.md")):
            language, _, operator = page.stem.partition("-")
            if language not in ("cuda", "triton"):
                continue
            call = compiled(page, folder, architecture) if language == "cuda" else imported(page, folder)
            for dtype in (torch.float32,) if language == "cuda" else (torch.float32, torch.float16):
                try:
                    results.append(checked(page.stem, call, operator, dtype))
                except Exception as failed:  # the other samples are still wanted
                    results.append({"sample": page.stem, "dtype": str(dtype), "right": False, "failed": f"{type(failed).__name__}: {failed}"[:400]})
                print(results[-1], flush=True)
        figures = measured(folder, architecture)
        print(figures, flush=True)
    import triton
    nvcc = subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout.strip().splitlines()[-1]
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "triton": triton.__version__, "nvcc": nvcc, "samples": results, "figures": figures}
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1))
    wrong = [r for r in results if not r["right"]]
    print(f"{len(results)} runs of samples on {report['device']}, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
