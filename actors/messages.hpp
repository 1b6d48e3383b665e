// Every message that actors exchange and every actor's typed interface: the one place to read who says what to whom. Messages stay inside the
// process, so they carry shared immutable payloads instead of being serialised; what crosses processes is protocol/message.hpp. Narrow CAF
// headers only: include this from actors' .cpp files, never from a header that others see.
#pragma once

#include "actors/dispatch_logic.hpp"
#include "actors/memory.hpp"
#include "actors/session_logic.hpp"
#include "actors/session_record.hpp"
#include "actors/synthesis/llm/types.hpp"
#include "kb/store.hpp"
#include "protocol/event.hpp"
#include "protocol/message.hpp"

#include <atomic>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::actors {

// ---- to a session

/// What a synthesizer made of proposal `number`.
struct synthesis_answer {
  node_number number = 0;
  std::uint32_t asked = 0; // which asking it answers; an older one is late
  std::shared_ptr<const result<synthesis::proposal>> what;
};
/// A synthesizer wants to ask a model; answered by asking_permitted or asking_refused. `least`: as in search::asking.
struct model_asking { std::shared_ptr<const model_asked> what; std::optional<model_spending> least = std::nullopt; };
/// What a synthesizer that migrated came to, on `agent`.
struct writing_answer {
  node_number number = 0;
  std::uint32_t asked = 0;
  std::shared_ptr<written> what;
  std::string agent;
  std::uint32_t moves = 0;
};
/// What the model said; the session logs it before whatever is made of it.
struct model_replied { std::shared_ptr<const model_answered> what; };
enum class evaluation_purpose : std::uint8_t { search, verification };
/// An evaluation, or why there is none (infrastructure).
struct evaluation_answer {
  node_number number = 0;
  std::uint32_t attempt = 0;
  evaluation_purpose purpose = evaluation_purpose::search;
  std::shared_ptr<const result<evaluation>> what;
};
/// A result that the dispatcher did not accept; the session logs it.
struct evaluation_late {
  node_number number = 0;
  std::uint32_t attempt = 0;
  std::string reason;
};
/// How far a session's log is durable; written by the store's thread. One notice is under way at most.
struct durable_mark {
  std::atomic<std::uint64_t> events = 0;
  std::atomic<bool> noticed = false;
};
struct log_durable {};
struct log_failed { error why; };
struct log_read { std::shared_ptr<const result<std::vector<event>>> events; };
struct session_tick {};
struct pause_session { std::string reason; };
struct cancel_session {};

using session_actor =
  caf::typed_actor<caf::reacts_to<synthesis_answer>, caf::reacts_to<model_asking>, caf::reacts_to<model_replied>, caf::reacts_to<writing_answer>, caf::reacts_to<evaluation_answer>, caf::reacts_to<evaluation_late>,
                   caf::reacts_to<log_durable>, caf::reacts_to<log_failed>, caf::reacts_to<log_read>, caf::reacts_to<session_tick>,
                   caf::reacts_to<pause_session>, caf::reacts_to<cancel_session>>;

// ---- to a synthesizer

/// Draws from rng(seed, number, "synthesis"). `known` are the session's candidates before this proposal.
struct synthesize {
  node_number number = 0;
  std::uint32_t asked = 0;
  std::uint64_t seed = 0;
  std::shared_ptr<const synthesis::context> given; // null: the root
  std::uint32_t known = 0;
  std::shared_ptr<const std::vector<model_answered>> said; // by models for this proposal before, in an earlier life: paid for already
  session_actor answer_to;
  bool first = false;              // nothing has passed yet, and no generator writes the root
  bool root_by_model = false;      // the root is the first candidate that passed
  bool unprimed = false;           // skills are kept from it
  std::uint32_t attempt = 0;       // of all lives of the session: names the task of one that leaves
  std::uint32_t step = 0;          // of its next request
  bool reserved = false;           // for that one, in an earlier life, which had no answer: an agent may have it
};
struct asking_permitted { node_number number = 0; std::uint32_t step = 0; model_spending reserved; };
struct asking_refused { node_number number = 0; std::uint32_t step = 0; error why; };
/// Nobody waits for this proposal any more, or (the session is paused) not now.
struct forget_proposal { node_number number = 0; bool comes_back = false; };
using synthesizer_actor = caf::typed_actor<caf::reacts_to<synthesize>, caf::reacts_to<asking_permitted>, caf::reacts_to<asking_refused>, caf::reacts_to<forget_proposal>>;

// ---- to a synthesizer that asks models, from threads of providers and compilers

struct model_said {
  node_number number = 0;
  std::uint32_t asked = 0;
  std::uint32_t step = 0;
  std::shared_ptr<const llm::reply> what;
};
/// "": it compiles, or nobody could tell.
struct compile_said {
  node_number number = 0;
  std::uint32_t asked = 0;
  std::string messages;
};
using model_synthesizer_actor = synthesizer_actor::extend<caf::reacts_to<model_said>, caf::reacts_to<compile_said>>;

