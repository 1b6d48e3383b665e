#include "tests/simulation/simulated_agent.hpp"

#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::simulation {
namespace {

constexpr double heartbeat_every_s = 1, tick_every_s = 0.25;
constexpr std::size_t lease_bound = 256;
constexpr std::uint64_t piece_bytes = 64; // programs are of up to 400 bytes here

double log_speed(const candidate_id& id) { return rng(7, 0, id).uniform(); }

} // namespace

evaluation measured(const evaluate_work& what) {
  evaluation e;
  e.candidate = what.what.id;
  if (!compiles(what.what.id) && !what.anchors.empty()) {
    e.result = outcome::compile_error;
    return e;
  }
  e.result = rng(11, 0, what.what.id).chance(0.15) && !what.anchors.empty() ? outcome::incorrect_numerical : outcome::passed;
  if (e.result != outcome::passed)
    return e;
  workload_timing t;
  t.workload = "w0";
  t.latency_s = 1e-3 * std::exp(-log_speed(what.what.id));
  for (const candidate& anchor : what.anchors) {
    const double ratio = std::exp(log_speed(what.what.id) - log_speed(anchor.id));
    comparison c{anchor.id, ratio, {ratio * 0.99, ratio * 1.01}, 1e-3, 1, 8};
    c.e_value = ratio > 1.02 ? 1e4 : 0.5;
    t.comparisons.push_back(c);
  }
  e.timings.push_back(t);
  e.diagnosed.limited_by = bound::compute;
  return e;
}

void simulated_agent::start() {
  const std::uint64_t life = bug_ == planted::reuses_incarnation ? 1 : w_.nodes[node_].life;
  identity_ = "agent" + std::to_string(node_) + "/" + std::to_string(life);
  introduction_ = {};
  leases_.emplace(lease_bound);
  working_.clear();
  writing_.clear();
  prints_.clear();
  foreign_.clear();
  programs_.clear();
  errands_.emplace(piece_bytes);
  w_.note(identity_ + " starts");
  books_.joined(identity_);
  say_hello();
  beat();
  struct ticker {
    static void run(simulated_agent& me) {
      me.apply(me.leases_->tick(me.now()));
      me.run_errands();
      if (me.introduction_.is_due(me.now()))
        me.say_hello();
      me.w_.later(me.node_, tick_every_s, [&me] { run(me); });
    }
  };
  w_.later(node_, tick_every_s, [this] { ticker::run(*this); });
}

std::string simulated_agent::holds() const {
  std::string all;
  for (const auto& [lease, print] : prints_)
    all += (all.empty() ? "" : ", ") + lease;
  return std::to_string(held()) + " leases, of " + all;
}

void simulated_agent::say_hello() {
  introduction_.said(now());
  agent_hello hello{identity_.substr(0, identity_.find('/')), identity_, protocol_version, {}, 1};
  for (const auto& [print, answer] : spool_)
    hello.kept.push_back(print);
  for (const auto& [print, w] : writing_)
    hello.kept.push_back(print);
  hello.writers.resize(1);
  hello.writers[0].name = "small";
  hello.writing_slots = node_ % 3 == 0 ? 1 : 2;
  hello.devices.push_back({"cpu0", "simulated", *target_from_string("cpu/x86-64-v4/cpp"), 2});
  hello.compiles = compiles_;
  hello.pieces = true;
  if (compiles_)
    hello.toolchains = {"g++ 12.2.0"};
  hello.machine = "x86_64";
  hello.libc = 2036;
  say_(node_, identity_, std::move(hello));
}

void simulated_agent::beat() {
  say_(node_, identity_, agent_heartbeat{held(), 0});
  w_.later(node_, heartbeat_every_s, [this] { beat(); });
}

