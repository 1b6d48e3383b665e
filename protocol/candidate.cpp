#include "protocol/candidate.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <openssl/evp.h>
#include <string_view>

namespace kevolve {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> native_languages{{
  {"cpu", "cpp"}, {"cuda", "cuda"}, {"hip", "hip"}, {"mtia", "mtia-cpp"}}};

std::string_view native_language(std::string_view platform) {
  for (const auto& [name, language] : native_languages)
    if (name == platform)
      return language;
  return {};
}

bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '+'; });
}

/// SHA-256 over fields that each carry their length, so that no two field lists give the same bytes.
class field_digest {
public:
  field_digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    KEVOLVE_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void number(std::uint64_t value) {
    std::array<unsigned char, 8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<unsigned char>(value >> (8 * i));
    add(bytes.data(), bytes.size());
  }
  void text(std::string_view value) {
    number(value.size());
    add(value.data(), value.size());
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
    unsigned size = 0;
    KEVOLVE_CHECK(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
    std::string digits;
    for (unsigned i = 0; i < size; ++i) {
      digits += "0123456789abcdef"[bytes[i] >> 4];
      digits += "0123456789abcdef"[bytes[i] & 15];
    }
    return digits;
  }

private:
  void add(const void* data, std::size_t size) { KEVOLVE_CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1); }
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

/// "16", "-1", "0.5", "4x16", "6,16": a value that only says how much.
bool is_numeric(const std::string& value) {
  return !value.empty() && std::any_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c); }) &&
         std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c) || std::string_view("+-.,x*/ ").find(c) != std::string_view::npos; });
}

std::string print(const schedule& s, bool numbers) {
  std::string text;
  for (const auto& step : s.steps) {
    text += (text.empty() ? "" : "; ") + step.verb + "(" + step.subject;
    std::string separator = step.subject.empty() ? "" : ", ";
    for (const auto& [name, value] : step.parameters) {
      if (!numbers && is_numeric(value))
        continue;
      text += separator + name + "=" + value;
      separator = ", ";
    }
    text += ")";
  }
  return text;
}

} // namespace

std::string to_string(const target& t) {
  if (t.language != native_language(t.platform))
    return t.platform + "/" + t.architecture + "/" + t.language;
  return t.architecture.empty() ? t.platform : t.platform + "/" + t.architecture + "/" + t.language;
}

result<target> target_from_string(const std::string& text) {
  const std::string form = "expected cpu|cuda|hip|mtia[/architecture[/language]]";
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_word))
    return error{errc::usage, "target '" + text + "': " + form};
  auto native = native_language(parts[0]);
  const bool whole = parts.size() == 3 && std::none_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (native.empty() && !whole) // a platform that a description brings has no language of its own
    return error{errc::usage, "target '" + text + "': unknown platform '" + parts[0] + "', " + form + ", or platform/architecture/language of a described device"};
  if (parts.size() == 3 && parts[2].empty())
    return error{errc::usage, "target '" + text + "': the language is empty, " + form};
  return target{parts[0], parts.size() > 1 ? parts[1] : "", parts.size() > 2 ? parts[2] : std::string(native)};
}

std::string to_string(const schedule& s) { return print(s, true); }
std::string strategy_of(const schedule& s) { return print(s, false); }

candidate_id candidate_hash(const candidate& c) {
  std::vector<const source_file*> sources;
  for (const auto& source : c.sources)
    sources.push_back(&source);
  std::stable_sort(sources.begin(), sources.end(), [](auto* a, auto* b) { return a->path < b->path; });
  field_digest digest;
  digest.text("kevolve candidate 1");
  digest.text(c.build.language);
  digest.text(c.build.entry_point);
  digest.text(c.build.compiler);
  digest.number(c.build.flags.size());
  for (const auto& flag : c.build.flags)
    digest.text(flag);
  digest.number(sources.size());
  for (const auto* source : sources) {
    digest.text(source->path);
    digest.text(source->content);
  }
  return digest.hex();
}

} // namespace kevolve
