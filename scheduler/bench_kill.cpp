// kevolve bench kill: starts `kevolve optimize` as a child, kills its whole process tree with SIGKILL at a random moment, resumes it, and
// checks what a crash may not break: the log's prefix untouched (equal digests), the views equal to the fold of the log, exactly N
// evaluations counted, none lost, none twice, nobody left running. Every second round searches through one slot; the tree that its kills and
// resumes came to must then equal that of an uninterrupted run on the same recorded evaluations, decision by decision.
#include "actors/replay.hpp"
#include "actors/session_state.hpp"
#include "protocol/rng.hpp"
#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/single_host.hpp"

#include <fmt/format.h>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr auto longest_run = std::chrono::minutes(10);
constexpr auto orphan_patience = std::chrono::seconds(10);

/// What the store of one round says, as far as this campaign asks.
struct log_view {
  session_id session;
  std::uint64_t events = 0;
  std::string digest;               // over all events
  std::uint64_t fold = 0;           // digest of the fold
  std::uint32_t counted = 0;        // evaluations by the fold
  std::uint32_t distinct = 0;       // proposals that have a counted evaluation
  std::uint32_t recorded = 0;       // evaluation_recorded in the log
  std::uint32_t by_view = 0;        // evaluations by the store's own view
  bool finished = false;
  std::string stopped_by;
  std::vector<std::string> damage;
};

result<std::optional<log_view>> look(const std::filesystem::path& data) {
  std::error_code ignored;
  if (!std::filesystem::exists(data, ignored))
    return std::optional<log_view>{};
  auto memory = kb::store::open(data, kb::access::read_only);
  if (!memory && memory.error().code == errc::not_found)
    return std::optional<log_view>{};
  if (!memory)
    return memory.error();
  KEVOLVE_TRY(checked, (*memory)->check(false));
  KEVOLVE_TRY(sessions, (*memory)->sessions());
  log_view view;
  view.damage = std::move(checked.damage);
  if (sessions.empty())
    return view.damage.empty() ? std::optional<log_view>{} : std::optional<log_view>{view};
  if (sessions.size() > 1)
    view.damage.push_back(fmt::format("found {} sessions, expected 1", sessions.size()));
  view.session = sessions.front().session;
  view.by_view = sessions.front().evaluations;
  KEVOLVE_TRY(events, (*memory)->events(view.session));
  KEVOLVE_TRY(digest, (*memory)->digest(view.session, 0));
  view.events = events.size();
  view.digest = std::move(digest);
  search::session_state state;
  std::set<node_number> seen;
  for (const event& e : events) {
    state.apply(e);
    if (const auto* recorded = std::get_if<evaluation_recorded>(&e)) {
      ++view.recorded;
      seen.insert(recorded->number);
    }
  }
  view.fold = state.digest();
  view.counted = state.results();
  view.distinct = static_cast<std::uint32_t>(seen.size());
  view.finished = state.ending().has_value();
  if (state.ending())
    view.stopped_by = state.ending()->stopped_by;
  return std::optional<log_view>{std::move(view)};
}

struct two_trees { std::string searched, replayed; };

/// The tree in the log, and the one that an uninterrupted run comes to on the log's evaluations. Both without the leader's verification,
/// which is not replayed: it comes after the last decision.
result<two_trees> replay_uninterrupted(const std::filesystem::path& data, const session_id& session, const std::filesystem::path& scratch) {
  KEVOLVE_TRY(memory, kb::store::open(data, kb::access::read_only));
  KEVOLVE_TRY(log, memory->events(session));
  std::erase_if(log, [](const event& e) { return std::holds_alternative<leader_verified>(e); });
  KEVOLVE_TRY(searched, tree_digest(log));
  KEVOLVE_TRY(replayed, replay_session(*memory, session, scratch, &synthesis::generator::make));
  return two_trees{searched, replayed};
}

result<std::string> digest_of_prefix(const std::filesystem::path& data, const session_id& session, std::uint64_t count) {
  KEVOLVE_TRY(memory, kb::store::open(data, kb::access::read_only));
  return memory->digest(session, count);
}

class killing {
public:
  killing(context& in, const kill_options& options, std::filesystem::path folder) : in_(in), options_(options), folder_(std::move(folder)) {}

  /// One uninterrupted run: how long the moments may be drawn from.
  result<double> calibrate() {
    const auto data = fresh("calibration");
    const auto began = std::chrono::steady_clock::now();
    KEVOLVE_TRY(child, start(data, "", false));
    const auto status = child.wait_for(longest_run);
    if (!status || *status != 0)
      return error{errc::io, fmt::format("an uninterrupted run ended with {}: {}", status ? std::to_string(*status) : "no end in 10 minutes", tail_of_errors())};
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::filesystem::remove_all(data);
    return took;
  }

