// kevolve kb documents, search and add.
#include "scheduler/commands.hpp"
#include "scheduler/documents.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

std::string listed(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& i : items)
    all += (all.empty() ? "" : ", ") + i;
  return all.empty() ? "all" : all;
}

kb::library opened(context& in) {
  std::vector<std::string> remarks;
  kb::library all = read_library(in.configured, remarks);
  for (const std::string& remark : remarks)
    in.out.note(remark);
  return all;
}

/// A platform that kevolve does not know is one nevertheless where a document is about it.
result<target> target_of(const std::string& text, const kb::library& all) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  const auto is_about_it = [&](const kb::document& d) { return std::find(d.platforms.begin(), d.platforms.end(), parts[0]) != d.platforms.end(); };
  auto known = target_from_string(text);
  if (known || parts.size() > 3 || std::none_of(all.documents().begin(), all.documents().end(), is_about_it))
    return known;
  parts.resize(3);
  return target{parts[0], parts[1], parts[2]};
}

result<int> list_documents(context& in) {
  const kb::library all = opened(in);
  object rows = object::array();
  table shown({{"document"}, {"title"}, {"platforms"}, {"signals"}, {"status"}});
  for (const kb::document& d : all.documents()) {
    rows.push_back({{"id", d.id}, {"title", d.title}, {"platforms", d.platforms}, {"languages", d.languages}, {"architectures", d.architectures}, {"signals", d.signals},
                    {"sources", d.sources}, {"status", d.status}, {"version", d.version}, {"passages", d.passages.size()}});
    shown.add({d.id, d.title, listed(d.platforms), listed(d.signals), d.status});
  }
  in.out.answer(rows.dump(2));
  in.out.say(shown.empty() ? "No documents.\n" : shown.render(in.look()));
  return 0;
}

result<int> search_documents(context& in, const documents_options& options) {
  if (options.what.empty() && options.signals.empty())
    return error{errc::usage, "kb search: found nothing to search for, expected words or --signal"};
  const kb::library all = opened(in);
  kb::question asked;
  if (!options.target.empty()) {
    KEVOLVE_TRY(on, target_of(options.target, all));
    asked.platform = on.platform;
    asked.architecture = on.architecture;
    asked.language = options.target.find('/') == std::string::npos || on.language.empty() ? "" : on.language;
  }
  asked.signals = options.signals;
  for (const std::string& word : options.what)
    asked.words += word + " ";
  asked.limit = options.limit;
  object rows = object::array();
  std::string text;
  for (const kb::found_passage& f : all.search(asked)) {
    rows.push_back({{"document", f.of->id}, {"title", f.of->title}, {"heading", f.what->heading}, {"score", f.score}, {"why", f.why}, {"text", f.what->text}});
    text += in.look().strong(f.of->id) + "  " + f.what->heading + "\n" + in.look().faint("  " + f.why) + "\n" + f.what->text + "\n";
  }
  in.out.answer(rows.dump(2));
  in.out.say(text.empty() ? "Nothing found.\n" : text);
  return 0;
}

result<int> add_documents(context& in, const documents_options& options) {
  if (options.what.empty())
    return error{errc::usage, "kb add: found nothing to add, expected a folder or files (.md, .txt, .pdf; .toml of a target)"};
  kb::document_defaults defaults;
  if (!options.platform.empty())
    defaults.platforms = {options.platform};
  if (!options.language.empty())
    defaults.languages = {options.language};
  object rows = object::array();
  std::size_t failures = 0;
  for (const std::string& what : options.what) {
    std::error_code failed;
    if (!std::filesystem::exists(what, failed))
      return error{errc::specification, fmt::format("{}: no such file or folder", what)};
    const auto files = documents_in(what);
    if (files.empty())
      return error{errc::specification, fmt::format("{}: found no .md, .txt, .pdf or .toml file in it", what)};
    for (const auto& [file, id] : files) {
      auto added = add_document(in.configured, file, id, defaults);
      if (!added) {
        ++failures;
        in.out.note(added.error().message);
        rows.push_back({{"file", file.string()}, {"error", added.error().message}});
        continue;
      }
      if (added->id.starts_with("targets/"))
        in.out.note(fmt::format("{}: its constraints are found from now on; no agent runs its commands yet", added->id));
      if (added->everywhere)
        in.out.note(fmt::format("{}: names no platform, so it is found for all of them; name one in its front matter or by --platform", added->id));
      rows.push_back({{"id", added->id}, {"passages", added->passages}, {"replaced", added->replaced}, {"unchanged", added->unchanged}});
      in.out.say(fmt::format("{}: {}\n", added->id, added->unchanged ? "unchanged" : fmt::format("{} passages{}", added->passages, added->replaced.empty() ? "" : ", in place of version " + added->replaced)));
    }
  }
  in.out.answer(rows.dump(2));
  return failures ? 1 : 0;
}

} // namespace

result<int> work_on_documents(context& in, const std::string& action, const documents_options& options) {
  return action == "search" ? search_documents(in, options) : action == "add" ? add_documents(in, options) : list_documents(in);
}

} // namespace kevolve::scheduler
