// kevolve bench hostile: the programs of tests/hostile/ against this host's judge and sandbox. Each attack four ways: with every defence on (its
// verdict must be the right one, and nothing may escape); with all defences that it lists off (it must succeed, or it proves nothing); with each
// listed defence alone (it must fail). Then the honest corpus, which must pass. Nothing may be left behind, and a canary may be seen nowhere.
#include "node-agent/cgroup.hpp"
#include "node-agent/process.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/hostile_suite.hpp"
#include "scheduler/single_host.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;
using agent::defence;
using agent::defences_off;

constexpr double limit_s = 20, call_limit_s = 1.5;
constexpr std::size_t log_cap = 64u << 10;

/// What lies about on the host for attacks to reach: files, sockets, a shared memory segment. Gone with it.
class bait {
public:
  static result<std::unique_ptr<bait>> lay(const fs::path& cache) {
    std::unique_ptr<bait> b(new bait);
    std::string made = (cache / "hostile-XXXXXX").string();
    if (!::mkdtemp(made.data()))
      return error{errc::io, "cannot make '" + made + "': " + std::strerror(errno)};
    b->folder_ = made;
    ::chmod(made.c_str(), 0755);
    std::random_device secret;
    b->canary_ = fmt::format("kanari{:08x}{:08x}", secret(), secret());
    const fs::path canary = b->folder_ / "canary", mine = b->folder_ / "secret", option = b->folder_ / "option";
    for (const fs::path& file : {canary, mine})
      std::ofstream(file) << b->canary_ << "\n";
    std::ofstream(option) << "-D" << b->canary_ << "=1 -Z" << b->canary_ << "\n";
    ::chmod(mine.c_str(), 0600);
    const fs::path open = b->folder_ / "open"; // where anybody may write
    std::error_code failed;
    fs::create_directory(open, failed);
    ::chmod(open.c_str(), 0777);
    const fs::path socket = b->folder_ / "socket";
    KEVOLVE_TRY_VOID(b->listen(socket));
    b->segment_ = ::shmget(static_cast<key_t>(secret() | 1u), 4096, IPC_CREAT | 0666);
    shmid_ds about{};
    if (b->segment_ >= 0)
      (void)::shmctl(b->segment_, IPC_STAT, &about);
    b->names_ = {{"CANARY", canary.string()}, {"SECRET", mine.string()}, {"CANARY_OPTION", option.string()}, {"OPEN", open.string()}, {"SOCKET", socket.string()}, {"ABSTRACT", b->abstract_},
                 {"PORT", std::to_string(b->port_)}, {"SHMKEY", std::to_string(about.shm_perm.__key)}, {"CGROUP", ::access("/sys/fs/cgroup/pids", F_OK) == 0 ? "pids/" : ""}};
    return b;
  }
  bait(const bait&) = delete;
  bait& operator=(const bait&) = delete;
  ~bait() {
    for (int fd : sockets_)
      ::close(fd);
    if (segment_ >= 0)
      ::shmctl(segment_, IPC_RMID, nullptr);
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    fs::remove("/dev/shm/kevolve-hostile", ignored); // of a control that was ended before it had cleaned up
  }
  [[nodiscard]] const std::map<std::string, std::string>& names() const { return names_; }
  [[nodiscard]] const std::string& canary() const { return canary_; }
  [[nodiscard]] const fs::path& folder() const { return folder_; }

private:
  bait() = default;
  result<void> listen(const fs::path& path) {
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof to;
    const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockets_.push_back(udp);
    bool good = tcp >= 0 && ::bind(tcp, reinterpret_cast<sockaddr*>(&to), size) == 0 && ::listen(tcp, 512) == 0 && ::getsockname(tcp, reinterpret_cast<sockaddr*>(&to), &size) == 0;
    good = good && udp >= 0 && ::bind(udp, reinterpret_cast<sockaddr*>(&to), size) == 0;
    port_ = ntohs(to.sin_port);
    sockets_.push_back(tcp);
    abstract_ = fmt::format("kevolve-hostile-{:08x}", std::random_device{}()); // a process number is not unique where PID namespaces share a network
    for (const bool named : {true, false}) {
      sockaddr_un at{};
      at.sun_family = AF_UNIX;
      const std::string name = named ? path.string() : abstract_;
      good &= name.size() + 2 < sizeof at.sun_path;
      if (!good)
        break;
      std::memcpy(at.sun_path + (named ? 0 : 1), name.data(), name.size());
      const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockets_.push_back(fd);
      good &= ::bind(fd, reinterpret_cast<sockaddr*>(&at), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1)) == 0 && ::listen(fd, 512) == 0;
    }
    ::chmod(path.c_str(), 0777);
    return good ? result<void>() : error{errc::io, std::string("cannot open the sockets that attacks look for: ") + std::strerror(errno)};
  }

  fs::path folder_;
  std::string canary_, abstract_;
  int port_ = 0, segment_ = -1;
  std::vector<int> sockets_;
  std::map<std::string, std::string> names_;
};

