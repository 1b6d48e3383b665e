// What callers leave for a provider's own thread: new requests and cancellations, in order. `put` may be called from any thread; the
// provider's thread takes everything at once.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

#include <mutex>
#include <utility>
#include <vector>

namespace kevolve::llm {

struct left_request {
  handle which = 0;
  request asked;
  reply_handler then; // empty: a cancellation of `which`
};

class inbox {
public:
  handle put(request asked, reply_handler then) {
    std::lock_guard lock(mutex_);
    left_.push_back({++last_, std::move(asked), std::move(then)});
    return last_;
  }
  void put_cancellation(handle which) {
    std::lock_guard lock(mutex_);
    left_.push_back({which, {}, {}});
  }
  std::vector<left_request> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(left_, {});
  }

private:
  std::mutex mutex_;
  std::vector<left_request> left_;
  handle last_ = 0;
};

} // namespace kevolve::llm
