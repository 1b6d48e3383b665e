// The generator's learned policy and value: what a proposal will gain, as a sum of small trees over what is known before it is compiled (operator,
// what bounds the parent, its plan, the edit, the cost model's opinion), and a softmax over that. Learnt from measured edges (learning.hpp);
// recorded whole in a session's opening, so that a resumed session proposes the same. Pure; any thread.
#pragma once

#include "actors/synthesis/boosted.hpp"
#include "actors/synthesis/propose.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace kevolve::synthesis {

/// What a policy sees of a proposal, in the order of a row. Only ever changed together with `learned_policy::version`.
const std::vector<std::string>& proposal_features();

/// Turns proposals of one operator on one target into rows.
class proposal_view {
public:
  explicit proposal_view(const outlook& o);
  /// `parent`: printed_from and diagnosed are read.
  [[nodiscard]] std::vector<float> row(const attempt& parent, const schedule& to, const transformation& edge);

private:
  struct parent_plan {
    schedule of;
    plan how;
    double seconds = 0;
  };
  const outlook& o_;
  std::vector<float> operator_;
  std::optional<parent_plan> parent_; // the last one: a neighbourhood has one
};

struct learned_policy {
  static constexpr std::uint32_t current = 1;
  std::uint32_t version = current; // of proposal_features
  double temperature = 0.02;      // of the softmax, in expected log gain
  boosted_trees value;             // expected log(parent's time / its time), clipped to +-largest_gain; a failure counts as -largest_gain

  friend bool operator==(const learned_policy&, const learned_policy&) = default;
};
inline constexpr double largest_gain = 0.5; // so that a few edges out of slow schedules do not decide what all others are worth

/// The bytes of session_opened::policy_model, and back. Errors: damaged, or of another version.
std::string to_bytes(const learned_policy& p);
result<learned_policy> policy_from_bytes(const std::string& bytes);

template <class Inspector>
bool inspect(Inspector& f, learned_policy& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("temperature", x.temperature), f.field("value", x.value));
}

} // namespace kevolve::synthesis
