// kevolve export --trajectories: the store's sessions as data sets, a line each (trajectory_formats.hpp), without secrets. Reads the store only.
#include "scheduler/commands.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/trajectory_formats.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>
#include <zstd.h>

namespace kevolve::scheduler {

namespace {

constexpr int compression_level = 10; // text of this kind: a fifth of its size at 30 MB/s
constexpr std::size_t shortest_key_in_file = 32;

/// Lines to a file (written beside, then renamed) or stdout, compressed or not. Errors are kept and told by `finish`.
class line_sink {
public:
  static result<std::unique_ptr<line_sink>> open(const std::string& output) {
    auto sink = std::unique_ptr<line_sink>(new line_sink(output));
    if (!output.empty() && !(sink->file_ = std::fopen((output + ".new").c_str(), "wb")))
      return error{errc::io, fmt::format("--output {}: cannot be written: {}", output, std::strerror(errno))};
    if (output.ends_with(".zst")) {
      sink->context_.reset(ZSTD_createCCtx());
      ZSTD_CCtx_setParameter(sink->context_.get(), ZSTD_c_compressionLevel, compression_level);
      ZSTD_CCtx_setParameter(sink->context_.get(), ZSTD_c_checksumFlag, 1);
    }
    return sink;
  }
  line_sink(const line_sink&) = delete;
  line_sink& operator=(const line_sink&) = delete;
  ~line_sink() {
    if (file_) { // not finished: what is there is no data set
      std::fclose(file_);
      std::remove((output_ + ".new").c_str());
    }
  }

  void put(const std::string& line) {
    write(line, ZSTD_e_continue);
    write("\n", ZSTD_e_continue);
  }
  result<void> finish() {
    if (context_)
      write("", ZSTD_e_end);
    std::FILE* to = file_ ? std::exchange(file_, nullptr) : stdout;
    bool good = good_ && std::fflush(to) == 0;
    if (to == stdout)
      return good ? result<void>() : error{errc::io, fmt::format("stdout cannot be written: {}", std::strerror(errno))};
    good = std::fclose(to) == 0 && good;
    if (!good || std::rename((output_ + ".new").c_str(), output_.c_str()) != 0)
      return error{errc::io, fmt::format("--output {}: cannot be written: {}", output_, std::strerror(errno))};
    return {};
  }

private:
  struct freer {
    void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  };
  explicit line_sink(std::string output) : output_(std::move(output)) {}

  void write(std::string_view bytes, ZSTD_EndDirective how) {
    if (!context_) {
      good_ = good_ && std::fwrite(bytes.data(), 1, bytes.size(), file_ ? file_ : stdout) == bytes.size();
      return;
    }
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    std::size_t left = 1;
    while (good_ && (in.pos < in.size || (how == ZSTD_e_end && left > 0))) {
      char buffer[65536];
      ZSTD_outBuffer out{buffer, sizeof buffer, 0};
      left = ZSTD_compressStream2(context_.get(), &out, &in, how);
      good_ = !ZSTD_isError(left) && std::fwrite(buffer, 1, out.pos, file_) == out.pos;
    }
  }

  std::string output_;
  std::FILE* file_ = nullptr;
  std::unique_ptr<ZSTD_CCtx, freer> context_;
  bool good_ = true;
};

std::vector<std::string> words_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> words;
  for (std::string word; in >> word;)
    words.push_back(std::move(word));
  return words;
}

/// Keys of the configured providers, the key file for a scheduler, and whatever the environment calls a secret.
secret_filter filter_of(const context& in) {
  std::vector<std::string> known;
  for (const llm::provider_settings& p : in.models.providers) {
    if (!p.api_key_env.empty())
      if (auto value = in.env(p.api_key_env))
        known.push_back(std::move(*value));
    if (!p.api_key_file.empty()) {
      auto words = words_of(p.api_key_file);
      if (words.empty())
        in.out.note(fmt::format("provider '{}': its key in {} cannot be read, so it is not looked for as such in what is written", p.name, p.api_key_file.string()));
      known.insert(known.end(), words.begin(), words.end());
    }
  }
  if (!in.configured.key.empty())
    for (std::string& word : words_of(in.configured.key))
      if (word.size() >= shortest_key_in_file)
        known.push_back(std::move(word));
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** each = environ; each && *each; ++each)
    if (const std::string text = *each; text.find('=') != text.npos)
      variables.emplace_back(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
  for (std::string& value : secrets_in_environment(variables))
    known.push_back(std::move(value));
  return secret_filter(std::move(known), in.env("HOME").value_or(""));
}

result<std::vector<session_id>> chosen_sessions(const kb::store& memory, const trajectory_options& options) {
  KEVOLVE_TRY(all, memory.sessions());
  std::reverse(all.begin(), all.end()); // oldest first: a store that grew gives the same lines first
  std::vector<session_id> asked;
  for (const std::string& each : options.sessions) {
    KEVOLVE_TRY(found, find_session(memory, each));
    asked.push_back(found.session);
  }
  const auto among = [](const auto& list, const auto& what) { return list.empty() || std::find(list.begin(), list.end(), what) != list.end(); };
  std::vector<session_id> chosen;
  for (const kb::session_summary& s : all)
    if (among(asked, s.session) && among(options.operators, s.definition) && (options.split == "all" || split_of(s.definition) == options.split))
      chosen.push_back(s.session);
  if (chosen.empty())
    return error{errc::not_found, fmt::format("no session among {} is asked for by --session, --operator and --split; kevolve sessions lists them", all.size())};
  return chosen;
}

/// Everything that decides which lines a session gives.
struct exporter {
  trajectory_format format;
  const trajectory_options& options;
  secret_filter filter;
  std::set<candidate_id> violations; // of all sessions: a candidate that cheated once is imitated nowhere
  std::size_t rows = 0, with_rows = 0;

