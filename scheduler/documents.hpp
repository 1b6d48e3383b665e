// The knowledge base's documents on disk: those that ship (kb/documents) and those that people added (DATA/documents, as text with front matter;
// older versions beside them in versions/). Plain files, each replaced whole, so that a running scheduler and a person's command need no lock.
#pragma once

#include "kb/retrieval.hpp"
#include "protocol/target_description.hpp"
#include "scheduler/settings.hpp"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// Reads both folders. A damaged document is left out and named in `remarks`; two of one id: the added one.
kb::library read_library(const settings& from, std::vector<std::string>& remarks);

/// The same, read again when a file has changed. Thread-safe.
class living_library {
public:
  explicit living_library(settings from) : from_(std::move(from)) {}
  std::shared_ptr<const kb::library> now();

private:
  settings from_;
  std::mutex mutex_;
  std::string fingerprint_;
  std::shared_ptr<const kb::library> read_;
};

struct added_document {
  std::string id;
  std::size_t passages = 0;
  std::string replaced; // the version that it replaces; "": none
  bool unchanged = false;
  bool everywhere = false; // it names no platform
};

/// Adds a Markdown, text or PDF file (by pdftotext) under `id`, or a target description (.toml) under its target. Errors name the file and what is wrong with it.
result<added_document> add_document(const settings& to, const std::filesystem::path& file, const std::string& id, const kb::document_defaults& defaults);
/// The files of a folder that can be added, with the ids they get; a file: itself.
std::vector<std::pair<std::filesystem::path, std::string>> documents_in(const std::filesystem::path& what);
/// The description of this target's device that was added; nothing where there is none.
std::optional<target_description> added_description(const settings& from, const target& on);
/// Added documents with their older versions, into a snapshot: DIR/documents, so that the snapshot is a data folder like any other.
result<void> copy_documents(const settings& from, const std::filesystem::path& to);

} // namespace kevolve::scheduler
