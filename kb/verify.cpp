#include "kb/verify.hpp"

namespace kevolve::kb {
result<void> verify_before_mapping(const std::filesystem::path&, bool) { return {}; }
} // namespace kevolve::kb
