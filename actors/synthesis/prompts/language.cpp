#include "actors/synthesis/prompts/language.hpp"

#include <algorithm>

namespace kevolve::synthesis {
namespace {

constexpr const char* native_tensor = R"(    #include "kevolve.h"
    extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void* workspace, void* stream);

`inputs` and `outputs` are in the operator's order; a tensor has data, shape, strides (in elements), rank and dtype; scalars are tensors of rank 0. `axes`
holds the values of the operator's axes in their order. Write every element of every output, return 0. Inputs are read-only and stay as they are. Where
scratch memory is needed, also define `extern "C" kevolve_int64 kevolve_workspace_bytes(const kevolve_int64* axes)`: `workspace` then points to
that many bytes, aligned to 4096; otherwise it is null. Data is aligned to 64 bytes and row-major unless its strides say otherwise.
)";

language cpp() {
  language l;
  l.name = "cpp";
  l.platform = "cpu";
  l.title = "C++20 for CPUs";
  l.fence = "cpp";
  l.main_file = "kernel.cpp";
  l.entry = "kevolve_run";
  l.build.flags = {"-O3", "-march=native", "-fopenmp"};
  l.abi = std::string("Compiled by g++ 12 as C++20 with the flags -O3 -march=native -fopenmp. It defines\n\n") + native_tensor +
          R"(
OpenMP is the only source of threads. GCC's vector extensions and the compiler's intrinsics (immintrin.h) may be used. Allowed from outside are libm,
memory (malloc, free, memcpy, memset …) and OpenMP; nothing else links: no files, no output, no processes, no other libraries, no global objects with
constructors, no state that is kept from call to call. Results must not depend on earlier calls: contents change under the same pointers.
To build with further flags, put a first line `// flags: -ffast-math -funroll-loops` into kernel.cpp.
)";
  l.example = R"(#include "kevolve.h"

extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 n = axes[0];
  const float* x = static_cast<const float*>(inputs[0].data);
  float* y = static_cast<float*>(outputs[0].data);
  #pragma omp parallel for simd schedule(static)
  for (kevolve_int64 i = 0; i < n; ++i)
    y[i] = 2 * x[i];
  return 0;
}
)";
  for (const char* word : {"pthread_create", "std::thread", "std::async", "std::jthread"})
    l.forbidden.push_back({word, "threads come from OpenMP only"});
  for (const char* word : {"fork", "vfork", "execve", "system", "popen", "dlopen", "dlsym", "mmap", "mprotect", "syscall", "ptrace", "socket", "fopen", "getenv", "setenv", "clock_gettime", "gettimeofday"})
    l.forbidden.push_back({word, "a candidate computes; it does not call the system"});
  for (const char* word : {"printf", "fprintf", "puts", "std::cout", "std::cerr", "iostream", "fstream", "cstdio", "stdio.h", "thread", "pthread.h", "dlfcn.h", "unistd.h", "torch/extension.h"})
    l.forbidden.push_back({word, "it does not link: only libm, memory and OpenMP do"});
  l.forbidden.push_back({"constructor", "code that runs before the call is refused"});
  l.runs = true;
  return l;
}

