// A provider behind HTTP: the formats (wire.hpp), the course of requests (course.hpp) and the shared event loop (transport.hpp) put together.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

namespace kevolve::llm {

result<std::shared_ptr<provider>> make_http(const provider_settings& from, surroundings& around);

} // namespace kevolve::llm