  result<object> round(std::uint32_t number, double typical_s) {
    rng draw(options_.seed, number, "kill");
    const auto data = fresh(fmt::format("round-{:04}", number));
    object told{{"round", number}, {"kills_s", object::array()}, {"faults", object::array()}};
    const std::uint32_t planned = draw.chance(0.25) ? 2 : 1;
    const bool one_slot = number % 2 == 0;
    told["one_slot"] = one_slot;
    std::optional<log_view> before;
    for (std::uint32_t kills = 0, tries = 0; kills < planned && tries < 8; ++tries) {
      const double moment = draw.uniform() * typical_s;
      KEVOLVE_TRY(child, start(data, before ? before->session : "", one_slot));
      if (child.wait_for(milliseconds(static_cast<std::int64_t>(moment * 1000)))) {
        if (before || kills)
          break; // a resumed run may end early: it had less to do
        std::filesystem::remove_all(data);
        continue; // it finished first: no kill, so begin the round again
      }
      child.kill_tree();
      ++kills;
      told["kills_s"].push_back(moment);
      KEVOLVE_TRY(after, look(data));
      compare(data, before, after, told["faults"]);
      if (after)
        before = std::move(after);
      if (in_.signals.received())
        return error{errc::interrupted, "interrupted"};
    }
    KEVOLVE_TRY(session, finish(data, before, one_slot, told));
    if (one_slot && !session.empty())
      compare_trees(data, session, told);
    if (told["faults"].empty())
      std::filesystem::remove_all(data);
    else
      told["kept"] = data.string();
    return told;
  }

private:
  std::filesystem::path fresh(const std::string& name) const {
    const auto data = folder_ / name;
    std::error_code ignored;
    std::filesystem::remove_all(data, ignored);
    return data;
  }

  result<background_child> start(const std::filesystem::path& data, const std::string& session, bool one_slot) {
    std::vector<std::string> arguments{options_.executable, "optimize"};
    if (session.empty()) {
      arguments.insert(arguments.end(), {options_.spec, "--evaluations", std::to_string(options_.evaluations), "--time", "0", "--plateau",
                                         std::to_string(options_.evaluations + 1), "--baselines", "none", "--seed", std::to_string(options_.seed)});
      if (one_slot)
        arguments.insert(arguments.end(), {"--in-flight", "1"});
      if (!options_.workloads.empty()) {
        arguments.emplace_back("--workload");
        arguments.insert(arguments.end(), options_.workloads.begin(), options_.workloads.end());
      }
    } else {
      arguments.insert(arguments.end(), {"--resume", session});
    }
    arguments.insert(arguments.end(), {"--data", data.string(), "--cache", in_.configured.cache.string(), "--json"});
    return background_child::start(arguments, (folder_ / "child.stdout").string(), (folder_ / "child.stderr").string());
  }

  std::string tail_of_errors() const {
    std::ifstream file(folder_ / "child.stderr");
    std::ostringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    return all.size() > 400 ? all.substr(all.size() - 400) : all;
  }

  static void compare(const std::filesystem::path& data, const std::optional<log_view>& before, const std::optional<log_view>& after, object& faults) {
    if (after)
      for (const std::string& each : after->damage)
        faults.push_back("damage: " + each);
    if (before && (!after || after->session != before->session || after->events < before->events)) {
      faults.push_back(fmt::format("lost: {} events were durable, {} are left", before->events, after ? after->events : 0));
      return;
    }
    if (before) {
      auto prefix = digest_of_prefix(data, before->session, before->events);
      if (!prefix || *prefix != before->digest)
        faults.push_back(fmt::format("prefix: the digest of the first {} events changed", before->events));
    }
    if (after && after->recorded != after->distinct)
      faults.push_back(fmt::format("twice: {} evaluations recorded for {} proposals", after->recorded, after->distinct));
    if (after && (after->by_view != after->counted || after->counted != after->recorded))
      faults.push_back(fmt::format("fold: the view counts {}, the fold {}, the log {} evaluations", after->by_view, after->counted, after->recorded));
  }

  void compare_trees(const std::filesystem::path& data, const session_id& session, object& told) const {
    const auto trees = replay_uninterrupted(data, session, fresh("replay"));
    std::error_code ignored;
    std::filesystem::remove_all(folder_ / "replay", ignored);
    if (!trees) {
      told["faults"].push_back("replay: " + trees.error().message);
      return;
    }
    told["tree"] = trees->searched;
    told["tree_uninterrupted"] = trees->replayed;
    if (trees->searched != trees->replayed)
      told["faults"].push_back(fmt::format("tree: {} after kill and resume, {} uninterrupted on the same evaluations", trees->searched, trees->replayed));
  }