language gpu(std::string name, std::string platform, std::string title, std::string file, std::string runtime, std::vector<std::string> check) {
  language l;
  l.name = std::move(name);
  l.platform = std::move(platform);
  l.title = std::move(title);
  l.fence = "cpp";
  l.main_file = std::move(file);
  l.entry = "kevolve_run";
  l.build.language = l.name;
  l.build.entry_point = l.main_file + "::kevolve_run";
  l.build.compiler = check.front();
  l.build.flags = {"-O3"};
  const std::string prefix = runtime;
  l.abi = std::string("Host code that launches kernels. It defines\n\n") + native_tensor + "\nTensors and workspace are device memory; `stream` is a " + prefix +
          "Stream_t: launch on it, on no other, and return without waiting for it. Check `" + prefix +
          "GetLastError()` after launches and return it where it is not 0. No device memory is allocated, no stream or graph is created in a call.\n";
  l.example = "#include \"kevolve.h\"\n" + std::string(runtime == "hip" ? "#include <hip/hip_runtime.h>\n" : "") + R"(
__global__ void twice(const float* x, float* y, long n) {
  for (long i = blockIdx.x * (long)blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x)
    y[i] = 2 * x[i];
}

extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void*, void* stream) {
  const long n = axes[0];
  const long blocks = (n + 255) / 256;
  twice<<<blocks < 4096 ? blocks : 4096, 256, 0, static_cast<)" + prefix + R"(Stream_t>(stream)>>>(
    static_cast<const float*>(inputs[0].data), static_cast<float*>(outputs[0].data), n);
  return static_cast<int>()" + prefix + R"(GetLastError());
}
)";
  for (const char* word : {"DeviceSynchronize", "StreamCreate", "StreamCreateWithFlags", "Malloc", "Free", "GraphLaunch", "Memcpy", "DeviceReset", "DeviceSetLimit", "CtxResetPersistingL2Cache"})
    l.forbidden.push_back({prefix + word, "a call launches kernels on the given stream; it neither waits nor allocates nor changes the device"});
  for (const char* word : {"cublas_v2.h", "cudnn.h", "rocblas.h", "hipblas.h", "miopen.h", "torch/extension.h"})
    l.forbidden.push_back({word, "libraries that hold finished kernels are not to be called"});
  l.compile_check = std::move(check);
  return l;
}

language python(std::string name, std::string platform, std::string title, std::string imports, std::string example) {
  language l;
  l.name = std::move(name);
  l.platform = std::move(platform);
  l.title = std::move(title);
  l.fence = "python";
  l.main_file = "kernel.py";
  l.entry = "run";
  l.build.language = l.name;
  l.build.entry_point = "kernel.py::run";
  l.build.compiler = "python";
  l.abi = "One Python module. It defines `run(*inputs, *outputs)`: tensors on the device in the operator's order, outputs preallocated and written in place "
          "(destination passing); nothing is returned. " + std::move(imports) +
          " Work is launched on the current stream; no synchronisation, no state that is kept from call to call, no call of torch operators that compute.\n";
  l.example = std::move(example);
  for (const char* word : {"torch.nn", "torch.matmul", "torch.compile", "torch.cuda.synchronize", "torch.cuda.Stream", "torch.cuda.graph", "subprocess", "os.system", "ctypes", "importlib", "inspect", "threading"})
    l.forbidden.push_back({word, "the kernel itself computes: no library operator, no other process, no other stream"});
  l.compile_check = {"python3", "-m", "py_compile", "{file}"};
  return l;
}

language mtia() {
  language l = cpp();
  l.name = "mtia-cpp";
  l.platform = "mtia";
  l.title = "C++ for MTIA processing elements";
  l.build.language = l.name;
  l.build.compiler = "mtia-clang";
  l.build.flags = {"-O3"};
  l.abi = std::string("MTIA's toolchain is not public; by assumption a candidate has the native ABI and the toolchain's own headers give access to a processing "
                      "element's units. It defines\n\n") + native_tensor;
  l.runs = false;
  return l;
}

constexpr const char* triton_example = R"(import triton
import triton.language as tl


@triton.jit
def twice(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, 2 * tl.load(x + at, mask=at < n), mask=at < n)


def run(x, y):
    n = x.numel()
    twice[(triton.cdiv(n, 1024),)](x, y, n, BLOCK=1024)
)";

/// The same kernel: what TLX adds is for products and pipelines.
std::string tlx_example() {
  std::string text = triton_example;
  return text.insert(text.find("\n\n\n@triton.jit"), "\nimport triton.language.extra.tlx as tlx");
}

constexpr const char* cutedsl_example = R"(import cutlass
import cutlass.cute as cute
from cutlass.cute.runtime import from_dlpack


@cute.kernel
def twice(x: cute.Tensor, y: cute.Tensor, n: cutlass.Int32):
    at = cute.arch.block_idx()[0] * 256 + cute.arch.thread_idx()[0]
    if at < n:
        y[at] = 2.0 * x[at]


