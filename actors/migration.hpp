// The origin's end of synthesizers that migrate: for each open proposal the checkpoint (the frozen synthesizer) and what it waits for. Pure:
// `step(event) -> effects`; the proxy actor and the simulation keep one each. What always holds: a checkpoint is kept until what came of it is
// durable or nobody wants it; what is paid for is reserved when the dispatcher asks for that, since its turn has come, once for each lease. One thread.
#pragma once

#include "protocol/model_spending.hpp"
#include "protocol/result.hpp"
#include "protocol/writing.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kevolve::migration {

// ---- events
/// A synthesizer is frozen for a proposal; an older one of the same number is called back.
struct set_out {
  node_number number = 0;
  std::uint32_t asked = 0;              // which asking of the session it answers
  std::string task;                     // unique
  write_work what;                      // nothing reserved
  std::optional<model_asked> request;   // paid: what is to be reserved, for all of it
  model_spending least;                 // makes do with
  bool under_way = false;               // paid: it was reserved in an earlier life and may be with an agent, or kept by one
};
struct permitted { node_number number = 0; model_spending reserved; };
struct refused { node_number number = 0; error why; };
/// The dispatcher's: the task's turn has come, and it may not be leased yet.
struct unpermitted { std::string task; };
struct arrived { std::string task; std::string agent; std::uint64_t epoch = 0; written what; };
/// The dispatcher gave the task up. `at_home`: the origin can write it itself.
struct lost { std::string task; error why; bool at_home = false; };
struct forgotten { node_number number = 0; bool comes_back = false; };
/// What came of it is durable.
struct counted { node_number number = 0; };
using event = std::variant<set_out, permitted, refused, unpermitted, arrived, lost, forgotten, counted>;

// ---- effects, in order
struct ask { model_asked request; model_spending least; };
struct submit { node_number number = 0; std::string task; write_work what; bool paid = false; bool under_way = false; };
struct permit { std::string task; write_work what; };
struct call_back { std::string task; bool keeps = false; };
struct deliver { node_number number = 0; std::uint32_t asked = 0; written what; std::string agent; std::uint32_t moves = 0; };
struct fail { node_number number = 0; std::uint32_t asked = 0; error why; };
struct stay_home { node_number number = 0; };
struct tell_counted { std::string task; };
using effect = std::variant<ask, submit, permit, call_back, deliver, fail, stay_home, tell_counted>;

class origin {
public:
  std::vector<effect> step(event e);
  /// Checkpoints that are kept.
  [[nodiscard]] std::size_t size() const { return open_.size(); }

private:
  enum class phase : std::uint8_t { away, asks, is_back };
  struct traveller {
    set_out what;
    phase at = phase::away;
  };
  void on(set_out&& e);
  void on(permitted&& e);
  void on(refused&& e);
  void on(unpermitted&& e);
  void on(arrived&& e);
  void on(lost&& e);
  void on(forgotten&& e);
  void on(counted&& e);
  traveller* by_task(const std::string& task);
  void emit(effect e) { out_.push_back(std::move(e)); }

  std::map<node_number, traveller> open_;
  std::vector<effect> out_;
};

} // namespace kevolve::migration
