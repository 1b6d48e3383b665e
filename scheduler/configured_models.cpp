#include "scheduler/configured_models.hpp"

#include "scheduler/day_limit.hpp"
#include "scheduler/documents.hpp"
#include "scheduler/target_description.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <thread>

namespace kevolve::scheduler {
namespace {

constexpr std::int64_t day_ms = 86'400'000;
constexpr unsigned checks_at_once = 2;       // compilers for checks, beside those of evaluations
constexpr std::size_t prompt_share = 4;      // a prompt takes at most this part of a model's window
constexpr std::size_t passages_of_a_prompt = 3;
constexpr std::size_t passages_of_a_manual = 32;
constexpr std::size_t prompt_tokens_most = 24'000;

std::int64_t unix_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

bool answers_by_itself(llm::provider_kind kind) {
  return kind == llm::provider_kind::exec || kind == llm::provider_kind::manual || kind == llm::provider_kind::replay;
}

/// Runs compile checks one after the other on a few threads.
class check_queue {
public:
  explicit check_queue(agent::host_evaluator* evaluator) : evaluator_(evaluator) {
    for (unsigned i = 0; evaluator_ && i < checks_at_once; ++i)
      threads_.emplace_back([this] { work(); });
  }
  ~check_queue() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
      cancelled_ = true;
    }
    changed_.notify_all();
    for (auto& t : threads_)
      t.join();
  }
  void put(candidate what, std::vector<std::string> command, std::function<void(std::string)> then) {
    if (!evaluator_)
      return then("");
    std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(what), std::move(command), std::move(then)});
    changed_.notify_one();
  }

private:
  struct check {
    candidate what;
    std::vector<std::string> command;
    std::function<void(std::string)> then;
  };
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return over_ || !waiting_.empty(); });
      if (over_)
        return;
      check next = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      auto messages = evaluator_->compile_only(next.what, next.command, cancelled_);
      next.then(messages ? *messages : ""); // no compiler here: the agent will tell
    }
  }
  agent::host_evaluator* evaluator_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<check> waiting_;
  bool over_ = false;
  std::atomic<bool> cancelled_{false};
  std::vector<std::thread> threads_;
};

class configured_desk final : public model_desk {
public:
  configured_desk(model_configuration from, llm::surroundings around, const settings& documents, kb::store& memory, agent::host_evaluator* evaluator,
                  std::vector<target_description> described)
      : documents_(documents), described_(std::move(described)), from_(std::move(from)), around_(std::move(around)), memory_(memory), library_(std::make_unique<living_library>(documents)), checks_(evaluator) {
    model_spending so_far;
    if (auto spent = spent_today(memory_, unix_ms()))
      so_far = *spent;
    day_.emplace(model_spending{from_.day_tokens, from_.day_usd}, so_far, unix_ms());
  }

  result<model_seat> find(const std::string& synthesizer) override {
    std::lock_guard lock(mutex_);
    model_seat seat;
    const auto model = std::find_if(from_.models.begin(), from_.models.end(), [&](const llm::model_settings& m) { return m.name == synthesizer; });
    if (model != from_.models.end()) {
      seat.model = *model;
    } else {
      seat.model.name = synthesizer;
      seat.model.provider = synthesizer;
    }
    const auto settings = std::find_if(from_.providers.begin(), from_.providers.end(), [&](const llm::provider_settings& p) { return p.name == seat.model.provider; });
    if (settings == from_.providers.end() || (model == from_.models.end() && !answers_by_itself(settings->kind)))
      return error{errc::configuration, fmt::format("synthesizer '{}': found no such model or provider in the settings; expected one of {}", synthesizer, names())};
    auto& made = providers_[settings->name];
    if (!made) {
      KEVOLVE_TRY(provider, llm::make_provider(*settings, around_));
      made = std::move(provider);
    }
    seat.provider = made;
    seat.prompt_tokens = seat.model.prompt_tokens ? seat.model.prompt_tokens : std::min<std::size_t>(prompt_tokens_most, seat.model.context_tokens / prompt_share);
    seat.repairs = seat.model.repairs;
    seat.blank_feedback = seat.model.blank_feedback;
    return seat;
  }

  std::vector<synthesis::reading> read(const lookup& what) override {
    if (!library_)
      return {};
    std::vector<synthesis::reading> readings;
    const auto library = library_->now();
    for (const kb::found_passage& f : library->search({what.on.platform, what.on.architecture, what.on.language, what.signals, what.words, passages_of_a_prompt}))
      readings.push_back({f.of->id + ", " + f.what->heading, f.what->text, f.why});
    if (!synthesis::language_of(what.on))
      add_manuals(*library, what.on, readings);
    return readings;
  }

