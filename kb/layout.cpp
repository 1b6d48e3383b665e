#include "kb/layout.hpp"

#include "protocol/check.hpp"

#include <cstring>
#include <memory>
#include <openssl/evp.h>

namespace kevolve::kb {
namespace {

struct digest_freer {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_MD* kind) const { EVP_MD_free(kind); }
};

chain_hash sha256(std::string_view first, std::string_view second) {
  // Fetched once per thread: OpenSSL 3 looks an implementation up by name on every EVP_sha256() otherwise, longer than the hash takes.
  thread_local std::unique_ptr<EVP_MD, digest_freer> kind(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  thread_local std::unique_ptr<EVP_MD_CTX, digest_freer> context(EVP_MD_CTX_new());
  chain_hash out{};
  unsigned size = 0;
  KEVOLVE_CHECK(kind && context && EVP_DigestInit_ex2(context.get(), kind.get(), nullptr) == 1);
  KEVOLVE_CHECK(EVP_DigestUpdate(context.get(), first.data(), first.size()) == 1);
  KEVOLVE_CHECK(EVP_DigestUpdate(context.get(), second.data(), second.size()) == 1);
  KEVOLVE_CHECK(EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1 && size == out.size());
  return out;
}

} // namespace

chain_hash chain_begin(std::string_view session) { return sha256("kevolve session log 1\n", session); }

chain_hash content_hash(std::string_view encoded_event) { return sha256(encoded_event, {}); }

chain_hash chain_next(const chain_hash& previous, const chain_hash& content) { return sha256(as_bytes(previous), as_bytes(content)); }

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (unsigned char byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::string bytes_of_id(std::string_view id) {
  if (id.size() != 64)
    return {};
  std::string out(32, '\0');
  for (std::size_t i = 0; i < 64; ++i) {
    const char c = id[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0)
      return {};
    out[i / 2] = static_cast<char>(static_cast<unsigned char>(out[i / 2]) << 4 | digit);
  }
  return out;
}

void append_u64(std::string& key, std::uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i)
    bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  key.append(bytes, sizeof bytes);
}

std::uint64_t u64_at(std::string_view bytes, std::size_t offset) {
  KEVOLVE_CHECK(offset + 8 <= bytes.size());
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

std::string event_key(std::string_view session, std::uint64_t position) {
  std::string key(session);
  key += '\0';
  append_u64(key, position);
  return key;
}

std::string number_key(std::uint64_t number) {
  std::string key;
  append_u64(key, number);
  return key;
}

std::string number_key(std::uint64_t number, std::uint64_t sequence) {
  std::string key = number_key(number);
  append_u64(key, sequence);
  return key;
}

std::string key_part(std::string_view text) {
  constexpr std::size_t longest = 200; // two parts, 12 bytes and two separators stay under LMDB's 511
  if (text.size() <= longest && text.find('\0') == std::string_view::npos)
    return std::string(text);
  const chain_hash hash = sha256(text, "");
  std::string key(text.substr(0, longest - 65));
  for (char& c : key)
    if (c == '\0')
      c = '?';
  return key + '#' + hex(as_bytes(hash));
}

} // namespace kevolve::kb
