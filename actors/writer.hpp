// Where a synthesizer that migrated is thawed and writes: a host's own models and, if it offers it, the generator. Blocks until the proposal is written,
// a model's whole repair loop included, and never asks for more than was reserved before it came. Names no CAF type. Thread-safe.
#pragma once

#include "actors/model_desk.hpp"
#include "protocol/writing.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve {

/// What a host says of a seat of its own.
writer_description description_of(const std::string& name, const model_seat& seat, double limit_s);

class host_writer {
public:
  virtual ~host_writer() = default;
  [[nodiscard]] virtual std::vector<writer_description> offers() const = 0;
  /// Proposals that it writes at once.
  [[nodiscard]] virtual unsigned slots() const = 0;
  /// A proposal that came to nothing is an answer, with what it cost; an `error` is always infrastructure and cost nothing. `cancelled` is looked
  /// at ten times a second.
  virtual result<written> write(const write_work& what, const std::atomic<bool>& cancelled) = 0;
};

using generator_factory = std::function<result<std::unique_ptr<synthesis::generator>>(const problem& subject, const target& on, const std::string& compiler)>;

/// `desk`: finds the seats of what is offered, and compiles to check; null where only the generator is.
std::unique_ptr<host_writer> make_writer(std::vector<writer_description> offers, unsigned slots, std::shared_ptr<model_desk> desk, generator_factory make_generator);

} // namespace kevolve
