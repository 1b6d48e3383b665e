// What an actor's own exception becomes: an exit reason that carries its text to whoever watches, instead of a line on the terminal. Call
// first in a behaviour.
#pragma once

#include <caf/error.hpp>
#include <caf/sec.hpp>
#include <caf/string_algorithms.hpp>
#include <exception>
#include <string>

namespace kevolve::actors {

template <class Self>
void name_failures(Self self) {
  self->set_exception_handler([](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      return caf::make_error(caf::sec::runtime_error, std::string(e.what()));
    } catch (...) {
      return caf::make_error(caf::sec::runtime_error, std::string("an exception of unknown type"));
    }
  });
}

} // namespace kevolve::actors