/// What candidates could leave behind: processes of their users, control groups, files, segments.
class leftovers {
public:
  leftovers() : before_(all()) {}
  /// Users that our candidates and compilers run as, in blocks of 64: other judges of this host have others.
  void watch(unsigned first_user) { users_.insert(first_user); }
  /// What is there now and was not before; looked for until it is gone, at most a second.
  std::vector<std::string> found() const {
    std::vector<std::string> more;
    for (int i = 0; i < 20; ++i) {
      more.clear();
      for (const std::string& each : all())
        if (before_.count(each) == 0)
          more.push_back(each);
      if (more.empty())
        break;
      ::usleep(50'000);
    }
    return more;
  }

private:
  [[nodiscard]] bool is_ours(unsigned user) const {
    return std::any_of(users_.begin(), users_.end(), [&](unsigned first) { return user >= first && user < first + 64; });
  }
  /// A zombie whose parent is process 1: ended, and init's to reap.
  static bool waits_for_init(const fs::path& process) {
    std::ifstream in(process / "stat");
    std::string line;
    std::getline(in, line);
    const auto after_name = line.rfind(')');
    return after_name != std::string::npos && line.compare(after_name + 1, 5, " Z 1 ") == 0;
  }
  std::set<std::string> all() const {
    std::set<std::string> found;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator("/proc", failed)) {
      struct stat about {};
      const std::string pid = entry.path().filename().string();
      const bool number = std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (number && ::stat(entry.path().c_str(), &about) == 0 && is_ours(about.st_uid) && !waits_for_init(entry.path()))
        found.insert("process " + pid + " of user " + std::to_string(about.st_uid));
    }
    for (const char* folder : {"/tmp", "/dev/shm", "/etc", "/dev/mqueue"})
      for (const auto& entry : fs::directory_iterator(folder, failed))
        if (entry.path().filename().string().find("kevolve") != std::string::npos)
          found.insert("file " + entry.path().string());
    for (const char* list : {"/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg"}) {
      std::ifstream in(list);
      std::string line;
      std::getline(in, line);
      for (std::string key, id; in >> key >> id && std::getline(in, line);)
        found.insert(std::string(list) + " " + id);
    }
    return found;
  }
  std::set<unsigned> users_;
  std::set<std::string> before_;
};

struct finding {
  std::string program, phase, expected, found, log;
};

class campaign_course {
public:
  campaign_course(context& in, const hostile_options& options, const bait& lying, const fs::path& home) : in_(in), options_(options), bait_(lying), home_(home) {}

