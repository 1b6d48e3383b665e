// Sequences of messages, and of the clock, into the scheduler's dispatcher, an agent's job table or its errands (the first byte says which), as they are. What always holds: the counts
// add up, no agent holds more than its credit, a task is delivered at most once, only under its newest epoch, from whoever holds it; what is paid for is
// leased once for each permission, which is asked for when a slot is kept free for it, but to whoever has it. Of what an agent has compiled and fetched
// elsewhere: each thing that it asks for ends at most once, and bytes that come are those that were named.
#include "actors/agent_leases.hpp"
#include "actors/compile_desk.hpp"
#include "actors/dispatch_logic.hpp"
#include "actors/errands.hpp"
#include "protocol/check.hpp"
#include "protocol/digest.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

namespace kevolve::fuzz {
namespace {

struct script {
  std::string_view bytes;
  bool more() const { return !bytes.empty(); }
  unsigned next() {
    if (bytes.empty())
      return 0;
    const auto value = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    return value;
  }
};

class exchange {
public:
  void act(script& in) {
    const std::string agent = "a" + std::to_string(in.next() % 4), task = "t" + std::to_string(in.next() % 16);
    const std::uint64_t epoch = in.next() % 6;
    switch (in.next() % 15) {
      case 0: case 1: {
        dispatch::submit s;
        s.task = task, s.owner = "s" + std::to_string(epoch % 3), s.priority = static_cast<int>(epoch % 2), s.on = {"cpu", "", "cpp"}, s.limit_s = 1 + static_cast<double>(in.next() % 60);
        s.holder = in.next() % 4 ? "" : agent;
        s.in_pieces = in.next() % 8 == 0;
        if (in.next() % 4 == 0)
          s.needs_device = false, s.toolchain = in.next() % 2 ? "g++" : "g++ 12.2.0", s.machine = "x86_64", s.libc = 2036 + in.next() % 2;
        return step(s);
      }
      case 2: case 3: {
        agent_hello h{agent, agent + "/" + std::to_string(epoch % 3), protocol_version, {}, in.next() % 3, {}};
        for (unsigned n = in.next() % 3; n > 0; --n)
          h.devices.push_back({"d" + std::to_string(n), "hw", target{"cpu", "", in.next() % 8 ? "cpp" : "other"}, in.next() % 4, {}});
        h.compiles = in.next() % 2 == 0;
        h.pieces = in.next() % 4 != 0;
        h.machine = "x86_64", h.libc = 2036 + in.next() % 2;
        if (h.compiles && in.next() % 2)
          h.toolchains = {in.next() % 2 ? "g++ 12.2.0" : "g++ 13.1.0"};
        if (in.next() % 2) {
          h.writers.resize(1);
          h.writers[0].name = "small";
          h.writing_slots = in.next() % 3;
          h.labels = {"l" + std::to_string(in.next() % 2)};
        }
        return step(dispatch::hello{agent, h, in.next() % 2 ? std::vector<std::string>{task, "t3"} : std::vector<std::string>{}});
      }
      case 4: return step(dispatch::heartbeat{agent});
      case 5: {
        const bool keeps = in.next() % 4 == 0;
        if (keeps)
          held_.erase(task); // nobody is told
        step(dispatch::withdraw{task, keeps});
        return over(task);
      }
      case 6: return step(dispatch::accepted{agent, task, epoch});
      case 7: return step(dispatch::finished{agent, task, epoch, in.next() % 4 == 0, "why", took(in)});
      case 8: {
        const auto holder = held_.find(task); // an honest one
        return holder == held_.end() ? step(dispatch::heartbeat{agent}) : step(dispatch::finished{holder->second.first, task, holder->second.second, in.next() % 4 == 0, "why", took(in)});
      }
      case 9: return in.next() % 2 ? step(dispatch::lost{agent, "gone"}) : step(dispatch::goodbye{agent, "bye"});
      case 10: return step(dispatch::drain{agent, 1});
      case 11: case 12: {
        if (logic_.knows(task))
          return;
        dispatch::submit s;
        s.task = task, s.owner = "s" + std::to_string(epoch % 3), s.limit_s = 10, s.needs_device = s.needs_compiler = false, s.writer = in.next() % 8 ? "small" : "large";
        s.label = in.next() % 4 ? "any" : "l0", s.paid = in.next() % 4 != 0, s.under_way = s.paid && in.next() % 4 == 0, s.holder = in.next() % 4 ? "" : agent;
        if (s.paid)
          paid_.insert(task);
        else
          paid_.erase(task);
        return step(s);
      }
      case 13: {
        const std::string which = asked_.empty() || in.next() % 8 == 0 ? task : *asked_.begin(); // by its turn, or whenever it likes
        asked_.erase(which);
        if (logic_.knows(which) && paid_.contains(which))
          permits_.insert(which);
        return step(dispatch::permit{which});
      }
      default:
        now_s_ += in.next() % 8 == 0 ? static_cast<double>(in.next()) : 0.1 * (in.next() % 40);
        return step(dispatch::tick{in.next() % 16 ? 0.0 : 3.0});
    }
  }

private:
  static std::optional<double> took(script& in) {
    switch (in.next() % 6) {
      case 0: return std::nan("");
      case 1: return 1e300;
      case 2: return -1.0;
      case 3: return 0.1 * in.next();
      default: return std::nullopt;
    }
  }
  void step(dispatch::input what) {
    for (const auto& effect : logic_.step(std::move(what), now_s_))
      std::visit([this](const auto& e) { on(e); }, effect);
    const auto t = logic_.totals();
    KEVOLVE_CHECK(t.submitted == t.queued + t.leased + t.delivered + t.failed + t.cancelled);
    KEVOLVE_CHECK(t.leased == held_.size());
    for (int n = 0; n < 4; ++n)
      if (const auto standing = logic_.standing_of("a" + std::to_string(n))) {
        auto& before = leases_[static_cast<std::size_t>(n)];
        KEVOLVE_CHECK(standing->leases <= std::max(standing->credit, before)); // a device that is suspended takes credit away, and what is leased is given back
        KEVOLVE_CHECK(standing->compiling <= standing->compile_credit && standing->writes + standing->promised <= standing->writing_slots);
        before = standing->leases;
      }
  }
  void on(const dispatch::grant& e) {
    KEVOLVE_CHECK(!held_.contains(e.lease) && e.epoch > epochs_[e.lease]);
    KEVOLVE_CHECK(e.deadline_s > 0);
    KEVOLVE_CHECK(!e.kept || paid_.contains(e.lease));
    if (paid_.contains(e.lease) && !e.kept)
      KEVOLVE_CHECK(permits_.erase(e.lease) == 1);
    epochs_[e.lease] = e.epoch;
    held_[e.lease] = {e.agent, e.epoch};
  }
  void on(const dispatch::deliver& e) {
    auto holder = held_.find(e.task);
    KEVOLVE_CHECK(holder != held_.end() && holder->second == std::pair(e.agent, e.epoch));
    held_.erase(holder);
    over(e.task);
  }
  void on(const dispatch::ask_permit& e) {
    KEVOLVE_CHECK(paid_.contains(e.task) && !held_.contains(e.task) && !permits_.contains(e.task));
    KEVOLVE_CHECK(logic_.standing_of(e.agent) && logic_.standing_of(e.agent)->promised > 0);
    asked_.insert(e.task);
  }
  void over(const std::string& task) { // its name may come again
    asked_.erase(task);
    epochs_.erase(task);
    permits_.erase(task);
    paid_.erase(task);
  }
  void on(const dispatch::revoke& e) { KEVOLVE_CHECK(held_.contains(e.lease)), held_.erase(e.lease); }
  void on(const dispatch::requeued& e) { held_.erase(e.task); }
  void on(const dispatch::give_up& e) {
    if (e.reason.find("already here") == std::string::npos)
      held_.erase(e.task), over(e.task);
  }
  template <class Other>
  void on(const Other&) {}

