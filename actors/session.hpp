// The session actor: a shell around search::session that turns its effects into messages and messages into its inputs. Owns the session's tree
// nodes, synthesizers and evaluators and watches them; a part that threw is respawned (tree nodes from the log) and the logic told what was
// lost. If the session itself throws, its supervisor starts it again from the log.
#pragma once

#include "actors/engine.hpp"
#include "actors/known_candidates.hpp"
#include "actors/messages.hpp"
#include "actors/session_record.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <deque>
#include <optional>
#include <unordered_map>

namespace kevolve::actors {

struct session_parts {
  std::shared_ptr<session_record> record;
  engine_parts engine;
  store_actor log;
  dispatcher_actor dispatcher;
  std::string restarted_because; // by the supervisor; "": a first life in this process
};

class session_shell {
public:
  session_shell(session_actor::pointer self, session_parts parts);

  void begin();
  void answered(const synthesis_answer& what);
  void answered(const evaluation_answer& what);
  void answered(const writing_answer& what);
  void asking(const model_asking& what);
  void replied(const model_replied& what);
  void late(const evaluation_late& what);
  void durable();
  void failed(const error& why);
  void read(const log_read& what);
  void tick();
  void pause(std::string reason);
  void cancel();
  void lost(const caf::down_msg& down);

private:
  struct asked {
    std::uint32_t times = 0;
    std::size_t synthesizer = 0;
    std::vector<node_number> parents;
    double since_s = 0;
  };
  struct running {
    evaluator_actor actor;
    std::uint32_t attempt = 0;
  };
  /// What a tree node will remember once its evaluation counts.
  struct attempted {
    schedule printed_from;
    transformation edge;
    std::shared_ptr<const result<evaluation>> what;
    std::shared_ptr<const candidate> written; // null where no model takes part
  };

  void step(search::input in);
  void on(search::append_event& what);
  void on(search::ask_synthesis& what);
  void on(search::permit_asking& what);
  void on(search::refuse_asking& what);
  void on(search::ask_evaluation& what);
  void on(search::ask_verification& what);
  void on(search::withdraw& what);
  void on(search::remember& what);
  void on(search::acknowledge& what);
  void on(search::acknowledge_writing& what);
  void on(search::show_progress& what);
  void on(search::finish& what);
  void flush_appends();
  void start_new();
  void resume_from(const std::vector<event>& events);
  void spawn_synthesizer(std::size_t slot);
  void choose_writers();
  [[nodiscard]] std::size_t generators() const { return synthesizers_.size() - writers_.size(); }
  std::size_t slot_of(const std::string& synthesizer, node_number number) const;
  const tree_node_actor& node(node_number number);
  void rebuild_nodes(const std::vector<event>& events, const std::vector<node_number>& which);
  evaluator_actor spawn_evaluator(std::string task, node_number number, std::uint32_t attempt, evaluation_purpose purpose, evaluate_work what);
  void ask(node_number number, const search::ask_synthesis& what);
  void give_up_asking(node_number number, error why);
  void synthesizer_lost(std::size_t slot, const std::string& reason);
  void note_known(const event& e);
  void count_stages(const evaluation& e);
  void leave();
  search::moment now() const;

  session_actor::pointer self_;
  session_parts parts_;
  search::session logic_;
  std::shared_ptr<const problem> subject_;
  std::shared_ptr<durable_mark> mark_ = std::make_shared<durable_mark>();
  std::shared_ptr<known_candidates> known_ = std::make_shared<known_candidates>();
  std::unordered_map<node_number, std::uint32_t> known_before_; // open proposals: candidates that the log had before each
  struct writer {
    std::string name;
    bool migrates = false;
    std::string label;                  // of agents that it may go to
  };
  std::vector<synthesizer_actor> synthesizers_; // the generator's slots at home, then one for each of `writers_`
  std::string synthesizer_died_of_;             // the last time
  std::vector<writer> writers_;                 // models, and a generator that migrates
  bool models_take_part_ = false;
  std::unordered_map<node_number, synthesizer_proxy_actor> written_by_; // whose checkpoint waits until what came of it is durable
  std::unordered_map<node_number, std::vector<model_answered>> said_; // open proposals: what models said for each
  std::vector<tree_node_actor> nodes_; // by number
  std::unordered_map<node_number, asked> asked_;
  std::unordered_map<node_number, running> evaluating_;
  std::optional<std::pair<node_number, running>> verifying_;
  std::unordered_map<node_number, attempted> attempted_;
  std::vector<node_number> nodes_to_rebuild_;
  std::vector<std::string> rebuild_reasons_;
  std::deque<std::pair<std::uint64_t, evaluator_actor>> acknowledge_when_; // verifications: once so many events are durable
  std::shared_ptr<std::vector<event>> appends_;
  std::uint64_t first_append_ = 0;
  std::uint32_t restarts_ = 0;
  std::deque<search::input> inputs_;
  bool stepping_ = false;
  bool reading_ = false;
  bool begun_ = false;
  bool told_durable_ = false;
  bool left_ = false;
  stage_times spent_;
};

struct session_state {
  session_state() = default;
  static constexpr const char* name = "session";
  std::optional<session_shell> shell;
};

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self, session_parts parts);

} // namespace kevolve::actors
