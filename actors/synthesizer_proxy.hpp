// The proxy of a synthesizer that migrates: for each proposal it freezes what the synthesizer would do at home into one MessagePack value, which the
// dispatcher leases to an agent that writes as it; what stays is the checkpoint and this proxy, until what came back is durable. Where no agent does,
// and this process can, the synthesizer stays at home. Detached: making a prompt reads the knowledge base.
#pragma once

#include "actors/messages.hpp"
#include "actors/migration.hpp"
#include "actors/model_synthesizer.hpp"
#include "actors/synthesis/frozen_synthesizer.hpp"
#include "actors/task_maker.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <map>
#include <optional>
#include <set>

namespace kevolve::actors {

struct synthesizer_proxy_parts {
  model_synthesizer_parts home;      // the same synthesizer, if it stays
  std::string label;                 // of agents that it may go to; "" or "any": all that write as it
  session_settings settings;
  dispatcher_actor dispatcher;
  double agent_wait_s = 10;          // how long nobody may be there who writes as it, where it cannot stay at home
  double home_wait_s = 10;           // and where it can
};

class synthesizer_proxy_shell {
public:
  synthesizer_proxy_shell(synthesizer_proxy_actor::pointer self, synthesizer_proxy_parts parts);
  ~synthesizer_proxy_shell();
  synthesizer_proxy_shell(const synthesizer_proxy_shell&) = delete;
  synthesizer_proxy_shell& operator=(const synthesizer_proxy_shell&) = delete;

  void begin(const synthesize& request);
  void permitted(const asking_permitted& what);
  void refused(const asking_refused& what);
  void forget(const forget_proposal& what);
  void found(const writers_found& what);
  void delivered(const writing_delivered& what);
  void given_up(const writing_given_up& what);
  void unpermitted(const writing_unpermitted& what);
  void durable(node_number number);

private:
  void step(migration::event e);
  void on(migration::ask& what);
  void on(migration::submit& what);
  void on(migration::permit& what);
  void on(migration::call_back& what);
  void on(migration::deliver& what);
  void on(migration::fail& what);
  void on(migration::stay_home& what);
  void on(migration::tell_counted& what);
  void look_for_writers();
  void leave(const synthesize& request, const std::vector<writer_description>& who);
  void decide(const synthesize& request, const writers_found& found);
  result<migration::set_out> frozen(const synthesize& request, const std::vector<writer_description>& who);
  void answer(node_number number, error why);
  [[nodiscard]] bool is_model() const { return parts_.home.name != "generator"; }
  [[nodiscard]] bool can_stay() const;

  synthesizer_proxy_actor::pointer self_;
  synthesizer_proxy_parts parts_;
  task_maker maker_;
  migration::origin away_;
  std::map<node_number, synthesize> requests_; // open proposals
  std::map<node_number, model_spending> reserved_; // of the day's limit, for each of them that is away
  struct failure { std::string agent, why; };
  std::map<node_number, std::vector<failure>> failed_on_; // open proposals: whose model did not answer there
  std::set<node_number> waiting_;              // for somebody who writes as it
  std::set<node_number> at_home_;
  synthesizer_actor home_;                     // made when it is first needed
  bool looking_ = false;
  bool nobody_ = false;                        // was there when it last looked: it waits once, not for each proposal
};

struct synthesizer_proxy_state {
  synthesizer_proxy_state() = default;
  static constexpr const char* name = "synthesizer";
  std::optional<synthesizer_proxy_shell> shell;
};

synthesizer_proxy_actor::behavior_type synthesizer_proxy(synthesizer_proxy_actor::stateful_pointer<synthesizer_proxy_state> self, synthesizer_proxy_parts parts);

} // namespace kevolve::actors
