// A document of the knowledge base: Markdown or text with front matter that says where it applies, cut into passages by its headings. Whatever a
// user adds is data, never trusted: sizes are bounded, control characters scrubbed. Pure; any thread.
#pragma once

#include "protocol/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kevolve::kb {

/// Part of a document under one heading: what retrieval finds and a prompt shows.
struct passage {
  std::string document; // "hardware/cpu/prefetch"
  std::string heading;  // "Prefetch > When it hurts"
  std::string text;
};

/// Empty lists apply everywhere, like "all".
struct document {
  std::string id;       // path below its root, without the ending
  std::string title;
  std::vector<std::string> platforms, languages, architectures;
  std::vector<std::string> signals;      // "bound:memory", "error:undefined_symbol", "operator:norm", …
  std::vector<std::string> sources;
  std::string status;                    // "sourced" or "assumption"
  std::string version;                   // SHA-256 of its text
  std::vector<passage> passages;
};

/// What front matter may say when a document has none.
struct document_defaults {
  std::vector<std::string> platforms, languages;
};

/// `where` names the file in errors (errc::specification): an unknown key, a line that is no "key: value", no title, too long.
result<document> read_document(std::string id, std::string_view text, const document_defaults& defaults, const std::string& where);

} // namespace kevolve::kb