// ---- to the proxy of a synthesizer that migrates

struct found_writer { std::string agent; writer_description what; };
/// Who writes as it, where its label allows; nobody, where none came within the time.
struct writers_found { std::vector<found_writer> who; };
struct writing_delivered {
  std::string task;
  std::string agent;
  std::uint64_t epoch = 0;
  std::shared_ptr<written> what;
};
/// errc::no_agent when nobody writes as it.
struct writing_given_up { std::string task; error why; };
/// Its turn has come: an agent keeps a slot free until it is permitted.
struct writing_unpermitted { std::string task; };
/// What came of it is durable.
struct writing_durable { node_number number = 0; };
using synthesizer_proxy_actor = synthesizer_actor::extend<caf::reacts_to<writers_found>, caf::reacts_to<writing_delivered>, caf::reacts_to<writing_given_up>,
                                                          caf::reacts_to<writing_unpermitted>, caf::reacts_to<writing_durable>>;

// ---- to a tree node

using remembered_ptr = std::shared_ptr<const search::remembered>;

/// A tree node's own result and, through it, its ancestors': an immutable chain that siblings share.
struct history_link {
  remembered_ptr self; // null while it has no result
  std::shared_ptr<const history_link> parent;
};
using history_ptr = std::shared_ptr<const history_link>;

/// The parent's history, for a new child.
struct adopt { history_ptr parent; };
using child_port = caf::typed_actor<caf::reacts_to<adopt>>;

/// Draw the context of a proposal under this node, tell the child its ancestors, and ask the synthesizer.
struct draw_context {
  memory_operator memory = memory_operator::inherit;
  std::uint32_t results_seen = 0;
  std::vector<schedule> priors;
  history_ptr second; // crossover: the second parent's
  child_port child;
  synthesize request;
  synthesizer_actor then_ask;
};
using context_port = caf::typed_actor<caf::reacts_to<draw_context>>;
/// Crossover: add this node's history as the second parent's and pass the request on.
struct lend_history {
  draw_context request;
  context_port first;
};
/// The node's own evaluation was counted.
struct remember_self { remembered_ptr what; };
/// A child's evaluation was counted.
struct remember_child { remembered_ptr what; };

using tree_node_actor = caf::typed_actor<caf::reacts_to<adopt>, caf::reacts_to<draw_context>, caf::reacts_to<lend_history>,
                                         caf::reacts_to<remember_self>, caf::reacts_to<remember_child>>;

// ---- to an evaluator

/// `what`: the evaluation or the infrastructure's error, as the agent answered.
struct task_delivered { std::shared_ptr<const result<evaluation>> what; };
/// No result will come; errc::no_agent when nobody serves its target.
struct task_given_up { error why; };
/// Newest first; empty where the store knows nothing, or could not be asked.
struct known_found { std::shared_ptr<const std::vector<evaluation>> what; };
struct withdraw_work {};
/// The evaluation is durable: the checkpoint may go, the agent may forget.
struct evaluation_durable {};

using evaluator_actor = caf::typed_actor<caf::reacts_to<known_found>, caf::reacts_to<task_delivered>, caf::reacts_to<task_given_up>,
                                         caf::reacts_to<withdraw_work>, caf::reacts_to<evaluation_durable>>;

// ---- to the dispatcher

/// A frozen evaluator: its whole state as MessagePack (protocol/message.hpp's `work`).
using checkpoint = std::shared_ptr<const std::string>;

/// Of what is late: no attempt at evaluating it, but its writing.
inline constexpr std::uint32_t no_attempt = ~std::uint32_t{0};

struct submit_task {
  dispatch::submit what;
  checkpoint state;
  evaluator_actor origin;
  session_actor owner;  // hears of results that came too late
  node_number number = 0;
  std::uint32_t attempt = 0;
  synthesizer_proxy_actor proxy = {}; // of a task to write: instead of `origin`
  std::string print = {};             // likewise: of its work
  double unserved_limit_s = -1;       // how long nobody may serve it; below 0: the dispatcher's own limit
};
/// A paid task may be leased once, with this checkpoint.
struct permit_task { std::string task; checkpoint state; };
/// `keeps`: as in dispatch::withdraw.
struct withdraw_task { std::string task; bool keeps = false; };
/// Everything of a session; what is being written for it may be finished and kept. `writings`: those alone.
struct withdraw_owner { std::string owner; bool writings = false; };
/// The result of `task` is durable.
struct task_durable { std::string task; };
struct from_agent {
  std::string agent;
  std::shared_ptr<message> what;
};
struct agent_unreachable {
  std::string agent;
  std::string reason;
};
/// Who serves this target: answered as soon as somebody does, or errc::no_agent at the deadline.
struct find_device {
  target on;
  std::string hardware; // "": any
  std::string hosts;    // agents that may, by protocol/host_selection.hpp
  double within_s = 10;
  std::shared_ptr<std::promise<result<device_description>>> answer;
};
/// Who writes as `name`: answered as soon as somebody does, or with nobody at the deadline.
struct find_writers {
  std::string name, label;
  double within_s = 10;
  synthesizer_proxy_actor to;
};
/// Who is there; or, with a name, asks that agent to finish what it holds and take nothing more.
struct list_agents {
  std::shared_ptr<std::promise<std::vector<agent_status>>> answer;
};
/// Why nobody can take some of a session's work now; "": somebody can.
struct explain_waiting {
  std::string owner;
  std::shared_ptr<std::promise<std::string>> answer;
};
struct drain_agents {
  std::string name; // all incarnations of it
  std::shared_ptr<std::promise<std::size_t>> answer;
};
struct dispatch_tick {};

