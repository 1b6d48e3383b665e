// A lease on its way to an agent whose work is frozen already: the evaluator's checkpoint goes into the frame as it is, instead of being thawed
// and frozen again (which cost a tenth of all that the scheduler does for an evaluation). Byte for byte the envelope of a lease_granted. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace kevolve {

struct frozen_lease {
  std::string lease;
  std::uint64_t epoch = 0;
  double deadline_s = 0;
  std::shared_ptr<const std::string> work; // an encoded kevolve::work
};

/// The frame that `encode(envelope{protocol_version, sender, receiver, sequence, lease_granted{…}})` would be.
std::string encode_frozen(const std::string& sender, const std::string& receiver, std::uint64_t sequence, const frozen_lease& what);

} // namespace kevolve