  result<std::vector<std::string>> lines_of(const kb::store& memory, const session_id& session) {
    KEVOLVE_TRY(log, memory.events(session));
    KEVOLVE_TRY(samples, samples_of(log, violations));
    const auto& without = options.without_providers;
    std::erase_if(samples, [&](const trajectory_sample& s) { return std::find(without.begin(), without.end(), s.provider) != without.end(); });
    auto lines = trajectory_lines(format, samples, filter, rows);
    rows += lines.size();
    with_rows += !lines.empty();
    return lines;
  }
};

/// One after the other into one file; a transcript is one session, so of those there may be one.
result<void> into_one(exporter& from, const kb::store& memory, const std::vector<session_id>& sessions) {
  KEVOLVE_TRY(sink, line_sink::open(from.options.output));
  for (const session_id& session : sessions) {
    KEVOLVE_TRY(lines, from.lines_of(memory, session));
    if (from.format == trajectory_format::sts && from.with_rows > 1)
      return error{errc::usage, "--trajectories sts: found several sessions, expected one in a file: name it with --session, or a folder with --output DIR/"};
    for (const std::string& line : lines)
      sink->put(line);
  }
  return sink->finish();
}

/// SESSION.jsonl each.
result<void> into_folder(exporter& from, const kb::store& memory, const std::vector<session_id>& sessions) {
  std::error_code failure;
  std::filesystem::create_directories(from.options.output, failure);
  if (failure)
    return error{errc::io, fmt::format("--output {}: cannot be made: {}", from.options.output, failure.message())};
  for (const session_id& session : sessions) {
    KEVOLVE_TRY(lines, from.lines_of(memory, session));
    if (lines.empty())
      continue;
    KEVOLVE_TRY(sink, line_sink::open((std::filesystem::path(from.options.output) / (session + ".jsonl")).string()));
    for (const std::string& line : lines)
      sink->put(line);
    KEVOLVE_TRY_VOID(sink->finish());
  }
  return {};
}

} // namespace

result<int> export_trajectories(context& in, const trajectory_options& options) {
  KEVOLVE_TRY(format, trajectory_format_from_string(options.format));
  if (options.output.empty() && in.out.json())
    return error{errc::usage, "export --trajectories --json: found no --output FILE, expected one: stdout is for the one JSON object"};
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(sessions, chosen_sessions(*memory, options));
  exporter from{format, options, filter_of(in), {}};
  KEVOLVE_TRY(all, memory->sessions());
  for (const kb::session_summary& s : all) {
    KEVOLVE_TRY(log, memory->events(s.session));
    from.violations.merge(violations_in(log));
  }
  std::error_code ignored;
  const bool folder = options.output.ends_with('/') || std::filesystem::is_directory(options.output, ignored);
  KEVOLVE_TRY_VOID(folder ? into_folder(from, *memory, sessions) : into_one(from, *memory, sessions));
  in.out.answer(nlohmann::ordered_json{{"format", options.format}, {"output", options.output}, {"rows", from.rows}, {"sessions", sessions.size()}, {"sessions_with_rows", from.with_rows}}.dump(2));
  in.out.note(fmt::format("{} lines of {} of {} sessions", from.rows, from.with_rows, sessions.size()));
  return 0;
}

} // namespace kevolve::scheduler