  dispatch::dispatcher logic_{[] {
    dispatch::options few;
    few.queue_bound = 10;
    return few;
  }()};
  std::map<std::string, std::pair<std::string, std::uint64_t>> held_;
  std::array<std::uint32_t, 4> leases_{}; // by agent, before the newest step
  std::map<std::string, std::uint64_t> epochs_;
  std::set<std::string> paid_, permits_, asked_;
  double now_s_ = 1;
};

/// An agent's table: never more than its bound; each start is stopped or answered once; nothing is answered that was never granted.
class table {
public:
  void act(script& in) {
    const std::string lease = "t" + std::to_string(in.next() % 8);
    const std::uint64_t epoch = in.next() % 4;
    switch (in.next() % 6) {
      case 0: case 1: return carry_out(leases_.granted({lease, epoch, static_cast<double>(in.next()), trace_work{}}, now()));
      case 2: started_.erase({lease, epoch}); return carry_out(leases_.cancelled({lease, epoch}));
      case 3: leases_.acknowledged({lease, epoch, in.next() % 2 == 0}); return;
      case 4: return carry_out(leases_.finished(lease, epoch, std::string("answer"), now()));
      default: now_ms_ += in.next() * 100; return carry_out(leases_.tick(now()));
    }
  }

private:
  agent_leases::time now() const { return agent_leases::time{std::chrono::milliseconds(now_ms_)}; }
  void carry_out(const std::vector<agent_effect>& effects) {
    for (const auto& effect : effects)
      if (const auto* begin = std::get_if<start_work>(&effect))
        started_.insert({begin->lease, begin->epoch}), granted_.insert({begin->lease, begin->epoch});
      else if (const auto* said = std::get_if<message>(&effect))
        if (const auto* answer = std::get_if<lease_finished>(said))
          KEVOLVE_CHECK(granted_.contains({answer->lease, answer->epoch}) || std::get<std::string>(answer->answer).find("its bound") != std::string::npos);
    KEVOLVE_CHECK(leases_.held() <= 4);
    KEVOLVE_CHECK(leases_.running().size() <= leases_.held());
  }
  agent_leases leases_{4};
  std::set<std::pair<std::string, std::uint64_t>> started_, granted_;
  std::uint64_t now_ms_ = 1000;
};

/// An agent that asks, and a scheduler's desk that passes on what others have, both told anything.
class errand_runner {
public:
  void act(script& in) {
    const std::string& bytes = blobs_[in.next() % blobs_.size()];
    const blob_reference named{sha256_hex(bytes), bytes.size()};
    switch (in.next() % 9) {
      case 0: return ask(table_.compile(work(in), now()));
      case 1: return ask(table_.fetch(in.next() % 8 ? named : blob_reference{named.hash, 1 + in.next() % 500u}, now()));
      case 2: {
        const errands::ticket which = 1 + in.next() % 16;
        hear(table_.drop(which));
        waiting_.erase(which);
        return;
      }
      case 3: {
        compile_made made;
        made.candidate = std::string(64, in.next() % 2 ? 'a' : 'b'), made.good = in.next() % 2, made.artifact = named;
        const std::string request = in.next() % 4 ? std::to_string(1 + in.next() % 16) : std::string("no number");
        if (in.next() % 4)
          table_.heard(compile_answered{request, made});
        else
          table_.heard(compile_answered{request, std::string("why")});
        return ended();
      }
      case 4: { // an honest piece, or one that is not
        blob_piece piece = piece_of({named.hash, in.next() * 16u, in.next() % 4 ? std::uint64_t{16} : in.next(), ""}, bytes);
        if (in.next() % 8 == 0)
          piece.content += 'x';
        table_.heard(std::move(piece), now());
        return ended();
      }
      case 5: table_.heard(blob_missing{named.hash, ""}); return ended();
      case 6: { // whatever was asked for comes
        for (const auto& each : std::exchange(asked_, {}))
          for (const std::string& of : blobs_)
            if (sha256_hex(of) == each.hash)
              table_.heard(piece_of(each, of), now());
        return ended();
      }
      case 7: {
        const std::string agent = "a" + std::to_string(in.next() % 3), other = "a" + std::to_string(in.next() % 3);
        compile_work what = work(in);
        if (auto opened = desk_.wanted(agent, {std::to_string(in.next() % 4), what}); opened.task && in.next() % 2) {
          compile_made made;
          made.candidate = what.what.id, made.good = true, made.artifact = named;
          (void)desk_.delivered(opened.task->task, other, made);
        }
        (void)desk_.asked(agent, {named.hash, in.next() % 4 * 16u, 16, other});
        if (auto passed = desk_.came(other, piece_of({named.hash, in.next() % 4 * 16u, 16, agent}, bytes)))
          KEVOLVE_CHECK(passed->agent == agent);
        if (in.next() % 8 == 0)
          for (const auto& task : desk_.agent_gone(other))
            desk_.forget(task);
        return;
      }
      default: now_ms_ += in.next() * 40; hear(table_.due(now())); return ended();
    }
  }

private:
  static compile_work work(script& in) {
    compile_work w;
    w.what.id = std::string(64, in.next() % 2 ? 'a' : 'b'), w.toolchain = in.next() % 8 ? "g++" : "", w.runs_on.machine = "x86_64";
    return w;
  }
  void ask(errands::ticket which) {
    KEVOLVE_CHECK(waiting_.insert(which).second);
    ended();
  }
  void hear(const std::vector<message>& said) {
    for (const auto& each : said)
      if (const auto* wanted = std::get_if<blob_wanted>(&each)) {
        KEVOLVE_CHECK(wanted->bytes > 0 && wanted->bytes <= 16);
        asked_.push_back(*wanted);
      }
  }
  void ended() {
    for (const auto& each : table_.take_done()) {
      KEVOLVE_CHECK(waiting_.erase(each.which) == 1);
      if (const auto* got = std::get_if<errands::fetched>(&each.how))
        KEVOLVE_CHECK(std::count(blobs_.begin(), blobs_.end(), *got->content) == 1);
    }
    KEVOLVE_CHECK(table_.under_way() <= waiting_.size());
  }
  errands::time now() const { return errands::time{std::chrono::milliseconds(now_ms_)}; }