  std::shared_ptr<const synthesis::language> language(const target& on) override {
    if (auto known = model_desk::language(on))
      return known;
    for (const target_description& d : described_)
      if (d.on == on)
        return std::make_shared<const synthesis::language>(synthesis::language_of_description(d));
    if (auto added = added_description(documents_, on))
      return std::make_shared<const synthesis::language>(synthesis::language_of_description(*added));
    return nullptr;
  }

  void compile(const candidate& what, const target& on, std::function<void(std::string)> then) override {
    const synthesis::language* in = synthesis::language_of(on);
    std::vector<std::string> command;
    if (in && !in->runs) {
      if (in->compile_check.empty())
        return then("");
      command = in->compile_check;
      for (std::string& argument : command)
        if (auto at = argument.find("{architecture}"); at != argument.npos)
          argument.replace(at, std::string_view("{architecture}").size(), on.architecture);
    }
    checks_.put(what, std::move(command), std::move(then));
  }

  bool reserve(std::uint64_t tokens, double usd) override {
    std::lock_guard lock(mutex_);
    return day_->reserve(unix_ms(), {tokens, usd});
  }

  void settle(std::uint64_t reserved_tokens, double reserved_usd, std::uint64_t tokens, double usd) override {
    std::lock_guard lock(mutex_);
    day_->settle({reserved_tokens, reserved_usd}, {tokens, usd});
  }

private:
  /// No model was taught a described device: all that is written about it, as far as the prompt has room, behind what was found.
  static void add_manuals(const kb::library& all, const target& on, std::vector<synthesis::reading>& to) {
    const auto names = [](const std::vector<std::string>& of, const std::string& what) { return std::find(of.begin(), of.end(), what) != of.end(); };
    for (const kb::document& d : all.documents())
      for (const kb::passage& p : d.passages) {
        const std::string source = d.id + ", " + p.heading;
        const bool fits = names(d.platforms, on.platform) && (d.languages.empty() || names(d.languages, on.language)) && (d.architectures.empty() || names(d.architectures, on.architecture));
        if (fits && to.size() < passages_of_a_manual && std::none_of(to.begin(), to.end(), [&](const synthesis::reading& r) { return r.source == source; }))
          to.push_back({source, p.text, "about this device"});
      }
  }

  std::string names() const {
    std::string all = "generator";
    for (const std::string& name : from_.synthesizers())
      all += ", " + name;
    return all;
  }

  settings documents_;
  std::vector<target_description> described_;
  model_configuration from_;
  llm::surroundings around_;
  kb::store& memory_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<llm::provider>> providers_;
  std::optional<day_limit> day_;
  std::unique_ptr<living_library> library_;
  check_queue checks_; // last: its threads end first
};

} // namespace

std::vector<std::string> model_configuration::synthesizers() const {
  std::vector<std::string> names;
  for (const llm::model_settings& m : models)
    names.push_back(m.name);
  for (const llm::provider_settings& p : providers)
    if (answers_by_itself(p.kind) && std::find(names.begin(), names.end(), p.name) == names.end())
      names.push_back(p.name);
  return names;
}

std::shared_ptr<model_desk> open_models(model_configuration from, llm::surroundings around, const settings& documents, kb::store& memory, agent::host_evaluator* evaluator,
                                        std::vector<target_description> described) {
  return std::make_shared<configured_desk>(std::move(from), std::move(around), documents, memory, evaluator, std::move(described));
}

result<model_spending> spent_today(const kb::store& memory, std::int64_t now_ms) {
  const std::int64_t begin = now_ms / day_ms * day_ms;
  model_spending sum;
  KEVOLVE_TRY(sessions, memory.sessions());
  for (const kb::session_summary& s : sessions) {
    if (s.changed_ms < begin)
      continue;
    KEVOLVE_TRY(log, memory.events(s.session));
    std::map<std::pair<node_number, std::uint32_t>, model_asked> open;
    for (const event& e : log) {
      if (const auto* asked = std::get_if<model_asked>(&e); asked && asked->at_ms >= begin) {
        sum.tokens += asked->reserved_tokens;
        sum.usd += asked->reserved_usd;
        open[{asked->number, asked->step}] = *asked;
      } else if (const auto* said = std::get_if<model_answered>(&e)) {
        if (auto was = open.find({said->number, said->step}); was != open.end()) {
          sum.tokens += said->used.input + said->used.output - was->second.reserved_tokens;
          sum.usd += said->cost_usd - was->second.reserved_usd;
          open.erase(was);
        }
      }
    }
  }
  return sum;
}

} // namespace kevolve::scheduler
