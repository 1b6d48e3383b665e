// kevolve-judge: one per device slot, started by the evaluation library, which it reaches on descriptor 3. Ends when the library does.
#include "node-agent/frames.hpp"
#include "node-agent/judge.hpp"
#include "node-agent/process.hpp"
#include "protocol/codec.hpp"

#include <csignal>
#include <deque>
#include <linux/close_range.h>
#include <optional>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using namespace kevolve;
using namespace kevolve::agent;

constexpr int control = 3;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};

class conversation {
public:
  /// Waits for the next request, or answers none when the library is gone.
  std::optional<judge_request> next() {
    if (!waiting_.empty()) {
      judge_request r = std::move(waiting_.front());
      waiting_.pop_front();
      return r;
    }
    return read(-1);
  }

  /// While `current_` is worked on: takes what arrived; true when it is no longer wanted.
  bool cancelled() {
    while (auto r = read(0))
      sort(std::move(*r));
    return gone_ || cancelled_ >= current_;
  }

  bool announce(const std::string& stage) {
    if (!send(judge_stage{current_, stage}))
      return false;
    while (stage == "measuring" && went_ < current_) {
      auto r = read(-1);
      if (!r)
        return false;
      sort(std::move(*r));
      if (cancelled_ >= current_)
        return false;
    }
    return true;
  }

  bool send(const judge_reply& r) { return write_frame(control, encode(r)); }
  void begin(std::uint64_t number) { current_ = number; }

private:
  void sort(judge_request r) {
    if (auto* c = std::get_if<judge_cancel>(&r))
      cancelled_ = std::max(cancelled_, c->number);
    else if (auto* g = std::get_if<judge_go>(&r))
      went_ = std::max(went_, g->number);
    else
      waiting_.push_back(std::move(r));
  }

  std::optional<judge_request> read(int wait_ms) {
    auto bytes = read_frame(control, wait_ms);
    if (!bytes)
      return gone_ = true, std::nullopt;
    if (!*bytes)
      return std::nullopt;
    auto r = decode<judge_request>(**bytes);
    if (!r)
      return gone_ = true, std::nullopt;
    return std::move(*r);
  }

  std::deque<judge_request> waiting_;
  std::uint64_t current_ = 1, cancelled_ = 0, went_ = 0;
  bool gone_ = false;
};

} // namespace

int main() {
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGINT, SIG_IGN); // a terminal's Ctrl-C is the library's business
  conversation talk;
  auto first = talk.next();
  if (!first || !std::holds_alternative<judge_setup>(*first))
    return 1;
  judge_line line{control, [&] { return talk.cancelled(); }, [&](const std::string& stage) { return talk.announce(stage); }};
  judge self(std::get<judge_setup>(std::move(*first)), line);
  while (auto request = talk.next()) {
    bool there = true;
    std::visit(overloaded{[&](const judge_evaluate& x) { talk.begin(x.number), there = talk.send(self.evaluate(x)); },
                          [&](const judge_prepare& x) {
                            talk.begin(x.number);
                            self.prepare(x);
                            there = talk.announce("prepared");
                          },
                          [&](const judge_probe& x) { talk.begin(x.number), there = talk.send(self.probe(x)); },
                          [&](const judge_golden& x) { talk.begin(x.number), there = talk.send(self.golden(x)); },
                          [&](const judge_describe& x) { talk.begin(x.number), there = talk.send(self.describe(x)); }, [](const auto&) {}},
               *request);
    if (!there)
      break;
  }
  return 0;
}