  const std::vector<std::string> blobs_{std::string(300, 'p'), "short", std::string(16, 'q'), std::string(33, 'r')};
  errands table_{16};
  dispatch::compile_desk desk_{"life"};
  std::set<errands::ticket> waiting_;
  std::vector<blob_wanted> asked_;
  std::uint64_t now_ms_ = 100'000;
};

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (unsigned n = 1; n <= 8; ++n) {
    std::string bytes(1, static_cast<char>(n));
    for (unsigned i = 0; i < 160 * n; ++i)
      bytes += static_cast<char>((i * 2654435761u * n) >> 24);
    all.push_back(bytes);
  }
  all.push_back(std::string("\0\0\1\1\2\1\1\0\1\1\0\0\1\0\0\5\1\0\1\1\6\0\1\1\7\1", 26)); // hello, submit, accepted, finished
  return all;
}

void fuzz_bytes(std::string_view bytes) {
  if (bytes.size() > 4096)
    return;
  script in{bytes};
  const auto tell = [&in](auto whom) {
    while (in.more())
      whom.act(in);
  };
  switch (in.next() % 4) { // whom the rest of the script is told to
    case 0: case 1: return tell(exchange{});
    case 2: return tell(table{});
    default: return tell(errand_runner{});
  }
}

} // namespace kevolve::fuzz
