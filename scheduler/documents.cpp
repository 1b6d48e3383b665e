#include "scheduler/documents.hpp"

#include "node-agent/process.hpp"
#include "scheduler/target_description.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <sstream>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

constexpr std::size_t file_bytes = 64u << 20;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_text(const fs::path& file) { return file.extension() == ".md" || file.extension() == ".txt"; }
bool is_description(const fs::path& file) { return file.extension() == ".toml"; }
bool is_document(const fs::path& file) { return is_text(file) || is_description(file) || file.extension() == ".pdf"; }
/// They describe the collection.
bool is_about(const fs::path& file) { return file.filename() == "README.md" || file.filename() == "index.md"; }

fs::path added_folder(const settings& from) { return from.data / "documents"; }

std::vector<fs::path> files_below(const fs::path& root) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(root, failed), end; !failed && at != end; at.increment(failed)) {
    if (at->is_directory(failed) && at->path().filename() == "versions")
      at.disable_recursion_pending();
    else if (at->is_regular_file(failed) && is_document(at->path()) && !is_about(at->path()))
      files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string id_of(const fs::path& file, const fs::path& root) { return file.lexically_relative(root).replace_extension().generic_string(); }

result<std::string> text_of(const fs::path& file) {
  std::error_code failed;
  const auto size = fs::file_size(file, failed);
  if (failed || size > file_bytes)
    return error{errc::specification, failed ? fmt::format("{}: cannot be read: {}", file.string(), failed.message())
                                             : fmt::format("{}: found {} bytes, expected at most {}", file.string(), size, file_bytes)};
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf() || size == 0))
    return error{errc::io, fmt::format("{}: cannot be read", file.string())};
  return std::move(text).str();
}

result<std::string> text_of_pdf(const fs::path& file) {
  if (agent::find_command("pdftotext").empty())
    return error{errc::configuration, fmt::format("{}: a PDF needs pdftotext, which is not installed (Debian: apt-get install poppler-utils)", file.string())};
  agent::command convert;
  convert.arguments = {"pdftotext", "-layout", "-enc", "UTF-8", fs::absolute(file).string(), "-"};
  convert.environment = agent::plain_environment();
  convert.limits.wall_s = 120;
  convert.limits.memory_bytes = std::uint64_t{2} << 30;
  convert.output_bytes = file_bytes;
  KEVOLVE_TRY(end, agent::run(convert));
  if (!end.good())
    return error{errc::specification, fmt::format("{}: pdftotext cannot read it: {}", file.string(), end.errors.substr(0, 300))};
  return end.output;
}

std::string listed(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& i : items)
    all += (all.empty() ? "" : ", ") + i;
  return all.empty() ? "all" : all;
}

std::string front_matter(const kb::document& d) {
  return fmt::format("---\ntitle: {}\nplatforms: {}\nlanguages: {}\nstatus: {}\n---\n", d.title, listed(d.platforms), listed(d.languages), d.status.empty() ? "added" : d.status);
}

/// The text as it is kept: its front matter says what its options said in place of it, so that reading it again gives the same document.
std::string with_front_matter(const std::string& text, const kb::document& read, const kb::document_defaults& defaults, const std::string& where) {
  const auto alone = kb::read_document(read.id, text, {}, where);
  const auto end = text.find('\n');
  if (!alone || end == text.npos || !text.starts_with("---"))
    return front_matter(read) + text;
  std::string added; // before the document's own lines, which win
  if (alone->platforms != read.platforms)
    added += "platforms: " + listed(defaults.platforms) + "\n";
  if (alone->languages != read.languages)
    added += "languages: " + listed(defaults.languages) + "\n";
  return text.substr(0, end + 1) + added + text.substr(end + 1);
}

result<void> write_whole(const fs::path& file, const std::string& text) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  const fs::path partial = file.string() + ".part" + std::to_string(::getpid());
  std::ofstream out(partial, std::ios::binary);
  out << text;
  out.close();
  if (!out)
    return error{errc::io, fmt::format("{}: cannot be written", partial.string())};
  fs::rename(partial, file, failed);
  if (failed)
    return error{errc::io, fmt::format("{}: cannot be written: {}", file.string(), failed.message())};
  return {};
}

/// A file of either folder.
result<kb::document> read_kept(const fs::path& file, const std::string& id) {
  KEVOLVE_TRY(text, text_of(file));
  if (!is_description(file))
    return kb::read_document(id, text, {}, file.string());
  KEVOLVE_TRY(described, read_target_description(file.string(), text));
  return kb::read_document(kevolve::scheduler::id_of(described), document_of(described), {}, file.string());
}

