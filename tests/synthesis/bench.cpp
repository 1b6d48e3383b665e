// Bench driver: prints, compiles, verifies and times schedules of an operator file, in interleaved rounds so that ratios hold on a noisy host.
//   synthesis_bench OPERATOR.json [--schedule "verb(subject, k=v); …"]… [--proposals N] [--axes M=64,…] [--print] [--rounds N] [--seed S]
#include "actors/synthesis/generator.hpp"
#include "actors/synthesis/schedule_text.hpp"
#include "protocol/trace_format.hpp"
#include "tests/synthesis/workbench.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

using namespace kevolve;

namespace {

/// With --cpu: this thread's CPU time, for one-thread figures on a busy host (OMP_NUM_THREADS=1).
bool cpu_time = false;
double now() {
  timespec t{};
  clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds_of(const workbench::kernel& k, const operator_definition& op, const axis_binding& axes, const std::vector<workbench::bytes>& inputs, int rounds) {
  (void)op;
  struct tensor {
    void* data;
    const std::int64_t* shape;
    const std::int64_t* strides;
    int rank, type;
  };
  std::vector<std::int64_t> values;
  for (const auto& a : axes)
    values.push_back(a.second);
  std::vector<std::vector<std::int64_t>> shapes, strides;
  std::vector<void*> data;
  const auto add = [&](const tensor_spec& s, const workbench::bytes* content) {
    shapes.push_back(*bind_shape(s.shape, axes));
    std::vector<std::int64_t> st(shapes.back().size(), 1);
    for (std::size_t d = st.size(); d-- > 1;)
      st[d - 1] = st[d] * shapes.back()[d];
    strides.push_back(st);
    const auto n = static_cast<std::size_t>(*element_count(shapes.back())) * size_of(s.type);
    data.push_back(std::aligned_alloc(4096, (n + 4095) / 4096 * 4096 + 4096));
    if (content)
      std::memcpy(data.back(), content->data(), n);
    else
      std::memset(data.back(), 0, n);
  };
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    add(op.inputs[i], &inputs[i]);
  for (const auto& o : op.outputs)
    add(o, nullptr);
  std::vector<tensor> tensors;
  for (std::size_t i = 0; i < data.size(); ++i)
    tensors.push_back({data[i], shapes[i].data(), strides[i].data(), static_cast<int>(shapes[i].size()),
                       static_cast<int>(i < op.inputs.size() ? op.inputs[i].type : op.outputs[i - op.inputs.size()].type)});
  const auto need = k.workspace ? static_cast<std::size_t>(k.workspace(values.data())) : 0;
  void* space = std::aligned_alloc(4096, (need + 8191) / 4096 * 4096);
  std::memset(space, 0, need);
  double best = 1e30;
  for (int r = 0; r < rounds; ++r) {
    const double begin = now();
    k.entry(tensors.data(), tensors.data() + op.inputs.size(), values.data(), space, nullptr);
    best = std::min(best, now() - begin);
  }
  for (auto* d : data)
    std::free(d);
  std::free(space);
  return best;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> schedules;
  axis_binding only;
  int proposals = 0, rounds = 20;
  std::uint64_t seed = 1;
  bool print = false, check = true;
  for (int i = 2; i < argc; ++i) {
    const std::string a = argv[i];
    const auto next = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    if (a == "--schedule") schedules.push_back(next());
    else if (a == "--proposals") proposals = std::atoi(next().c_str());
    else if (a == "--rounds") rounds = std::atoi(next().c_str());
    else if (a == "--seed") seed = std::strtoull(next().c_str(), nullptr, 10);
    else if (a == "--print") print = true;
    else if (a == "--cpu") cpu_time = true;
    else if (a == "--unchecked") check = false;
    else if (a == "--axes") {
      std::string list = next();
      for (char* p = std::strtok(list.data(), ","); p; p = std::strtok(nullptr, ","))
        if (char* e = std::strchr(p, '='))
          only.emplace_back(std::string(p, e), std::atoll(e + 1));
    }
  }
  auto subject = read_problem(argv[1]);
  if (!subject)
    return std::fprintf(stderr, "%s\n", subject.error().message.c_str()), 1;
  auto g = synthesis::generator::make(*subject, target{}, "g++");
  if (!g)
    return std::fprintf(stderr, "%s\n", g.error().message.c_str()), 1;
  std::vector<candidate> all;
  for (const auto& s : schedules) {
    auto parsed = synthesis::schedule_from_text(s);
    if (!parsed)
      return std::fprintf(stderr, "%s\n", parsed.error().message.c_str()), 1;
    auto p = (*g)->print(*parsed, {"given", s, ""});
    for (const auto& k : p->skipped)
      std::fprintf(stderr, "skipped: %s\n", k.c_str());
    all.push_back(p->what);
  }
  synthesis::context c;
  for (int n = 0; n < proposals; ++n) {
    auto p = (*g)->propose(c, rng(seed, static_cast<std::uint64_t>(n), "bench"));
    if (!p) {
      std::fprintf(stderr, "%s\n", p.error().message.c_str());
      break;
    }
    c.refused.push_back(p->what.id);
    all.push_back(p->what);
    if (n == 0) {
      c.parent = synthesis::attempt{};
      c.parent->printed_from = *p->what.printed_from;
    }
  }
  std::vector<workload> loads = subject->workloads;
  if (!only.empty()) {
    loads.assign(1, {});
    loads[0].axes = only;
  }
  std::vector<workbench::kernel> kernels;
  for (const auto& x : all) {
    if (print)
      std::printf("%s\n", x.sources[0].content.c_str());
    std::string log;
    const auto begin = std::chrono::steady_clock::now();
    auto k = workbench::compile({x}, log);
    const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (k.empty()) {
      std::printf("COMPILE ERROR %s\n%s\n", to_string(*x.printed_from).c_str(), log.substr(0, 3000).c_str());
      kernels.emplace_back();
      continue;
    }
    kernels.push_back(k[0]);
    std::string wrong;
    if (check) {
      std::vector<axis_binding> sizes;
      for (const int n : {1, 7, 33}) {
        axis_binding b;
        for (const auto& axis : subject->op.axes)
          if (axis.kind == axis_kind::variable)
            b.emplace_back(axis.name, n);
        sizes.push_back(b);
      }
      wrong = workbench::verify(subject->op, x, k[0], sizes, seed, 1e-4);
    }
    std::printf("compiled in %.2f s%s %s\n", s, wrong.empty() ? "" : (" WRONG " + wrong).c_str(), to_string(*x.printed_from).c_str());
  }
  for (const auto& w : loads) {
    const auto axes = *bind_axes(subject->op, w.axes);
    const auto cost = agent::cost_of(subject->op, axes);
    const auto inputs = workbench::native(workbench::draw_inputs(subject->op, axes, seed), subject->op.inputs);
    std::vector<double> best(all.size(), 1e30);
    for (int r = 0; r < 3; ++r)
      for (std::size_t i = 0; i < all.size(); ++i)
        if (kernels[i].entry)
          best[i] = std::min(best[i], seconds_of(kernels[i], subject->op, axes, inputs, rounds));
    std::printf("%s\n", w.name.c_str());
    for (std::size_t i = 0; i < all.size(); ++i)
      std::printf("  %9.3f ms  %7.1f GB/s  %7.1f GFLOP/s  %s\n", best[i] * 1e3, cost ? (cost->input_bytes + cost->output_bytes) / best[i] / 1e9 : 0,
                  cost ? cost->operations / best[i] / 1e9 : 0, to_string(*all[i].printed_from).c_str());
  }
  return 0;
}