using dispatcher_actor =
  caf::typed_actor<caf::reacts_to<list_agents>, caf::reacts_to<drain_agents>, caf::reacts_to<explain_waiting>, caf::reacts_to<submit_task>, caf::reacts_to<permit_task>, caf::reacts_to<find_writers>, caf::reacts_to<withdraw_task>, caf::reacts_to<withdraw_owner>, caf::reacts_to<task_durable>,
                   caf::reacts_to<from_agent>, caf::reacts_to<agent_unreachable>, caf::reacts_to<find_device>, caf::reacts_to<dispatch_tick>>;

// ---- to the store's bridge

/// Appends in order; the mark moves and `notice` is told once they are durable.
struct append_events {
  session_id session;
  std::uint64_t first = 0; // position of the first one
  std::shared_ptr<std::vector<event>> events;
  std::shared_ptr<durable_mark> mark;
  session_actor notice;
};
/// Everything queued before is made durable, then the log is read and sent to `to`.
struct read_log {
  session_id session;
  session_actor to;
};

/// What is known of a candidate, for whoever is about to have it evaluated; answered by known_found.
struct find_known {
  candidate_id candidate;
  target on;
  evaluator_actor to;
};

using store_actor = caf::typed_actor<caf::reacts_to<append_events>, caf::reacts_to<read_log>, caf::reacts_to<find_known>>;

// ---- to the supervisor

struct open_session { std::shared_ptr<session_record> record; };
struct pause_by_id { session_id session; std::string reason; };
struct cancel_by_id { session_id session; };
/// Ends the actors that it keeps; sessions have been paused before.
struct shut_down {};

using supervisor_actor =
  caf::typed_actor<caf::reacts_to<open_session>, caf::reacts_to<pause_by_id>, caf::reacts_to<cancel_by_id>, caf::reacts_to<shut_down>>;

} // namespace kevolve::actors

CAF_BEGIN_TYPE_ID_BLOCK(kevolve_actors, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::synthesis_answer))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::evaluation_answer))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::evaluation_late))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::log_durable))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::log_failed))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::log_read))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::session_tick))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::pause_session))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::cancel_session))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::synthesize))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::compile_said))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::model_said))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::model_asking))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::model_replied))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::asking_permitted))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::asking_refused))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::forget_proposal))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::adopt))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::draw_context))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::lend_history))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::remember_self))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::remember_child))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::known_found))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::task_delivered))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::task_given_up))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::withdraw_work))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::evaluation_durable))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::submit_task))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::withdraw_task))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::withdraw_owner))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::task_durable))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::from_agent))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::agent_unreachable))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::find_device))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::list_agents))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::drain_agents))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::explain_waiting))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::dispatch_tick))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::append_events))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::read_log))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::find_known))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::open_session))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::pause_by_id))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::cancel_by_id))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::shut_down))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writing_answer))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writers_found))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writing_delivered))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writing_given_up))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writing_unpermitted))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::writing_durable))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::permit_task))
CAF_ADD_TYPE_ID(kevolve_actors, (kevolve::actors::find_writers))
CAF_END_TYPE_ID_BLOCK(kevolve_actors)

// Never serialised: they stay inside the process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::find_known)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::known_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::synthesis_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::evaluation_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::evaluation_late)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::log_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::log_failed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::log_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::session_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::pause_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::cancel_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::synthesize)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::compile_said)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::model_said)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::model_asking)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::model_replied)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::asking_permitted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::asking_refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::forget_proposal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::adopt)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::draw_context)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::lend_history)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::remember_self)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::remember_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::task_delivered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::task_given_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::withdraw_work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::evaluation_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::submit_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::withdraw_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::withdraw_owner)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::task_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::from_agent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::agent_unreachable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::find_device)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::list_agents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::drain_agents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::explain_waiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::dispatch_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::append_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::read_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::open_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::pause_by_id)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::cancel_by_id)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::shut_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writing_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writers_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writing_delivered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writing_given_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writing_unpermitted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::writing_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::permit_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kevolve::actors::find_writers)
