#include "actors/landscape.hpp"

#include "actors/memory.hpp"
#include "actors/session_logic.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <set>
#include <tuple>

namespace kevolve::search {
namespace {

constexpr double sure = 1e4;           // e-value of a recorded gain
constexpr double smallest_gain = 0.01; // what recordings can tell apart

/// Verbs whose order among each other matters stay in it; all others sort by verb.
std::string key_of(const schedule& how) {
  schedule sorted = how;
  const auto rank = [](const schedule_step& s) {
    const bool fusion = s.verb == "fuse" || s.verb == "keep" || s.verb == "rows" || s.verb == "split";
    return fusion ? std::string() : s.verb;
  };
  std::stable_sort(sorted.steps.begin(), sorted.steps.end(), [&](const schedule_step& a, const schedule_step& b) { return rank(a) < rank(b); });
  return to_string(sorted);
}

/// A session's world: everything that it asks for is answered at once from the landscape.
class replayed_world {
public:
  replayed_world(const landscape& land, const proposal_source& propose, const replay_settings& how)
      : land_(land), propose_(propose), how_(how), session_(options(how)) {
    session_opened opening;
    opening.session = "replay";
    for (const auto& name : land.workloads()) {
      workload w;
      w.uuid = name;
      opening.subject.workloads.push_back(std::move(w));
    }
    opening.settings.policy = how.policy;
    opening.settings.seed = how.seed;
    opening.settings.evaluations = how.evaluations;
    opening.settings.time_s = 0;
    opening.settings.in_flight = 1;
    opening.settings.plateau = how.evaluations + 1;
    opening.settings.baselines.clear();
    opening.settings.injection = how.injection;
    opening.settings.adaptive_injection = how.adaptive_injection;
    if (how.skills)
      opening.skills = *how.skills;
    inputs_.push_back(opened{std::move(opening)});
  }

  replayed run() {
    while (!inputs_.empty() && !ended_) {
      auto next = std::move(inputs_.front());
      inputs_.pop_front();
      clock_s_ += 1e-3;
      for (auto& e : session_.step(std::move(next), {clock_s_, static_cast<std::int64_t>(clock_s_ * 1000)}))
        std::visit([this](auto& what) { carry_out(what); }, e);
    }
    return {std::move(best_), std::move(evaluated_), session_.state().learnt()};
  }

private:
  static session_options options(const replay_settings& how) {
    session_options o;
    o.skills_by_p = how.skills_by_p;
    for (std::size_t i = 0; i < how.priors.size(); ++i)
      o.priors.push_back(std::to_string(i));
    o.verify = false;
    o.refused_in_a_row = 1000; // proposals outside of what was recorded are no sign of its end
    return o;
  }

  void carry_out(append_event& e) { inputs_.push_back(stored{e.position + 1}); }
  void carry_out(ask_synthesis& ask) {
    if (histories_.size() <= ask.number)
      histories_.resize(ask.number + 1);
    if (!ask.parents.empty())
      histories_[ask.number] = histories_[ask.parents[0]].child();
    auto chosen = ask.parents.empty() ? std::optional(std::pair(land_.points()[0].how, transformation{"root", "the root", ""})) : choose(ask);
    const auto at = chosen ? land_.find(chosen->first) : std::nullopt;
    if (!at) {
      inputs_.push_back(synthesis_failed{ask.number, {errc::refused, "nothing in the neighbourhood was recorded and not tried yet"}});
      return;
    }
    proposed_.insert(*at);
    candidate c = candidate_at(*at);
    point_of_[c.id] = *at;
    asked_[ask.number] = {*at, chosen->second, ask.memory};
    inputs_.push_back(synthesized{ask.number, std::move(c), chosen->second});
  }
  void carry_out(ask_evaluation& ask) {
    auto e = measured(point_of_.at(ask.what->id), ask.anchor ? std::optional(point_of_.at(ask.anchor->id)) : std::nullopt);
    e.candidate = ask.what->id;
    inputs_.push_back(evaluated{ask.number, ask.attempt, std::move(e)});
  }
  void carry_out(remember& what) {
    const auto& from = asked_.at(what.number);
    const auto& p = land_.points()[from.point];
    auto entry = std::make_shared<remembered>();
    entry->number = what.number;
    entry->ordinal = what.ordinal;
    entry->fresh = from.memory == memory_operator::clean_slate;
    entry->what = {p.how, from.edge, what.result, what.gain, what.speedup, diagnosis_of(p)};
    histories_[what.number].settle(entry);
    for (const node_number parent : what.parents)
      histories_[parent].add_child(entry);
    const auto speed = land_.log_speed(from.point);
    evaluated_.push_back(from.point);
    best_.push_back(std::max(best_.empty() ? 0.0 : best_.back(), speed.value_or(0)));
  }
  void carry_out(finish&) { ended_ = true; }
  template <class Other>
  void carry_out(Other&) {}