void simulated_agent::hear(const std::string& receiver, message what) {
  if (receiver != identity_)
    return;
  if (auto* welcome = std::get_if<agent_welcome>(&what)) {
    if (introduction_.welcomed(welcome->scheduler, now()))
      say_hello();
  } else if (auto* granted = std::get_if<lease_granted>(&what)) {
    apply(leases_->granted(std::move(*granted), now()));
  } else if (auto* answered = std::get_if<compile_answered>(&what)) {
    errands_->heard(std::move(*answered));
  } else if (auto* piece = std::get_if<blob_piece>(&what)) {
    errands_->heard(std::move(*piece), now());
  } else if (auto* missing = std::get_if<blob_missing>(&what)) {
    errands_->heard(std::move(*missing));
  } else if (auto* wanted = std::get_if<blob_wanted>(&what)) {
    give_piece(*wanted);
  } else if (auto* cancelled = std::get_if<lease_cancelled>(&what)) {
    prints_.erase(cancelled->lease);
    apply(leases_->cancelled(*cancelled));
  } else if (auto* done = std::get_if<result_acknowledged>(&what)) {
    leases_->acknowledged(*done);
    if (auto print = prints_.find(done->lease); print != prints_.end()) {
      if (done->counted)
        spool_.erase(print->second);
      prints_.erase(print);
    }
  }
  run_errands();
}

void simulated_agent::apply(std::vector<agent_effect> effects) {
  for (auto& e : effects) {
    w_.boundary(node_);
    if (auto* start = std::get_if<start_work>(&e)) {
      begin(std::move(*start));
    } else if (auto* stop = std::get_if<stop_work>(&e)) {
      this->stop(*stop);
    } else {
      say_(node_, identity_, std::move(std::get<message>(e)));
    }
  }
}

void simulated_agent::begin(start_work what) {
  const auto* only_kept = std::get_if<kept_work>(&what.what);
  const std::string print = only_kept ? only_kept->print : work_print(what.what);
  prints_[what.lease] = print;
  if (auto kept = spool_.find(print); kept != spool_.end()) {
    ++from_spool;
    w_.note(identity_ + " has the answer to " + what.lease);
    return apply(leases_->finished(what.lease, what.epoch, kept->second, now()));
  }
  if (auto* work = std::get_if<compile_work>(&what.what))
    return compile(what, *work);
  if (auto under_way = writing_.find(print); under_way != writing_.end()) {
    w_.note(identity_ + " is about " + what.lease + " already");
    under_way->second.also.emplace_back(what.lease, what.epoch);
    return;
  }
  if (only_kept)
    return apply(leases_->finished(what.lease, what.epoch, std::string("not here any more"), now()));
  if (auto* write = std::get_if<write_work>(&what.what))
    return begin_writing(what.lease, what.epoch, std::move(*write));
  const bool hangs = hangs_next > 0 && hangs_next-- > 0;
  working_[{what.lease, what.epoch}] = hangs;
  w_.note(identity_ + " begins " + what.lease + " epoch " + std::to_string(what.epoch) + (hangs ? ", hangs" : ""));
  if (hangs)
    return;
  lease_answer answer = std::string("not an evaluation");
  if (const auto* asked = std::get_if<evaluate_work>(&what.what)) {
    asked_[what.lease] = asked->what.id;
    evaluation e = measured(*asked);
    if (lies_next > 0 && lies_next-- > 0) {
      w_.note(identity_ + " lies about " + what.lease);
      e.candidate[0] = e.candidate[0] == '0' ? '1' : '0';
      e.result = outcome::passed;
    }
    answer = std::move(e);
    if (!compiles_) {
      foreign_[what.lease] = {what.epoch, asked->what, std::move(answer)};
      return ask_elsewhere(what.lease);
    }
  }
  measure(what.lease, what.epoch, std::move(answer));
}

void simulated_agent::measure(const std::string& lease, std::uint64_t epoch, lease_answer answer) {
  const double lasts_s = 0.3 + 2.5 * w_.draw.uniform() + (w_.draw.chance(0.02) ? 30 : 0);
  w_.later(node_, lasts_s, [this, lease, epoch, answer = std::move(answer)] { finish(lease, epoch, answer); });
}

void simulated_agent::finish(const std::string& lease, std::uint64_t epoch, lease_answer answer) {
  if (working_.erase({lease, epoch}) == 0)
    return;
  w_.note(identity_ + " ends " + lease + " epoch " + std::to_string(epoch));
  const auto* got = std::get_if<evaluation>(&answer);
  if (auto print = prints_.find(lease); got && print != prints_.end() && asked_[lease] == got->candidate)
    spool_[print->second] = *got;
  apply(leases_->finished(lease, epoch, std::move(answer), now()));
}

// ---- writing candidates, as the agent's service and writer do it

std::uint64_t tokens_of(const write_work& what, std::uint32_t step) { return 100 + rng(13, step, what.print).below(most_tokens - 100); }

