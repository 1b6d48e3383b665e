#include "protocol/result.hpp"

namespace kevolve {

int exit_code(errc code) noexcept {
  switch (code) {
    case errc::usage:
    case errc::specification: return 2; // the SPEC is part of what was typed
    case errc::configuration: return 4;
    case errc::synthesizer: return 5;
    case errc::no_agent: return 6;
    case errc::budget: return 7;
    case errc::busy:
    case errc::timeout:
    case errc::infrastructure: return 75;
    case errc::interrupted: return 130;
    case errc::not_found:
    case errc::refused:
    case errc::io:
    case errc::full:
    case errc::damaged: return 1;
  }
  return 1;
}

const char* to_string(errc code) noexcept {
  switch (code) {
    case errc::usage: return "usage";
    case errc::configuration: return "configuration";
    case errc::specification: return "specification";
    case errc::not_found: return "not_found";
    case errc::refused: return "refused";
    case errc::io: return "io";
    case errc::full: return "full";
    case errc::damaged: return "damaged";
    case errc::busy: return "busy";
    case errc::timeout: return "timeout";
    case errc::synthesizer: return "synthesizer";
    case errc::no_agent: return "no_agent";
    case errc::budget: return "budget";
    case errc::interrupted: return "interrupted";
    case errc::infrastructure: return "infrastructure";
  }
  return "unknown";
}

} // namespace kevolve