  std::optional<std::pair<schedule, transformation>> choose(const ask_synthesis& ask) {
    rng draw(how_.seed, ask.number, "synthesis");
    const bool first = ask.number == 1 && !how_.without_first_guess; // everybody's second evaluation is the space's own first guess
    if (how_.sampling && !first) {
      std::vector<std::size_t> left;
      for (std::size_t i = 0; i < land_.points().size(); ++i)
        if (!proposed_.contains(i))
          left.push_back(i);
      if (left.empty())
        return std::nullopt;
      return std::pair(land_.points()[left[draw.below(left.size())]].how, transformation{"sample", "any point", ""});
    }
    auto memory = ask.memory;
    const bool off = how_.without == memory;
    if (off && memory == memory_operator::clean_slate)
      memory = memory_operator::inherit;
    auto given = draw_context(memory, ask.results_seen, &histories_[ask.parents[0]], ask.parents.size() > 1 ? &histories_[ask.parents[1]] : nullptr);
    if (off && ask.memory != memory_operator::clean_slate)
      given.trajectory.clear(), given.siblings.clear();
    given.skills = ask.unprimed ? nullptr : how_.skills;
    if (!ask.prior.empty())
      given.priors = {how_.priors[std::stoul(ask.prior)]};
    given.learned = how_.learned;
    if (how_.without_diagnosis && given.parent)
      given.parent->diagnosed = {};
    for (auto& each : propose_(given, draw))
      if (how_.without_first_guess && each.second.kind == "analytic")
        continue;
      else if (const auto at = land_.find(each.first); at && !proposed_.contains(*at))
        return std::move(each);
    return std::nullopt;
  }

  candidate candidate_at(std::size_t point) const {
    candidate c;
    c.definition = land_.name();
    c.author = "generator";
    c.printed_from = land_.points()[point].how;
    c.description = std::to_string(point);
    c.sources = {{"kernel.cpp", "// " + to_string(*c.printed_from) + "\n"}};
    c.id = candidate_hash(c);
    return c;
  }

  static diagnosis diagnosis_of(const landscape_point& p) {
    diagnosis d;
    d.limited_by = p.limited_by;
    d.roofline_fraction = p.roofline_fraction;
    return d;
  }

  evaluation measured(std::size_t point, std::optional<std::size_t> anchor) const {
    const auto& p = land_.points()[point];
    evaluation e;
    e.result = p.result;
    e.diagnosed = diagnosis_of(p);
    for (std::size_t w = 0; w < p.latency_s.size(); ++w) {
      workload_timing t;
      t.workload = land_.workloads()[w];
      t.latency_s = p.latency_s[w];
      t.roofline_fraction = p.roofline_fraction;
      if (anchor) {
        const double anchor_s = land_.points()[*anchor].latency_s[w], ratio = anchor_s / t.latency_s;
        t.comparisons.push_back({candidate_at(*anchor).id, ratio, {ratio * (1 - smallest_gain), ratio * (1 + smallest_gain)}, anchor_s,
                                 ratio > 1 + smallest_gain ? sure : 0.5, 8});
      }
      e.timings.push_back(std::move(t));
    }
    return e;
  }

  struct asked { std::size_t point = 0; transformation edge; memory_operator memory = memory_operator::inherit; };
  const landscape& land_;
  const proposal_source& propose_;
  const replay_settings& how_;
  session session_;
  std::deque<input> inputs_;
  std::vector<node_history> histories_;
  std::map<node_number, asked> asked_;
  std::unordered_map<candidate_id, std::size_t> point_of_;
  std::set<std::size_t> proposed_;
  std::vector<double> best_;
  std::vector<std::size_t> evaluated_;
  double clock_s_ = 0;
  bool ended_ = false;
};

} // namespace

bool landscape::add(landscape_point p) {
  if (!by_key_.try_emplace(key_of(p.how), points_.size()).second)
    return false;
  points_.push_back(std::move(p));
  return true;
}

std::optional<std::size_t> landscape::find(const schedule& how) const {
  const auto at = by_key_.find(key_of(how));
  return at == by_key_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<double> landscape::log_speed(std::size_t point) const {
  const auto& p = points_[point];
  if (p.result != outcome::passed)
    return std::nullopt;
  double sum = 0;
  for (std::size_t w = 0; w < workloads_.size(); ++w)
    sum += std::log(points_[0].latency_s[w] / p.latency_s[w]);
  return sum / static_cast<double>(workloads_.size());
}

bool landscape::same_program(std::size_t a, std::size_t b) const {
  return points_[a].result == outcome::passed && points_[b].result == outcome::passed && points_[a].latency_s == points_[b].latency_s;
}

double landscape::best_log_speed() const {
  double best = 0;
  for (std::size_t i = 0; i < points_.size(); ++i)
    best = std::max(best, log_speed(i).value_or(0));
  return best;
}

proposal_source one_parameter_apart(const landscape& land) {
  return [&land](const synthesis::context& given, rng draw) {
    const auto distance = [](const schedule& a, const schedule& b) {
      std::size_t n = 0;
      for (std::size_t i = 0; i < std::min(a.steps.size(), b.steps.size()); ++i)
        n += !(a.steps[i] == b.steps[i]);
      return n;
    };
    const bool fresh = !given.parent || given.memory == memory_operator::clean_slate;
    std::vector<std::tuple<std::size_t, std::uint64_t, const landscape_point*>> all; // of equally near ones a random one
    for (const auto& p : land.points()) {
      const std::size_t apart = fresh ? 0 : distance(p.how, given.parent->printed_from);
      bool mixed = !fresh && given.second_parent.has_value();
      for (std::size_t i = 0; mixed && i < p.how.steps.size(); ++i)
        mixed = p.how.steps[i] == given.parent->printed_from.steps[i] || p.how.steps[i] == given.second_parent->printed_from.steps[i];
      all.emplace_back(mixed ? 0 : apart, draw(), &p);
    }
    std::sort(all.begin(), all.end());
    std::vector<std::pair<schedule, transformation>> out;
    for (const auto& [apart, order, p] : all)
      out.emplace_back(p->how, transformation{fresh ? "fresh start" : apart == 0 ? "crossover" : "set", to_string(p->how), std::to_string(apart) + " parameters apart"});
    return out;
  };
}

replayed replay(const landscape& land, const proposal_source& propose, const replay_settings& how) { return replayed_world(land, propose, how).run(); }

} // namespace kevolve::search