  result<void> read() {
    KEVOLVE_TRY(programs, read_hostile_programs(home_ / "programs"));
    KEVOLVE_TRY(kernels, read_honest_kernels(home_ / "honest"));
    std::ifstream shared(home_ / "include" / "hostile.h");
    std::ostringstream text;
    text << shared.rdbuf();
    shared_ = std::move(text).str();
    const auto wanted = [&](const std::string& name) { return options_.only.empty() || std::find(options_.only.begin(), options_.only.end(), name) != options_.only.end(); };
    for (auto& p : programs) {
      if (!wanted(p.name))
        continue;
      if ((p.needs_root && ::geteuid() != 0) || (p.lengthy && options_.quick))
        skipped_.push_back(p.name + (p.lengthy ? " (long)" : " (needs root)"));
      else
        programs_.push_back(std::move(p));
    }
    std::erase_if(kernels, [&](const honest_kernel& k) { return !wanted(k.name); });
    kernels_ = std::move(kernels);
    for (const char* name : {"rows", "product"}) {
      KEVOLVE_TRY(subject, read_problem(home_ / "operators" / (std::string(name) + ".json")));
      subjects_[name] = std::move(subject);
    }
    return {};
  }

  /// One phase: each program under the defences that `off_of` leaves off, grouped so that a host is started once for each set.
  template <class OffOf, class Judge>
  result<void> phase(const std::string& name, OffOf off_of, Judge judge) {
    std::map<std::uint64_t, std::vector<const hostile_program*>> groups;
    for (const hostile_program& p : programs_)
      if (auto off = off_of(p))
        groups[off->bits()].push_back(&p);
    for (const auto& [bits, members] : groups) {
      KEVOLVE_TRY(host, start(defences_off(bits)));
      for (const hostile_program* p : members) {
        if (cancelled_)
          return error{errc::interrupted, "interrupted"};
        if (enough())
          return {};
        const evaluation e = attempt(*host, candidate_of(*p, bait_.names(), shared_), p->operator_name, p->verify, p->anchored);
        ++runs_;
        look_for_canary(*p, e, name, bits);
        judge(*p, e);
      }
    }
    in_.out.say(fmt::format("{}: {} runs so far, {} findings\n", name, runs_, findings_.size()));
    return {};
  }

  result<void> run() {
    KEVOLVE_TRY_VOID(leave_out_undefended());
    for (std::uint32_t i = 0; i < options_.repeat; ++i) {
      KEVOLVE_TRY_VOID(phase("defended", [](const hostile_program&) { return std::optional(defences_off()); },
                             [&](const hostile_program& p, const evaluation& e) { defended(p, e); }));
      in_.out.progress(fmt::format("{}/{} rounds of {} attacks against all defences, {} findings", i + 1, options_.repeat, programs_.size(), findings_.size()), options_.repeat > 1);
    }
    for (const std::string& left : left_.found())
      findings_.push_back({"", "leftover", "nothing", left, ""}), ++leftovers_;
    if (options_.defended)
      return honest();
    KEVOLVE_TRY_VOID(phase("control", [](const hostile_program& p) { return p.stopped_by.empty() ? std::nullopt : std::optional(all_off(p)); },
                           [&](const hostile_program& p, const evaluation& e) { control(p, e); }));
    for (std::size_t d = 0; d < agent::defence_count && !options_.quick; ++d)
      KEVOLVE_TRY_VOID(phase("only " + std::string(agent::defence_names[d]), [&](const hostile_program& p) { return one_on(p, static_cast<defence>(d)); },
                             [&](const hostile_program& p, const evaluation& e) { alone(p, e, static_cast<defence>(d)); }));
    return honest();
  }

  /// What this host has no layer against is said, not tried.
  result<void> leave_out_undefended() {
    KEVOLVE_TRY(host, start({}));
    std::erase_if(programs_, [&](const hostile_program& p) {
      const bool open = !p.stopped_by.empty() && std::all_of(p.stopped_by.begin(), p.stopped_by.end(), [&](defence d) { return missing_.count(std::string(agent::to_string(d))) > 0; });
      if (open)
        skipped_.push_back(p.name + " (this host has none of its defences)");
      return open;
    });
    return {};
  }

