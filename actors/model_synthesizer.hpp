// The synthesizer actor that asks a model: drives one `writing` for each open proposal, all of them at once on one thread. The session logs each
// request before it leaves and each answer before anything is made of it, so that after a crash an answer that arrived is used, not paid again.
// Reading the knowledge base may block, so it is spawned detached. A failure is an answer; an exception ends the actor.
#pragma once

#include "actors/messages.hpp"
#include "actors/model_desk.hpp"
#include "actors/synthesizer.hpp"
#include "actors/task_maker.hpp"
#include "protocol/model_spending.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <optional>
#include <unordered_map>

namespace kevolve::actors {

struct model_synthesizer_parts {
  synthesizer_parts common;
  std::string name; // the synthesizer's, as in the session's settings
  session_id session;
  std::string hardware;
  std::shared_ptr<model_desk> desk; // null: this process has no models
};

class model_synthesizer_shell {
public:
  model_synthesizer_shell(model_synthesizer_actor::pointer self, model_synthesizer_parts parts)
      : self_(self), parts_(std::move(parts)), maker_(parts_.common, parts_.name, parts_.hardware, parts_.desk) {}
  ~model_synthesizer_shell();
  model_synthesizer_shell(const model_synthesizer_shell&) = delete;
  model_synthesizer_shell& operator=(const model_synthesizer_shell&) = delete;

  void begin(const synthesize& request);
  void permitted(const asking_permitted& what);
  void refused(const asking_refused& what);
  void forget(node_number number);
  void said(const model_said& what);
  void compiled(const compile_said& what);

private:
  struct open_writing {
    std::uint32_t asked = 0;              // which asking of the session this answers
    session_actor answer_to;
    std::optional<synthesis::writing> how;
    std::vector<model_answered> recorded; // of an earlier life, by step
    llm::request request;                 // of the current step
    model_spending reserved;              // of the day's limit
    std::optional<llm::handle> under_way;
  };

  result<synthesis::writing_task> task_for(const synthesize& request);
  void go_on(node_number number, synthesis::writing::next what);
  void on(node_number number, synthesis::writing::ask& what);
  void on(node_number number, synthesis::writing::check_compile& what);
  void on(node_number number, synthesis::writing::print& what);
  void on(node_number number, synthesis::writing::done& what);
  void on(node_number number, synthesis::writing::failed& what);
  void answer(node_number number, result<synthesis::proposal> what);

  model_synthesizer_actor::pointer self_;
  model_synthesizer_parts parts_;
  std::optional<result<model_seat>> seat_;
  task_maker maker_;
  std::unordered_map<node_number, open_writing> open_;
};

struct model_synthesizer_state {
  model_synthesizer_state() = default;
  static constexpr const char* name = "synthesizer";
  std::optional<model_synthesizer_shell> shell;
};

model_synthesizer_actor::behavior_type model_synthesizer(model_synthesizer_actor::stateful_pointer<model_synthesizer_state> self, model_synthesizer_parts parts);

} // namespace kevolve::actors
