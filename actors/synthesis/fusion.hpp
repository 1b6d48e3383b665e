// The first half of a plan: which values are computed inside their readers, which share a nest of rows, where each value lives, and the
// loops of every phase. Pure; any thread.
#pragma once

#include "actors/synthesis/plan.hpp"

namespace kevolve::synthesis {

struct fusion {
  std::vector<nest> nests;
  std::vector<storage> stored;
  std::vector<std::string> skipped, taken;
};

/// Verbs: fuse(value|*), keep(value), rows(value|*), split(value).
bool is_fusion_verb(const std::string& verb);
fusion fuse(const program& p, const schedule& s);
/// May the value be computed inside its readers at all, and why not.
std::string why_not_inline(const program& p, int value);
/// A sum of products that reads more often than it has elements: what is read by it is worth storing.
bool rereads(const value& v);
/// Number of expensive functions in an expression.
int expense(const expr_ref& e);

} // namespace kevolve::synthesis
