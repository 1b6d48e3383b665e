#include "protocol/message.hpp"

#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

namespace kevolve {

std::string work_print(const work& what) {
  if (const auto* writes = std::get_if<write_work>(&what))
    return writes->print;
  const auto* asked = std::get_if<evaluate_work>(&what);
  if (!asked)
    return {};
  evaluate_work alone = *asked;
  alone.known.clear(); // what was known when it was asked for saves work, and changes no answer
  return sha256_hex(encode(alone));
}

} // namespace kevolve
