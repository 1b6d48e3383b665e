// Which agents may do a piece of work, chosen by their names and labels. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace kevolve {

/// Terms with commas between them must all hold; of a term's alternatives, with | between them, one must: a label or the agent's name, or with ! before it neither. "" and "any": every agent.
///   "rack1,!spot|big": agents of rack1 that are no spot instances, or big ones.
bool selects(const std::string& hosts, const std::string& agent, const std::vector<std::string>& labels);
/// Errors: usage, with the place.
result<void> check_hosts(const std::string& hosts);
/// What a label may be made of: letters, digits and ._:- in a word. Errors: usage.
result<void> check_label(const std::string& label);

struct selected_target {
  target on;
  std::string hosts; // "": every agent that has it
};
/// "cpu/x86-64-v4/cpp@rack1,!spot". Errors: usage.
result<selected_target> selected_target_from_string(const std::string& text);

} // namespace kevolve
