// kevolve bench llm: how many steps from prompt to candidate a second against a made-up model server that answers at once, and how many requests
// are in flight on one thread where it takes long. Everything but the model is real: prompts, HTTP client, streams, extraction, linter.
#include "actors/synthesis/llm/made_up_server.hpp"
#include "actors/synthesis/prompts/writing.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/specification.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unordered_map>
#include <unordered_set>

namespace kevolve::scheduler {
namespace {

using clock = std::chrono::steady_clock;
using synthesis::writing;

double cpu_s() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto s = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return s(used.ru_utime) + s(used.ru_stime);
}

std::size_t threads_now() {
  std::error_code failed;
  std::size_t count = 0;
  for (auto at = std::filesystem::directory_iterator("/proc/self/task", failed); !failed && at != std::filesystem::directory_iterator(); at.increment(failed))
    ++count;
  return count;
}

/// A distinct kernel of about 2 kB each time, with some words before it, as models answer.
std::string made_up_kernel(std::uint64_t number) {
  std::string body;
  for (int i = 0; i < 24; ++i)
    body += fmt::format("    sum{} += x[i + {}] * x[i + {}]; // lane {}\n", i % 8, i, i, i);
  return fmt::format("The rows are independent, so each thread takes some of them.\n\nIDEA: version {0} with eight accumulators\n```cpp\n#include \"kevolve.h\"\n"
                     "extern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {{\n"
                     "  const float* x = static_cast<const float*>(in[0].data);\n  float sum0 = {0}, sum1 = 0, sum2 = 0, sum3 = 0, sum4 = 0, sum5 = 0, sum6 = 0, sum7 = 0;\n"
                     "  for (long i = 0; i + 24 < axes[0]; i += 24) {{\n{1}  }}\n  *static_cast<float*>(out[0].data) = sum0 + sum1 + sum2 + sum3 + sum4 + sum5 + sum6 + sum7;\n  return 0;\n}}\n```\n",
                     number, body);
}

/// Prompts of a session that has a parent and two earlier attempts.
synthesis::writing_task task_for(const std::shared_ptr<const problem>& subject, const std::function<bool(const candidate&)>& is_known) {
  const auto attempt = [](std::uint64_t n, outcome how) {
    synthesis::attempt a;
    a.edge = {"model", fmt::format("version {}", n), ""};
    a.result = how;
    a.gain = 1.1, a.fitness = 2;
    a.diagnosed.limited_by = bound::memory;
    a.diagnosed.roofline_fraction = 0.42;
    auto c = std::make_shared<candidate>();
    c->author = "made-up", c->sources = {{"kernel.cpp", made_up_kernel(n)}}, c->id = candidate_hash(*c);
    a.written = c;
    auto e = std::make_shared<evaluation>();
    e->result = how, e->diagnosed = a.diagnosed;
    if (how == outcome::compile_error)
      e->log = "kernel.cpp:9:3: error: cannot convert 'float*' to 'int'\n";
    a.evaluated = e;
    return a;
  };
  synthesis::writing_task task;
  task.facts.subject = subject;
  task.facts.on = {"cpu", "x86-64-v4", "cpp"};
  task.facts.in = synthesis::language_of(task.facts.on);
  task.facts.hardware = "cpu-made-up";
  task.facts.given = {.memory = memory_operator::combined, .parent = attempt(1, outcome::passed)};
  task.facts.given.trajectory = {attempt(2, outcome::passed), attempt(3, outcome::passed)};
  task.facts.given.siblings = {attempt(4, outcome::compile_error)};
  task.author = "made-up", task.compiler = "g++";
  task.is_known = is_known;
  return task;
}

struct arrived {
  std::uint64_t step = 0;
  llm::reply what;
};

struct measured {
  std::uint64_t candidates = 0, refused = 0, most_in_flight = 0;
  std::size_t threads_added = 0;
  double wall_s = 0, cpu_s = 0, prompt_bytes = 0;
};

/// Steps in all their stages: `writing` on the caller's thread, what arrives on the provider's.
class steps_under_way {
public:
  steps_under_way(std::shared_ptr<const problem> subject, llm::provider_kind format, llm::provider& from, std::uint32_t steps)
    : subject_(std::move(subject)), from_(from) {
    model_.name = "made-up", model_.stream = true, model_.max_output_tokens = 4000;
    model_.prompt_caching = format == llm::provider_kind::anthropic;
    known_.reserve(steps);
  }
  [[nodiscard]] std::uint64_t begun() const { return begun_; }
  [[nodiscard]] double prompt_bytes() const { return prompt_bytes_; }

  void begin_next() {
    const std::uint64_t step = begun_++;
    auto& one = open_.emplace(step, writing(task_for(subject_, [this](const candidate& c) { return known_.contains(c.id); }))).first->second;
    ask(step, std::get<writing::ask>(one.begin()));
  }

  /// Waits until a step has ended; whether in a candidate.
  result<bool> take_one() {
    for (;;) {
      arrived next = wait();
      if (!next.what)
        return next.what.error();
      auto& one = open_.at(next.step);
      auto then = one.said(next.what->text, next.what->stopped == llm::stop_reason::length);
      if (std::holds_alternative<writing::check_compile>(then))
        then = one.compiled(""); // compilers have slots of their own
      if (auto* again = std::get_if<writing::ask>(&then)) {
        ask(next.step, std::move(*again));
        continue;
      }
      const auto* done = std::get_if<writing::done>(&then);
      if (done)
        known_.insert(done->what.what.id);
      open_.erase(next.step);
      return done != nullptr;
    }
  }

private:
  void ask(std::uint64_t step, writing::ask what) {
    llm::request r;
    r.system = std::move(what.instructions);
    for (std::size_t i = 0; i < what.turns.size(); ++i)
      r.messages.push_back({i % 2 == 0 ? llm::speaker::user : llm::speaker::assistant, what.turns[i]});
    r.model = model_;
    r.idempotency_key = fmt::format("bench/{}/{}", step, what.step);
    prompt_bytes_ += static_cast<double>(llm::most_input_tokens(r));
    from_.ask(std::move(r), [this, step](llm::reply got) {
      {
        std::lock_guard lock(mutex_);
        inbox_.push_back({step, std::move(got)});
      }
      changed_.notify_one();
    });
  }