candidate written_for(const std::string& session, node_number number) {
  rng fate(19, number, session);
  candidate made;
  made.author = "small";
  for (int i = 0; i < 64; ++i)
    made.id += "0123456789abcdef"[fate.below(16)];
  return made;
}

void simulated_agent::begin_writing(const std::string& lease, std::uint64_t epoch, write_work what) {
  const std::string print = what.print;
  writing& w = writing_[print];
  w = {};
  w.first = {lease, epoch};
  w.hangs = hangs_next > 0 && hangs_next-- > 0;
  w.left = what.reserved_tokens;
  w.steps = rng(17, 0, print).chance(0.3) ? 2 : 1; // the first answer does not compile
  w.answer.print = print;
  w.number = ++writings_;
  w.what = std::move(what);
  w_.note(identity_ + " begins to write " + lease + " epoch " + std::to_string(epoch) + (w.hangs ? ", hangs" : ""));
  ask_model(print, decode<simulated_state>(w.what.state)->said);
}

void simulated_agent::ask_model(const std::string& print, std::uint32_t step) {
  writing& w = writing_.at(print);
  const auto state = *decode<simulated_state>(w.what.state);
  if (step >= w.steps)
    return end_writing(print); // all of it was said in an earlier life
  if (most_tokens > w.left) {
    w.answer.failed = errc::budget;
    w.answer.failure = "what was reserved leaves no room";
    return end_writing(print);
  }
  const std::uint64_t takes = tokens_of(w.what, step);
  pays_(state.session, takes);
  w.left -= takes;
  if (w.hangs)
    return;
  const double lasts_s = 0.3 + 1.5 * w_.draw.uniform() + (w_.draw.chance(0.02) ? 30 : 0);
  w_.later(node_, lasts_s, [this, print, step, takes, number = w.number] {
    const auto found = writing_.find(print);
    if (found == writing_.end() || found->second.number != number)
      return; // stopped
    model_exchange e;
    e.asked.step = e.said.step = step;
    e.asked.synthesizer = "small";
    e.asked.reserved_tokens = most_tokens;
    e.said.used.input = takes;
    found->second.answer.said.push_back(e);
    w_.boundary(node_);
    ask_model(print, step + 1);
  });
}

void simulated_agent::end_writing(const std::string& print) {
  writing w = std::move(writing_.at(print));
  writing_.erase(print);
  const auto state = *decode<simulated_state>(w.what.state);
  if (w.answer.failure.empty())
    w.answer.what = written_for(state.session, state.number);
  if (lies_next > 0 && lies_next-- > 0) {
    w_.note(identity_ + " lies about what it wrote for " + w.first.first);
    w.answer.print[0] = w.answer.print[0] == '0' ? '1' : '0';
  } else {
    spool_[print] = w.answer;
  }
  w_.note(identity_ + " wrote " + w.first.first + " epoch " + std::to_string(w.first.second));
  w.also.push_back(w.first);
  for (const auto& [lease, epoch] : w.also)
    apply(leases_->finished(lease, epoch, w.answer, now()));
}

void simulated_agent::stop(const stop_work& what) {
  const std::pair ended(what.lease, what.epoch);
  for (auto w = writing_.begin(); w != writing_.end(); ++w) {
    const bool another = std::erase(w->second.also, ended) > 0;
    if (another)
      apply(leases_->finished(what.lease, what.epoch, std::string("stopped"), now()));
    else if (w->second.first == ended)
      w->second.first_is_stopped = true;
    else
      continue;
    if (!w->second.also.empty() || !w->second.first_is_stopped)
      return;
    const auto first = w->second.first;
    writing_.erase(w);
    return apply(leases_->finished(first.first, first.second, std::string("stopped"), now()));
  }
  if (auto waits = foreign_.find(what.lease); waits != foreign_.end() && waits->second.epoch == what.epoch) {
    for (auto& said : errands_->drop(waits->second.waits))
      say_(node_, identity_, std::move(said));
    foreign_.erase(waits);
    w_.later(node_, 0.05, [this, ended] { finish(ended.first, ended.second, std::string("stopped")); });
  } else if (auto found = working_.find(ended); found != working_.end() && found->second) {
    w_.later(node_, 0.5, [this, ended] { finish(ended.first, ended.second, std::string("stopped")); });
  }
}

} // namespace kevolve::simulation
