#include "tests/actors/search_world.hpp"

#include <doctest/doctest.h>

namespace search_test {

void world::carry_out(append_event&& e) {
  REQUIRE(e.position == log.size());
  log.push_back(std::move(e.what));
  auto count = e.position + 1;
  later(how_.commit_s, [count] { return input(stored{count}); });
}

void world::carry_out(ask_synthesis&& ask) {
  rng draw(opening_.settings.seed, ask.number, "synthesis");
  rng fate(how_.seed, ask.number, "synthesizer's fate");
  auto number = ask.number;
  if (auto usd = how_.usd_by.find(ask.synthesizer); usd != how_.usd_by.end() && number != 0) { // asked and answered before anything comes of it
    model_asked asked{.number = number, .synthesizer = ask.synthesizer, .model = "made-up", .reserved_tokens = 100, .reserved_usd = 2 * usd->second};
    later(how_.synthesis_s / 4, [asked] { return input(asking{asked}); });
    later(how_.synthesis_s / 2, [number, cost = usd->second] { return input(replied{{.number = number, .used = {50, 0, 10, 0}, .cost_usd = cost}}); });
  }
  if (auto by = how_.fails_by.find(ask.synthesizer); by != how_.fails_by.end() && number != 0 && fate.chance(by->second))
    return later(how_.synthesis_s, [number] { return input(synthesis_failed{number, {errc::refused, "nothing new"}}); });
  if (number != 0 && fate.chance(how_.synthesizer_fails))
    return later(how_.synthesis_s, [number] { return input(synthesis_failed{number, {errc::synthesizer, "it fell over"}}); });
  point p{};
  if (ask.memory == memory_operator::clean_slate) {
    for (int i = 0; i < 3; ++i)
      p[draw.below(dimensions)] = static_cast<std::uint8_t>(draw.below(levels));
  } else if (!ask.parents.empty()) {
    p = points_.at(ask.parents[0]);
    if (ask.parents.size() == 2)
      for (std::size_t i = 0; i < dimensions; ++i)
        if (draw.chance(0.5))
          p[i] = points_.at(ask.parents[1])[i];
    p[draw.below(dimensions)] = static_cast<std::uint8_t>(draw.below(levels));
  }
  later(spread(how_.synthesis_s, fate), [this, number, p] {
    points_[number] = p;
    point_of_[id_of(p)] = p;
    return input(synthesized{number, candidate_of(p), {"change", "changed", "drawn"}});
  });
}

evaluation world::measure(const candidate& what, const candidate* anchor) const {
  evaluation e;
  e.candidate = what.id;
  const auto& p = point_of_.at(what.id);
  if (!land_.works(p)) {
    e.result = outcome::incorrect_numerical;
    return e;
  }
  e.result = outcome::passed;
  constexpr double noise = 0.004;
  double speed = land_.log_speed(p);
  for (int w = 0; w < 2; ++w) {
    workload_timing t;
    t.workload = "w" + std::to_string(w);
    t.latency_s = (w + 1) * 1e-3 * std::exp(-speed);
    if (anchor != nullptr) {
      rng draw(how_.seed, static_cast<std::uint64_t>(w), what.id + anchor->id);
      double error = noise * (draw.uniform() + draw.uniform() + draw.uniform() + draw.uniform() - 2) * 1.73;
      double log_ratio = speed - land_.log_speed(point_of_.at(anchor->id)) + error;
      comparison c{anchor->id, std::exp(log_ratio), {std::exp(log_ratio - 1.96 * noise), std::exp(log_ratio + 1.96 * noise)}, 1e-3, 1, 8};
      c.e_value = log_ratio > 4 * noise ? 1e4 : 0.5;
      t.comparisons.push_back(c);
    }
    e.timings.push_back(t);
  }
  e.diagnosed.limited_by = speed >= how_.roof ? bound::memory : bound::compute;
  e.diagnosed.roofline_fraction = std::min(1.0, std::exp(speed - how_.roof));
  return e;
}

void world::carry_out(ask_evaluation&& ask) {
  evaluations.push_back(ask);
  rng fate(how_.seed, std::uint64_t{ask.attempt} << 32 | ask.number, "evaluator's fate");
  double delay = spread(how_.evaluation_s, fate);
  if (ask.number != 0 && fate.chance(how_.silent))
    return;
  if (fate.chance(how_.infrastructure))
    return later(delay, [ask] { return input(evaluation_failed{ask.number, ask.attempt, "agent died"}); });
  auto answer = [this, ask] {
    auto e = measure(*ask.what, ask.anchor.get());
    e.at_ms = static_cast<std::int64_t>(clock_ * 1000);
    return input(evaluated{ask.number, ask.attempt, std::move(e)});
  };
  later(delay, answer);
  if (fate.chance(how_.repeated))
    later(delay * 3, answer);
}

void world::carry_out(ask_verification&& ask) {
  verifications.push_back(ask);
  if (!how_.answers_verification)
    return;
  rng fate(how_.seed, std::uint64_t{ask.attempt} << 32 | ask.number, "verifier's fate");
  if (fate.chance(how_.infrastructure))
    return later(how_.verification_s, [ask] { return input(verification_failed{ask.number, ask.attempt, "agent died"}); });
  later(how_.verification_s, [this, ask] {
    auto e = measure(*ask.what, ask.root.get());
    if (how_.does_not_hold.contains(ask.what->id))
      e.result = outcome::incorrect_numerical;
    for (auto& t : e.timings)
      for (const auto& name : ask.baselines) {
        double log_ratio = land_.log_speed(point_of_.at(ask.what->id)) - how_.baseline + (name == "eager" ? 0.5 : 0);
        t.comparisons.push_back({name, std::exp(log_ratio), {std::exp(log_ratio - 0.01), std::exp(log_ratio + 0.01)}, 1e-3, 1, 8});
      }
    return input(verified{ask.number, ask.attempt, std::move(e)});
  });
}

} // namespace search_test