  arrived wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !inbox_.empty(); });
    arrived next = std::move(inbox_.front());
    inbox_.pop_front();
    return next;
  }

  std::shared_ptr<const problem> subject_;
  llm::provider& from_;
  llm::model_settings model_;
  std::unordered_map<std::uint64_t, writing> open_;
  std::unordered_set<candidate_id> known_;
  std::uint64_t begun_ = 0;
  double prompt_bytes_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<arrived> inbox_;
};

/// Runs so many steps, so many at once; this thread writes the prompts and reads the answers, the provider's does the rest.
result<measured> run_steps(const std::shared_ptr<const problem>& subject, llm::provider_kind format, std::uint32_t steps, std::uint32_t in_flight, double latency_s,
                           const std::function<void(std::uint64_t)>& progress) {
  std::atomic<std::uint64_t> number{100};
  llm::made_up_server server([&](const llm::made_up_request& r) {
    llm::made_up_answer a;
    a.text = made_up_kernel(++number);
    a.latency_s = latency_s;
    a.chunk_bytes = 512;
    return llm::made_up_model(r, a);
  });
  llm::provider_settings settings;
  settings.name = "made-up", settings.kind = format;
  settings.base_url = server.url() + "/v1";
  settings.max_in_flight = in_flight, settings.max_queued = steps;
  settings.idle_timeout_s = settings.timeout_s = 600 + latency_s;
  llm::surroundings around;
  around.env = [](const std::string&) { return std::nullopt; };
  const std::size_t threads_before = threads_now();
  KEVOLVE_TRY(provider, llm::make_provider(settings, around));

  steps_under_way all(subject, format, *provider, steps);
  measured m;
  const double cpu_before = cpu_s();
  const auto began = clock::now();
  while (all.begun() < std::min(steps, in_flight))
    all.begin_next();
  for (std::uint64_t ended = 0; ended < steps;) {
    KEVOLVE_TRY(candidate_made, all.take_one());
    ++ended;
    candidate_made ? ++m.candidates : ++m.refused;
    if (all.begun() < steps)
      all.begin_next();
    if (ended == 1)
      m.threads_added = threads_now() - threads_before;
    progress(ended);
  }
  m.wall_s = std::chrono::duration<double>(clock::now() - began).count();
  m.cpu_s = cpu_s() - cpu_before;
  m.most_in_flight = server.most_open();
  m.prompt_bytes = all.prompt_bytes() / steps;
  return m;
}

} // namespace

result<int> bench_llm(context& in, const llm_options& options) {
  const auto format = llm::provider_kind_from_string(options.format);
  if (!format || *format == llm::provider_kind::exec || *format == llm::provider_kind::manual || *format == llm::provider_kind::replay)
    return error{errc::usage, fmt::format("--format: found '{}', expected openai-chat, openai-responses or anthropic", options.format)};
  KEVOLVE_TRY(read, read_specification("rms_norm_h4096", in.configured));
  const auto subject = std::make_shared<const problem>(std::move(read));
  KEVOLVE_TRY(fast, run_steps(subject, *format, options.steps, options.in_flight, 0,
                              [&](std::uint64_t n) { in.out.progress(fmt::format("{}/{} steps at once", n, options.steps), n % 1000 == 0); }));
  KEVOLVE_TRY(slow, run_steps(subject, *format, options.waiting, options.waiting, options.latency_s,
                              [&](std::uint64_t n) { in.out.progress(fmt::format("{}/{} slow steps", n, options.waiting), n == options.waiting); }));
  const double per_s = static_cast<double>(options.steps) / fast.wall_s;
  nlohmann::ordered_json answer{{"format", options.format}, {"steps", options.steps}, {"candidates", fast.candidates}, {"steps_per_s", per_s}, {"wall_s", fast.wall_s}, {"cpu_s", fast.cpu_s},
                                {"prompt_bytes", fast.prompt_bytes}, {"in_flight", options.in_flight}, {"slow", {{"requests", options.waiting}, {"candidates", slow.candidates},
                                {"latency_s", options.latency_s}, {"most_in_flight", slow.most_in_flight}, {"provider_threads", slow.threads_added}, {"wall_s", slow.wall_s}, {"cpu_s", slow.cpu_s}}}};
  in.out.answer(answer.dump(2));
  in.out.say(fmt::format("{} steps from prompt ({:.0f} bytes) to candidate in {}: {:.0f} a second, {:.2f} ms of CPU each, the made-up server's included\n"
                         "{} requests of {:.0f} s each in {}: {} in flight at once on {} thread{}\n",
                         options.steps, fast.prompt_bytes, show_duration(fast.wall_s), per_s, 1000 * fast.cpu_s / options.steps, options.waiting, options.latency_s,
                         show_duration(slow.wall_s), slow.most_in_flight, slow.threads_added, slow.threads_added == 1 ? "" : "s"));
  return 0;
}

} // namespace kevolve::scheduler
