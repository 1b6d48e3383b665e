#include "actors/frozen_lease.hpp"

#include "protocol/codec.hpp"
#include "protocol/message.hpp"

#include <string_view>

namespace kevolve {
namespace {

/// message's index of lease_granted, which never changes: it is on the wire.
constexpr std::uint64_t lease_granted_index = 6;
static_assert(std::is_same_v<std::variant_alternative_t<lease_granted_index, message>, lease_granted>);

constexpr std::size_t names_and_numbers_bytes = 160;

} // namespace

std::string encode_frozen(const std::string& sender, const std::string& receiver, std::uint64_t sequence, const frozen_lease& what) {
  codec::string_buffer frame;
  frame.bytes.reserve(what.work->size() + sender.size() + receiver.size() + what.lease.size() + names_and_numbers_bytes);
  msgpack::packer<codec::string_buffer> pack(frame);
  const auto text = [&](std::string_view s) {
    pack.pack_str(static_cast<std::uint32_t>(s.size()));
    pack.pack_str_body(s.data(), static_cast<std::uint32_t>(s.size()));
  };
  pack.pack_map(5);
  text("version"), pack.pack_uint64(protocol_version);
  text("sender"), text(sender);
  text("receiver"), text(receiver);
  text("sequence"), pack.pack_uint64(sequence);
  text("body"), pack.pack_array(2), pack.pack_uint64(lease_granted_index);
  pack.pack_map(4);
  text("lease"), text(what.lease);
  text("epoch"), pack.pack_uint64(what.epoch);
  text("deadline_s"), pack.pack_double(what.deadline_s);
  text("what"), frame.bytes += *what.work;
  return std::move(frame.bytes);
}

} // namespace kevolve
