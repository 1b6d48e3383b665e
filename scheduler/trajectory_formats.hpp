// Samples as lines of JSON, in the form that each consumer reads (formats.md 7):
//   sft     {"prompt": [turns], "completion": [turn]}: what gained; the loss is on the last answer alone, not on those that were refused before it
//   kto     the same and "label": every answer, true where it gained
//   dpo     {"prompt", "chosen": [turn], "rejected": [turn]}: the best of what the same parents brought against the others, and a repair against what it mended
//   grpo    {"prompt", …}: each prompt once, with the recorded answers and their rewards
//   verl    {"data_source", "prompt", "ability", "reward_model", "extra_info"}: likewise, for its RL loader
//   sts     a session's conversations with its models as one transcript: a header line, then messages; one to a file. Models' turns alone: the generator says none
// Further columns say where a sample comes from and what it is worth. Of models there are turns (and edges in dpo), of the generator edges, its
// answer being a schedule. Pure; any thread.
#pragma once

#include "protocol/operator.hpp"
#include "scheduler/secrets.hpp"
#include "scheduler/trajectory.hpp"

#include <string>
#include <vector>

namespace kevolve::scheduler {

enum class trajectory_format : std::uint8_t { sft, dpo, kto, grpo, verl, sts };
result<trajectory_format> trajectory_format_from_string(std::string_view text);
std::string_view to_string(trajectory_format f) noexcept;

/// One line each, without the line's end, scrubbed. `samples`: all of one session. `first_index`: of the first row, for verl.
std::vector<std::string> trajectory_lines(trajectory_format format, const std::vector<trajectory_sample>& samples, const secret_filter& filter, std::size_t first_index);

} // namespace kevolve::scheduler