  int answer() const {
    object found = object::array();
    for (const finding& f : findings_)
      found.push_back({{"program", f.program}, {"phase", f.phase}, {"expected", f.expected}, {"found", f.found}, {"log", f.log}});
    in_.out.answer(object{{"programs", programs_.size()}, {"runs", runs_}, {"escapes", escapes_}, {"wrong_verdicts", wrong_}, {"dead_controls", dead_}, {"leftovers", leftovers_},
                          {"layers_that_failed_alone", holes_}, {"canaries_seen", canaries_}, {"honest", {{"kernels", kernels_.size()}, {"rejected", rejected_}, {"quarantined", quarantined_}}},
                          {"skipped", skipped_}, {"sandbox", sandbox_}, {"findings", std::move(found)}}
                       .dump(2));
    for (const finding& f : findings_)
      in_.out.say(fmt::format("  {} ({}): expected {}, found {}\n    {}\n", f.program, f.phase, f.expected, f.found, f.log.substr(0, 300)));
    in_.out.say(fmt::format("{} attacks, {} runs: {} escapes, {} wrong verdicts, {} controls that did not succeed, {} layers that failed alone, {} leftovers, {} canaries seen\n"
                            "{} honest kernels: {} rejected, {} quarantined\nsandbox: {}\n",
                            programs_.size(), runs_, escapes_, wrong_, dead_, holes_, leftovers_, canaries_, kernels_.size(), rejected_, quarantined_, sandbox_));
    if (!skipped_.empty())
      in_.out.say(fmt::format("skipped: {}\n", fmt::join(skipped_, ", ")));
    return findings_.empty() ? 0 : 1;
  }
  std::atomic<bool>& cancelled() { return cancelled_; }

private:
  [[nodiscard]] bool enough() const { return options_.stop && !findings_.empty(); }
  static defences_off all_off(const hostile_program& p) {
    defences_off off;
    for (const auto* listed : {&p.stopped_by, &p.at_times_by})
      for (const defence d : *listed)
        off.add(d);
    return off;
  }
  std::optional<defences_off> one_on(const hostile_program& p, defence d) const {
    if (missing_.count(std::string(agent::to_string(d))) > 0 || std::find(p.stopped_by.begin(), p.stopped_by.end(), d) == p.stopped_by.end() || p.stopped_by.size() == 1) // alone it stands in "defended" already
      return std::nullopt;
    return all_off(p).remove(d);
  }

  result<std::unique_ptr<agent::host_evaluator>> start(defences_off off) {
    agent::host_settings s;
    s.cache = home_cache() / "cache";
    s.compiler = in_.configured.compiler;
    s.compile_slots = in_.configured.compile_slots;
    s.call_limit_s = call_limit_s;
    s.off = off;
    KEVOLVE_TRY(host, agent::host_evaluator::start(s));
    if (off.bits() == 0)
      for (const auto& [what, finding] : host->self_test()) {
        if (what == "sandbox")
          sandbox_ = finding;
        if (what.starts_with("sandbox ") && finding.starts_with("MISSING"))
          missing_.insert(what.substr(8));
        else if (const auto at = finding.find("users "); what.starts_with("sandbox ") && at != std::string::npos)
          left_.watch(static_cast<unsigned>(std::strtoul(finding.c_str() + at + 6, nullptr, 10)));
      }
    return host;
  }
  [[nodiscard]] fs::path home_cache() const { return options_.keep.empty() ? bait_.folder().parent_path() / "hostile" : options_.keep; }

  evaluation attempt(agent::host_evaluator& host, const candidate& what, const std::string& operator_name, bool verify, bool anchored) {
    evaluate_work w;
    w.subject = subjects_.at(operator_name);
    w.what = what;
    if (anchored)
      w.anchors = {honest_anchor(operator_name, shared_)};
    w.how = verify ? effort::verify : effort::search;
    w.limit_s = limit_s;
    w.seed = std::random_device{}();
    auto e = host.evaluate(w, cancelled_);
    if (e)
      return std::move(*e);
    evaluation failed;
    failed.result = outcome::infrastructure;
    failed.log = e.error().message;
    return failed;
  }