@cute.jit
def launch(x: cute.Tensor, y: cute.Tensor, n: cutlass.Int32):
    twice(x, y, n).launch(grid=((n + 255) // 256, 1, 1), block=(256, 1, 1))


def run(x, y):
    launch(from_dlpack(x.view(-1)), from_dlpack(y.view(-1)), x.numel())
)";

// After FlyDSL's public kernel authoring guide; never run here. Buffer accesses past a tensor's end are dropped by the hardware.
constexpr const char* flydsl_example = R"(import flydsl.compiler as flyc
import flydsl.expr as fx
from flydsl.expr import buffer_ops, gpu


@flyc.kernel
def twice(x: fx.Tensor, y: fx.Tensor):
    at = gpu.block_idx.x * 256 + gpu.thread_idx.x
    value = buffer_ops.buffer_load(buffer_ops.create_buffer_resource(x), at, vec_width=1)
    buffer_ops.buffer_store(value + value, buffer_ops.create_buffer_resource(y), at)


@flyc.jit
def launch(x: fx.Tensor, y: fx.Tensor, blocks: fx.Constexpr[int]):
    twice(x, y).launch(grid=(blocks, 1, 1), block=(256, 1, 1))


def run(x, y):
    launch(x.view(-1), y.view(-1), (x.numel() + 255) // 256)
)";

} // namespace

const std::vector<language>& languages() {
  static const std::vector<language> all{
    cpp(),
    gpu("cuda", "cuda", "CUDA C++", "kernel.cu", "cuda", {"nvcc", "-std=c++17", "-O3", "-arch={architecture}", "-c", "{file}", "-o", "{object}"}),
    gpu("hip", "hip", "HIP C++", "kernel.hip", "hip", {"hipcc", "-std=c++17", "-O3", "--offload-arch={architecture}", "-c", "{file}", "-o", "{object}"}),
    python("triton", "cuda", "Triton for NVIDIA GPUs", "It imports triton and triton.language.", triton_example),
    python("triton", "hip", "Triton for AMD GPUs", "It imports triton and triton.language.", triton_example),
    python("triton", "mtia", "Triton for MTIA", "It imports triton and triton.language.", triton_example),
    python("cutedsl", "cuda", "CuTe DSL", "It imports cutlass.cute.", cutedsl_example),
    python("tlx", "cuda", "TLX (Triton with low-level extensions)", "It imports triton, triton.language and triton.language.extra.tlx.", tlx_example()),
    python("flydsl", "hip", "FlyDSL", "It imports flydsl.", flydsl_example),
    mtia(),
  };
  return all;
}

language language_of_description(const target_description& d) {
  language l;
  l.name = d.on.language;
  l.platform = d.on.platform;
  l.title = d.on.language + " for " + d.name + (d.emulated ? " (a device that is emulated)" : "");
  l.fence = d.on.language;
  l.main_file = d.source;
  l.build = {d.on.language, d.source, to_string(d.on), {}};
  l.abi = "One file, " + d.source + ", in " + d.on.language + " for " + d.name + ". You have not been taught this language: what is said here and in the passages of the knowledge base below is "
          "all there is to go by; make up no instruction.\n";
  if (!d.candidate_form.empty())
    l.abi += "\n" + d.candidate_form + (d.candidate_form.ends_with('\n') ? "" : "\n");
  if (!d.constraints.empty())
    l.abi += "\nIt must obey these constraints of the device:\n";
  for (const std::string& each : d.constraints)
    l.abi += "- " + each + "\n";
  l.example = d.example;
  if (!l.example.empty() && !l.example.ends_with('\n'))
    l.example += "\n";
  l.described = l.runs = true;
  return l;
}

const language* language_of(const target& on) {
  for (const language& l : languages())
    if (l.platform == on.platform && l.name == on.language)
      return &l;
  return nullptr;
}

std::string language_names(std::string_view platform) {
  std::string names;
  for (const language& l : languages())
    if (l.platform == platform)
      names += (names.empty() ? "" : ", ") + l.name;
  return names;
}

} // namespace kevolve::synthesis
