// Pieces of the format that several documents share. Internal to the format's readers. Any thread.
#pragma once

#include "protocol/json_place.hpp"

namespace kevolve {

result<dtype> read_dtype(const json_place& at);
/// An integer, or an expression that parses; as text.
result<std::string> read_expression(const json_place& at);
/// An extent as JSON: a number where it is one.
json write_extent(const std::string& text);
/// Ours: {atol, rtol, matched_ratio, bitwise}.
result<tolerance> read_tolerance(const json_place& at, json& extra);
json write_tolerance(const tolerance& t);

} // namespace kevolve
