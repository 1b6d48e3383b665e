#include "actors/errands.hpp"

#include <algorithm>
#include <charconv>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr auto say_again = 2s;   // of a request that nobody answered: it is lost only with its connection, or with its scheduler
constexpr std::uint64_t most_promised_bytes = 512u << 20; // of blobs that are being fetched, together
constexpr std::size_t most_begun = 8;
constexpr auto give_up_after = 60s; // without a piece: its holder is gone, and so is whoever would say so

errands::ticket number_in(const std::string& request) {
  errands::ticket number = 0;
  std::from_chars(request.data(), request.data() + request.size(), number);
  return number;
}

} // namespace

errands::ticket errands::compile(compile_work what, time now) {
  compiling_.emplace(++last_, request{std::move(what), now});
  return last_;
}

errands::ticket errands::fetch(const blob_reference& what, time now) {
  ++last_;
  auto found = fetching_.find(what.hash);
  if (found == fetching_.end()) {
    if (promised_bytes_ + what.bytes > most_promised_bytes) {
      done_.push_back({last_, failed{"blobs of " + std::to_string(promised_bytes_) + " bytes are being fetched already"}});
      return last_;
    }
    const auto begun = std::find_if(begun_.begin(), begun_.end(), [&](const blob_receiver& each) { return each.what().hash == what.hash && each.what().bytes == what.bytes; });
    if (begun == begun_.end()) {
      found = fetching_.emplace(what.hash, transfer{blob_receiver(what, piece_, now), {}}).first;
    } else {
      begun->resume(now);
      found = fetching_.emplace(what.hash, transfer{std::move(*begun), {}}).first;
      begun_.erase(begun);
    }
    promised_bytes_ += what.bytes;
  }
  found->second.waits.push_back(last_);
  return last_;
}

std::vector<message> errands::drop(ticket which) {
  if (compiling_.erase(which) > 0)
    return {message(compile_dropped{std::to_string(which)})};
  for (auto each = fetching_.begin(); each != fetching_.end(); ++each)
    if (std::erase(each->second.waits, which) > 0) {
      if (each->second.waits.empty())
        leave(each);
      break;
    }
  return {};
}

void errands::heard(compile_answered&& what) {
  const auto asked = compiling_.find(number_in(what.request));
  if (asked == compiling_.end())
    return; // said twice, or dropped meanwhile
  const ticket which = asked->first;
  if (auto* why = std::get_if<std::string>(&what.answer))
    done_.push_back({which, failed{std::move(*why)}});
  else if (auto& got = std::get<compile_made>(what.answer); got.candidate != asked->second.what.what.id)
    done_.push_back({which, failed{"the answer is about another candidate"}});
  else if (const std::string wrong = got.good ? blob_receiver::refuse(got.artifact, limits::artifact_bytes) : std::string(); !wrong.empty())
    done_.push_back({which, failed{wrong}});
  else
    done_.push_back({which, made{std::move(got)}});
  compiling_.erase(asked);
}

void errands::heard(blob_piece&& what, time now) {
  const auto found = fetching_.find(what.hash);
  if (found == fetching_.end() || !found->second.from.take(std::move(what), now) || !found->second.from.complete())
    return;
  counted_.pieces += found->second.from.counted().pieces;
  counted_.asked_again += found->second.from.counted().asked_again;
  counted_.repeated += found->second.from.counted().repeated;
  auto content = std::move(found->second.from).content();
  if (content)
    end(found, fetched{std::make_shared<const std::string>(std::move(*content))});
  else
    end(found, failed{content.error().message});
}

void errands::heard(blob_missing&& what) {
  if (const auto found = fetching_.find(what.hash); found != fetching_.end())
    end(found, failed{"whoever had the blob " + what.hash.substr(0, 12) + " has it no longer"});
}

/// What has come of it is kept, for whoever asks for it next.
void errands::leave(std::map<std::string, transfer>::iterator which) {
  promised_bytes_ -= which->second.from.what().bytes;
  if (which->second.from.received_bytes() > 0 && !which->second.from.complete())
    begun_.push_back(std::move(which->second.from));
  if (begun_.size() > most_begun)
    begun_.pop_front();
  fetching_.erase(which);
}

void errands::end(std::map<std::string, transfer>::iterator which, const std::variant<made, fetched, failed>& how) {
  for (const ticket each : which->second.waits)
    done_.push_back({each, how});
  leave(which);
}

std::vector<message> errands::due(time now) {
  std::vector<message> said;
  for (auto& [which, asked] : compiling_)
    if (now >= asked.say_at) {
      asked.say_at = now + say_again;
      said.push_back(compile_wanted{std::to_string(which), asked.what});
    }
  for (auto each = fetching_.begin(); each != fetching_.end();) {
    const auto current = each++;
    for (auto& wanted : current->second.from.due(now))
      said.push_back(std::move(wanted));
    if (now - current->second.from.progressed() >= give_up_after)
      end(current, failed{"no piece of it came for " + std::to_string(std::chrono::seconds(give_up_after).count()) + " s"});
  }
  return said;
}

} // namespace kevolve