  void note(const hostile_program& p, const std::string& phase, const std::string& expected, const evaluation& e) {
    findings_.push_back({p.name, phase, expected, std::string(to_string(e.result)), e.log});
  }
  void look_for_canary(const hostile_program& p, const evaluation& e, const std::string& phase, std::uint64_t off) {
    const bool odd = e.log.size() > log_cap || e.log.find_first_of(std::string("\x1b\0\x7f", 3)) != std::string::npos;
    if (odd)
      note(p, phase, "a capped, clean log", e), ++wrong_;
    if (off == 0 && (e.log.find(bait_.canary()) != std::string::npos || e.correct.failed_case.find(bait_.canary()) != std::string::npos))
      note(p, phase, "no canary in its log", e), ++canaries_;
  }
  void defended(const hostile_program& p, const evaluation& e) {
    if (!p.stopped_by.empty() && p.success.what != success_sign::kind::not_outcome && p.success.shown(e, bait_.canary()))
      note(p, "defended", "that it fails", e), ++escapes_;
    else if (std::find(p.verdicts.begin(), p.verdicts.end(), e.result) == p.verdicts.end())
      note(p, "defended", fmt::format("{}", fmt::join(names_of(p.verdicts), " or ")), e), ++wrong_;
  }
  void control(const hostile_program& p, const evaluation& e) {
    if (p.success.shown(e, bait_.canary()))
      return;
    if (p.optional)
      return skipped_.push_back(p.name + " (its control: this kernel does not offer what it needs)");
    note(p, "control, undefended", "that it succeeds", e), ++dead_;
  }
  void alone(const hostile_program& p, const evaluation& e, defence d) {
    if (p.success.shown(e, bait_.canary()))
      note(p, "only " + std::string(agent::to_string(d)), "that it fails", e), ++holes_;
  }
  static std::vector<std::string> names_of(const std::vector<outcome>& all) {
    std::vector<std::string> names;
    for (const outcome o : all)
      names.emplace_back(to_string(o));
    return names;
  }

  result<void> honest() {
    if (kernels_.empty())
      return {};
    KEVOLVE_TRY(host, start({}));
    for (const honest_kernel& k : kernels_) {
      if (cancelled_)
        return error{errc::interrupted, "interrupted"};
      if (enough())
        return {};
      const evaluation e = attempt(*host, candidate_of(k), k.operator_name, false, false);
      if (e.result == outcome::passed)
        continue;
      (e.result == outcome::quarantined ? quarantined_ : rejected_) += 1;
      findings_.push_back({k.name, "honest", "passed", std::string(to_string(e.result)), e.log});
    }
    in_.out.say(fmt::format("honest: {} kernels\n", kernels_.size()));
    return {};
  }

  context& in_;
  const hostile_options& options_;
  const bait& bait_;
  fs::path home_;
  std::string shared_, sandbox_;
  std::map<std::string, problem> subjects_;
  std::vector<hostile_program> programs_;
  std::vector<honest_kernel> kernels_;
  std::vector<std::string> skipped_;
  std::set<std::string> missing_; // layers
  std::vector<finding> findings_;
  leftovers left_;
  std::size_t runs_ = 0, escapes_ = 0, wrong_ = 0, dead_ = 0, holes_ = 0, leftovers_ = 0, canaries_ = 0, rejected_ = 0, quarantined_ = 0;
  std::atomic<bool> cancelled_{false};
};

} // namespace

result<int> bench_hostile(context& in, const hostile_options& options) {
  const fs::path programs = agent::find_beside_executable("tests/hostile/programs"), home = programs.parent_path();
  if (programs.empty())
    return error{errc::configuration, "tests/hostile was not found beside this executable: run it from a checkout"};
  std::error_code failed;
  const fs::path cache = fs::temp_directory_path() / fmt::format("kevolve-hostile-{}", ::getpid());
  fs::create_directories(cache, failed);
  struct remove_later {
    fs::path folder;
    ~remove_later() {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  } later{cache};
  KEVOLVE_TRY(lying, bait::lay(cache));
  campaign_course course(in, options, *lying, home);
  in.signals.on_signal([&](int) { course.cancelled() = true; });
  KEVOLVE_TRY_VOID(course.read());
  const auto ran = course.run();
  if (!ran && !course.cancelled())
    return ran.error();
  const int answer = course.answer(); // also of what was done before an interruption
  return ran ? answer : in.signals.exit_code();
}

} // namespace kevolve::scheduler
