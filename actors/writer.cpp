#include "actors/writer.hpp"

#include "actors/model_record.hpp"
#include "actors/synthesis/frozen_synthesizer.hpp"
#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using synthesis::frozen_synthesizer;
using synthesis::writing;

constexpr std::size_t generators_kept = 8; // making one takes as long as a few proposals
constexpr auto look_every = 100ms;

/// What a thread of a provider or compiler will say.
template <class T>
class awaited {
public:
  void put(T what) {
    std::lock_guard lock(mutex_);
    what_ = std::move(what);
    came_.notify_all();
  }
  /// Null: it did not come within `look_every`.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, look_every, [&] { return what_.has_value(); });
    return std::exchange(what_, std::nullopt);
  }

private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::optional<T> what_;
};

class thawing_writer final : public host_writer {
public:
  thawing_writer(std::vector<writer_description> offers, unsigned slots, std::shared_ptr<model_desk> desk, generator_factory make)
      : offers_(std::move(offers)), slots_(slots), desk_(std::move(desk)), make_(std::move(make)) {}

  std::vector<writer_description> offers() const override { return offers_; }
  unsigned slots() const override { return offers_.empty() ? 0 : slots_; }

  result<written> write(const write_work& what, const std::atomic<bool>& cancelled) override {
    const auto offer = std::find_if(offers_.begin(), offers_.end(), [&](const writer_description& d) { return d.name == what.synthesizer; });
    if (offer == offers_.end())
      return error{errc::infrastructure, "nobody here writes as '" + what.synthesizer + "'"};
    KEVOLVE_TRY(frozen, decode<frozen_synthesizer>(what.state));
    written answer;
    answer.print = what.print;
    auto given = thaw(frozen);
    auto made = !given ? result<synthesis::proposal>(given.error()) : frozen.told ? by_model(what, frozen, std::move(*given), answer, cancelled) : by_generator(frozen, std::move(*given));
    if (!made && (made.error().code == errc::infrastructure || made.error().code == errc::interrupted) && answer.said.empty())
      return made.error();
    if (!made) {
      answer.failed = made.error().code;
      answer.failure = made.error().message;
      return answer;
    }
    answer.what = std::move(made->what);
    answer.edge = std::move(made->edge);
    return answer;
  }

private:
  result<synthesis::proposal> by_generator(const frozen_synthesizer& of, synthesis::context given) {
    return printing(of, [&](const synthesis::generator& prints) {
      if (!of.given)
        return prints.root();
      given.is_known = [&](const candidate_id& id) { return synthesis::is_known(of, id); };
      return prints.propose(given, rng(of.seed, of.number, "synthesis"));
    });
  }