  /// Resumes to the end and checks what the session came to; the session.
  result<session_id> finish(const std::filesystem::path& data, const std::optional<log_view>& before, bool one_slot, object& told) {
    KEVOLVE_TRY(child, start(data, before ? before->session : "", one_slot));
    const auto status = child.wait_for(longest_run);
    if (!status)
      child.kill_tree();
    told["status"] = status ? object(*status) : object(nullptr);
    if (!status || *status != 0)
      told["faults"].push_back(fmt::format("resume ended with {}: {}", status ? std::to_string(*status) : "no end in 10 minutes", tail_of_errors()));
    KEVOLVE_TRY(after, look(data));
    compare(data, before, after, told["faults"]);
    const std::uint32_t counted = after ? after->counted : 0;
    told["events_at_kill"] = before ? before->events : 0;
    told["events"] = after ? after->events : 0;
    told["evaluations"] = counted;
    told["stopped_by"] = after ? after->stopped_by : "";
    if (counted != options_.evaluations || !after || !after->finished)
      told["faults"].push_back(fmt::format("count: {} evaluations, expected {}; {}", counted, options_.evaluations, after && after->finished ? "finished" : "not finished"));
    auto left = descendants_of(getpid());
    for (const auto since = std::chrono::steady_clock::now(); !left.empty() && std::chrono::steady_clock::now() - since < orphan_patience; left = descendants_of(getpid())) // what was killed takes a moment
      std::this_thread::sleep_for(milliseconds(20));
    if (!left.empty())
      told["faults"].push_back(fmt::format("orphans: {} processes are still running", left.size()));
    return after ? after->session : session_id{};
  }

  context& in_;
  const kill_options& options_;
  std::filesystem::path folder_;
};

int summarise(context& in, const campaign& record, std::uint32_t rounds) {
  std::uint64_t kills = 0, with_session = 0, bad = 0, replayed = 0;
  object faults = object::array();
  for (const object& trial : record.trials()) {
    if (!trial.contains("round"))
      continue;
    kills += trial["kills_s"].size();
    with_session += trial["events_at_kill"].get<std::uint64_t>() > 0;
    bad += !trial["faults"].empty();
    replayed += trial.contains("tree_uninterrupted");
    for (const object& fault : trial["faults"])
      faults.push_back({{"round", trial["round"]}, {"fault", fault}});
  }
  const auto count = [&](const char* kind) {
    std::uint64_t n = 0;
    for (const object& f : faults)
      n += f["fault"].get<std::string>().starts_with(kind);
    return n;
  };
  in.out.answer(object{{"rounds", rounds}, {"kills", kills}, {"killed_with_a_session", with_session}, {"bad_rounds", bad}, {"prefix_changed", count("prefix")},
                       {"fold_differs", count("fold")}, {"wrong_count", count("count")}, {"lost", count("lost")}, {"twice", count("twice")},
                       {"damaged", count("damage")}, {"orphans", count("orphans")}, {"replayed", replayed},
                       {"trees_differ", count("tree")}, {"replays_failed", count("replay")}, {"faults", faults}}
                    .dump(2));
  std::string text = fmt::format("{} rounds, {} kills ({} rounds with events already durable): {} bad rounds\n"
                                 "{} of the killed and resumed searches replayed uninterrupted through one slot: {} trees differ\n",
                                 rounds, kills, with_session, bad, replayed, count("tree"));
  for (const object& f : faults)
    text += fmt::format("  round {}: {}\n", f["round"].get<std::uint32_t>(), f["fault"].get<std::string>());
  in.out.say(text);
  return bad ? 1 : 0;
}

} // namespace

result<int> bench_kill(context& in, const kill_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  const auto folder = in.configured.data / "bench" / "kill";
  const object identity{{"campaign", "kill"}, {"spec", options.spec}, {"workloads", options.workloads}, {"evaluations", options.evaluations}, {"seed", options.seed}};
  KEVOLVE_TRY(record, campaign::open(folder / "rounds.jsonl", identity));
  adopt_orphans();
  killing campaign_of(in, options, folder);
  double typical_s = 0;
  std::uint32_t done = 0;
  for (const object& trial : record.trials())
    if (trial.contains("typical_s"))
      typical_s = trial["typical_s"];
    else
      ++done;
  if (typical_s <= 0) {
    KEVOLVE_TRY(took, campaign_of.calibrate());
    typical_s = took;
    KEVOLVE_TRY_VOID(record.add({{"typical_s", typical_s}}));
  }
  for (; done < options.rounds; ++done) {
    KEVOLVE_TRY(told, campaign_of.round(done, typical_s));
    KEVOLVE_TRY_VOID(record.add(told));
    in.out.progress(fmt::format("{}/{} rounds{}", done + 1, options.rounds, told["faults"].empty() ? "" : "  bad: " + told["faults"][0].get<std::string>()), true);
    if (in.signals.received())
      return in.signals.exit_code();
  }
  return summarise(in, record, done);
}

} // namespace kevolve::scheduler
