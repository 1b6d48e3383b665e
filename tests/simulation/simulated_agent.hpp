// One agent of the simulated cluster: the real job table (agent_leases) with the real service's habits (hello, heartbeat, repeated answers) and
// made-up devices, which take their time, hang or lie. One without a compiler has the others compile for it, by the real requests and transfers
// (errands). A crash loses everything but the name and the spool.
#pragma once

#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/errands.hpp"
#include "tests/simulation/cluster.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/world.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace kevolve::simulation {

class simulated_agent {
public:
  /// `say` hands a message to the scheduler, from this identity.
  using speaker = std::function<void(std::size_t node, const std::string& identity, message what)>;
  /// `pays`: a model of this agent's was asked for a session's proposal.
  using payer = std::function<void(const std::string& session, std::uint64_t tokens)>;
  simulated_agent(world& w, ledger& books, std::size_t node, bool compiles, planted bug, speaker say, payer pays)
      : w_(w), books_(books), node_(node), compiles_(compiles), bug_(bug), say_(std::move(say)), pays_(std::move(pays)) {}

  void start();
  void hear(const std::string& receiver, message what);
  [[nodiscard]] const std::string& identity() const { return identity_; }
  [[nodiscard]] std::uint32_t held() const { return leases_ ? leases_->held() : 0; }
  [[nodiscard]] std::string holds() const;

  std::uint32_t from_spool = 0;                // answered without work
  std::uint32_t hangs_next = 0, lies_next = 0; // so many of the coming evaluations

private:
  void say_hello();
  void beat();
  void apply(std::vector<agent_effect> effects);
  void begin(start_work what);
  void measure(const std::string& lease, std::uint64_t epoch, lease_answer answer);
  void compile(const start_work& what, const compile_work& work);
  void give_piece(const blob_wanted& what);
  void ask_elsewhere(const std::string& lease);
  void run_errands();
  void heard_of(const errands::done& what);
  void begin_writing(const std::string& lease, std::uint64_t epoch, write_work what);
  void ask_model(const std::string& print, std::uint32_t step);
  void end_writing(const std::string& print);
  void stop(const stop_work& what);
  void finish(const std::string& lease, std::uint64_t epoch, lease_answer answer);
  [[nodiscard]] agent_leases::time now() const {
    return agent_leases::time{std::chrono::duration_cast<agent_leases::time::duration>(std::chrono::duration<double>(w_.now_s))};
  }

  world& w_;
  ledger& books_;
  const std::size_t node_;
  const bool compiles_;
  const planted bug_;
  speaker say_;
  payer pays_;
  std::string identity_;
  agent_introduction introduction_;
  std::optional<agent_leases> leases_;
  std::map<std::pair<std::string, std::uint64_t>, bool> working_; // true: hangs until it is stopped
  std::map<std::string, std::string> prints_;                     // lease -> print of its work
  std::map<std::string, candidate_id> asked_;                     // lease -> the candidate that it is about
  std::map<std::string, lease_answer> spool_;                     // print -> answer: its disk
  struct foreign {                                                // an evaluation whose program comes from elsewhere
    std::uint64_t epoch = 0;
    candidate what;
    lease_answer answer;                                          // once it is here
    errands::ticket waits = 0;
    int tries = 0;
  };
  std::map<std::string, foreign> foreign_;                        // by lease
  std::optional<errands> errands_;
  std::map<std::string, std::string> programs_;                   // hash -> bytes, made for others
  struct writing {
    std::pair<std::string, std::uint64_t> first;                  // lease and epoch
    std::vector<std::pair<std::string, std::uint64_t>> also;      // that asked for the same since
    bool first_is_stopped = false;
    write_work what;
    std::uint64_t left = 0;                                       // of what is reserved
    std::uint32_t steps = 1;
    bool hangs = false;
    written answer;
    std::uint64_t number = 0;
  };
  std::map<std::string, writing> writing_;                        // by print
  std::uint64_t writings_ = 0;
};

/// What a made-up model takes for a request at most, and does; what it writes is a function of the proposal.
inline constexpr std::uint64_t most_tokens = 1000;
std::uint64_t tokens_of(const write_work& what, std::uint32_t step);
candidate written_for(const std::string& session, node_number number);
/// `session` and proposal's number are all of a made-up synthesizer's state.
struct simulated_state { std::string session; node_number number = 0; std::uint32_t said = 0; };
template <class Inspector>
bool inspect(Inspector& f, simulated_state& x) {
  return f.object(x).fields(f.field("session", x.session), f.field("number", x.number), f.field("said", x.said));
}

/// What a made-up device says of a candidate: the same whoever measures it.
evaluation measured(const evaluate_work& what);

} // namespace kevolve::simulation