/// Replaces what lies at `place`; the older version stays readable beside it.
result<void> keep(const settings& to, const fs::path& place, const std::string& text, added_document& done) {
  std::error_code ignored;
  if (fs::exists(place, ignored)) {
    KEVOLVE_TRY(before, text_of(place));
    if (before == text) {
      done.unchanged = true;
      return {};
    }
    KEVOLVE_TRY(old, kb::read_document(done.id, before, {}, place.string()));
    done.replaced = old.version.substr(0, 12);
    KEVOLVE_TRY_VOID(write_whole(added_folder(to) / "versions" / (done.id + "@" + done.replaced + place.extension().string()), before));
  }
  return write_whole(place, text);
}

result<added_document> add_description(const settings& to, const fs::path& file) {
  KEVOLVE_TRY(text, text_of(file));
  KEVOLVE_TRY(described, read_target_description(file.string(), text));
  added_document done{kevolve::scheduler::id_of(described), 1, "", false, false};
  KEVOLVE_TRY_VOID(keep(to, added_folder(to) / (done.id + ".toml"), text, done));
  return done;
}

} // namespace

kb::library read_library(const settings& from, std::vector<std::string>& remarks) {
  std::map<std::string, kb::document> all;
  const auto take = [&](const fs::path& root) {
    for (const fs::path& file : files_below(root)) {
      if (!is_text(file) && !is_description(file))
        continue;
      auto read = read_kept(file, id_of(file, root));
      if (read)
        all.insert_or_assign(read->id, std::move(*read));
      else
        remarks.push_back(read.error().message);
    }
  };
  if (const auto shipped = agent::find_beside_executable("kb/documents"); !shipped.empty())
    take(shipped);
  take(added_folder(from));
  std::vector<kb::document> documents;
  for (auto& [id, d] : all)
    documents.push_back(std::move(d));
  return kb::library(std::move(documents));
}

std::shared_ptr<const kb::library> living_library::now() {
  std::string fingerprint;
  std::error_code ignored;
  for (const fs::path& root : {agent::find_beside_executable("kb/documents"), added_folder(from_)})
    for (const fs::path& file : files_below(root))
      fingerprint += fmt::format("{}|{}|{}\n", file.string(), fs::file_size(file, ignored), fs::last_write_time(file, ignored).time_since_epoch().count());
  std::lock_guard lock(mutex_);
  if (!read_ || fingerprint != fingerprint_) {
    std::vector<std::string> remarks;
    read_ = std::make_shared<const kb::library>(read_library(from_, remarks));
    fingerprint_ = std::move(fingerprint);
  }
  return read_;
}

std::optional<target_description> added_description(const settings& from, const target& on) {
  target_description asked;
  asked.on = on;
  const fs::path file = added_folder(from) / (kevolve::scheduler::id_of(asked) + ".toml");
  std::error_code ignored;
  if (on.architecture.empty() || !fs::is_regular_file(file, ignored))
    return std::nullopt;
  auto text = text_of(file);
  auto read = text ? read_target_description(file.string(), *text) : result<target_description>(text.error());
  return read ? std::optional(std::move(*read)) : std::nullopt;
}

std::vector<std::pair<fs::path, std::string>> documents_in(const fs::path& what) {
  std::error_code failed;
  std::vector<std::pair<fs::path, std::string>> found;
  if (fs::is_directory(what, failed)) {
    const fs::path root = fs::absolute(what).lexically_normal();
    const fs::path base = root.filename().empty() ? root.parent_path() : root;
    for (const fs::path& file : files_below(root))
      found.emplace_back(file, base.filename().string() + "/" + id_of(file, root));
  } else {
    found.emplace_back(what, what.stem().string());
  }
  return found;
}

result<added_document> add_document(const settings& to, const fs::path& file, const std::string& id, const kb::document_defaults& defaults) {
  if (!is_document(file))
    return error{errc::usage, fmt::format("{}: expected a .md, .txt or .pdf file, a target's .toml, or a folder of them", file.string())};
  if (is_description(file))
    return add_description(to, file);
  if (id.empty() || id.find("..") != id.npos || id.front() == '/')
    return error{errc::usage, fmt::format("{}: '{}' is no id for a document", file.string(), id)};
  KEVOLVE_TRY(text, file.extension() == ".pdf" ? text_of_pdf(file) : text_of(file));
  if (text.starts_with(byte_order_mark))
    text.erase(0, byte_order_mark.size());
  KEVOLVE_TRY(read, kb::read_document(id, text, defaults, file.string()));
  const std::string kept = with_front_matter(text, read, defaults, file.string());
  added_document done{id, read.passages.size(), "", false, read.platforms.empty()};
  KEVOLVE_TRY_VOID(keep(to, added_folder(to) / (id + ".md"), kept, done));
  return done;
}

result<void> copy_documents(const settings& from, const fs::path& to) {
  std::error_code failed;
  if (!fs::exists(added_folder(from), failed))
    return {};
  fs::copy(added_folder(from), to / added_folder(from).filename(), fs::copy_options::recursive, failed);
  if (failed)
    return error{errc::io, fmt::format("{}: the documents cannot be copied there: {}", to.string(), failed.message())};
  return {};
}

} // namespace kevolve::scheduler
