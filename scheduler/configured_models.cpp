#include "scheduler/configured_models.hpp"

#include "scheduler/check_queue.hpp"
#include "scheduler/day_limit.hpp"
#include "scheduler/documents.hpp"
#include "scheduler/target_description.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

namespace kevolve::scheduler {
namespace {

constexpr std::int64_t day_ms = 86'400'000;
constexpr std::size_t passages_of_a_prompt = 3;
constexpr std::size_t passages_of_a_manual = 32;

std::int64_t unix_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

class configured_desk final : public model_desk {
public:
  configured_desk(model_configuration from, llm::surroundings around, const settings& documents, kb::store& memory, agent::host_evaluator* evaluator,
                  std::vector<target_description> described)
      : documents_(documents), described_(std::move(described)), memory_(memory), seats_(std::move(from), std::move(around)), library_(std::make_unique<living_library>(documents)), checks_(evaluator) {
    model_spending so_far;
    const model_configuration& limits = seats_.configured();
    if (limits.day_usd > 0 || limits.day_tokens > 0)
      if (auto spent = spent_today(memory_, unix_ms()))
        so_far = *spent;
    day_.emplace(model_spending{limits.day_tokens, limits.day_usd}, so_far, unix_ms());
  }

  result<model_seat> find(const std::string& synthesizer) override {
    std::lock_guard lock(mutex_);
    return seats_.find(synthesizer);
  }

  bool has(const std::string& synthesizer) override {
    std::lock_guard lock(mutex_);
    return seats_.configured().provider_of(synthesizer) != nullptr;
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

  void compile(const candidate& what, const target& on, std::function<void(std::string)> then) override { checks_.put(what, on, std::move(then)); }

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

  settings documents_;
  std::vector<target_description> described_;
  kb::store& memory_;
  std::mutex mutex_; // guards seats_ and day_
  model_seats seats_;
  std::optional<day_limit> day_;
  std::unique_ptr<living_library> library_;
  check_queue checks_; // last: its threads end first
};

} // namespace

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
