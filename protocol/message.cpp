#include "protocol/message.hpp"

#include "protocol/check.hpp"
#include "protocol/codec.hpp"

#include <array>
#include <openssl/evp.h>

namespace kevolve {

std::string work_print(const work& what) {
  const auto* asked = std::get_if<evaluate_work>(&what);
  if (!asked)
    return {};
  evaluate_work alone = *asked;
  alone.known.clear(); // what was known when it was asked for saves work, and changes no answer
  const std::string bytes = encode(alone);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  KEVOLVE_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  return hex;
}

} // namespace kevolve