  result<synthesis::proposal> by_model(const write_work& work, const frozen_synthesizer& of, synthesis::context given, written& answer, const std::atomic<bool>& cancelled) {
    if (!desk_)
      return error{errc::infrastructure, "no models are configured here"};
    KEVOLVE_TRY(seat, desk_->find(of.synthesizer));
    const llm::moment deadline = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(work.limit_s));
    model_spending left{work.reserved_tokens, work.reserved_usd};
    writing course(task_of(of, std::move(given)));
    auto next = course.begin();
    for (;;) {
      if (auto* ask = std::get_if<writing::ask>(&next)) {
        const auto before = std::find_if(of.said.begin(), of.said.end(), [&](const model_answered& a) { return a.step == ask->step && a.failure.empty(); });
        if (before != of.said.end()) {
          next = course.said(before->text, before->stop == "length");
          continue;
        }
        KEVOLVE_TRY(said, ask_model(seat, of, *ask, deadline, left, answer, cancelled));
        next = course.said(said.text, said.stop == "length");
      } else if (auto* check = std::get_if<writing::check_compile>(&next)) {
        KEVOLVE_TRY(messages, compile(check->what, of.on, cancelled));
        next = course.compiled(messages);
      } else if (auto* print = std::get_if<writing::print>(&next)) {
        next = course.printed(printing(of, [&](const synthesis::generator& prints) { return prints.print(print->what, print->edge); }));
      } else if (auto* done = std::get_if<writing::done>(&next)) {
        return std::move(done->what);
      } else {
        return std::get<writing::failed>(next).why;
      }
    }
  }

  result<model_answered> ask_model(const model_seat& seat, const frozen_synthesizer& of, const writing::ask& what, llm::moment deadline, model_spending& left,
                                   written& answer, const std::atomic<bool>& cancelled) {
    llm::request request = request_of(seat.model, of.session, of.number, what);
    request.deadline = deadline;
    const model_asked asked = record_of(request, of.synthesizer, of.number, what);
    if (asked.reserved_tokens > left.tokens || asked.reserved_usd > left.usd)
      return error{errc::budget, "what was reserved for this proposal leaves no room for another request"};
    auto reply = std::make_shared<awaited<llm::reply>>();
    const llm::handle under_way = seat.provider->ask(request, [reply](llm::reply got) { reply->put(std::move(got)); });
    std::optional<llm::reply> got;
    for (bool told = false; !got; got = reply->take())
      if (cancelled && !std::exchange(told, true))
        seat.provider->cancel(under_way); // then it answers that it was
    model_answered said = record_of(of.number, what.step, *got, request);
    left.tokens -= std::min(left.tokens, said.used.input + said.used.output);
    left.usd = std::max(0.0, left.usd - said.cost_usd);
    answer.said.push_back({asked, said});
    if (!*got)
      return error{errc::synthesizer, got->failure().message};
    return said;
  }

  result<std::string> compile(const candidate& what, const target& on, const std::atomic<bool>& cancelled) {
    auto messages = std::make_shared<awaited<std::string>>();
    desk_->compile(what, on, [messages](std::string said) { messages->put(std::move(said)); });
    for (;;) {
      if (auto said = messages->take())
        return std::move(*said);
      if (cancelled)
        return error{errc::interrupted, "cancelled"};
    }
  }

  /// With a generator for the proposal's operator, target and compiler; one is used by one thread at a time.
  template <class Use>
  result<synthesis::proposal> printing(const frozen_synthesizer& of, Use use) {
    const std::string key = sha256_hex(encode(of.subject)) + to_string(of.on) + of.compiler;
    std::unique_ptr<synthesis::generator> mine;
    {
      std::lock_guard lock(mutex_);
      const auto kept = std::find_if(idle_.begin(), idle_.end(), [&](const auto& each) { return each.first == key; });
      if (kept != idle_.end()) {
        mine = std::move(kept->second);
        idle_.erase(kept);
      }
    }
    if (!mine) {
      KEVOLVE_TRY(made, make_(of.subject, of.on, of.compiler));
      mine = std::move(made);
    }
    auto made = use(std::as_const(*mine));
    std::lock_guard lock(mutex_);
    idle_.emplace_front(key, std::move(mine));
    if (idle_.size() > generators_kept)
      idle_.pop_back();
    return made;
  }

  const std::vector<writer_description> offers_;
  const unsigned slots_;
  const std::shared_ptr<model_desk> desk_;
  const generator_factory make_;
  std::mutex mutex_;
  std::deque<std::pair<std::string, std::unique_ptr<synthesis::generator>>> idle_; // the newest first
};

} // namespace

writer_description description_of(const std::string& name, const model_seat& seat, double limit_s) {
  writer_description d;
  d.name = name;
  d.model = seat.model.name;
  d.provider = seat.model.provider;
  d.max_output_tokens = seat.model.max_output_tokens;
  d.prompt_tokens = static_cast<std::uint32_t>(seat.prompt_tokens);
  d.repairs = seat.repairs;
  d.billable_attempts = llm::request().billable_attempts;
  d.blank_feedback = seat.blank_feedback;
  d.priced = seat.model.price.has_value();
  if (const auto& price = seat.model.price) {
    d.input_usd = price->input;
    d.cached_input_usd = price->cached_input;
    d.cache_write_usd = price->cache_write;
    d.output_usd = price->output;
  }
  d.limit_s = limit_s;
  return d;
}

std::unique_ptr<host_writer> make_writer(std::vector<writer_description> offers, unsigned slots, std::shared_ptr<model_desk> desk, generator_factory make_generator) {
  return std::make_unique<thawing_writer>(std::move(offers), slots, std::move(desk), std::move(make_generator));
}

} // namespace kevolve
