// Reads the fields of a TOML table one by one, with errors that name file, line, field, what was found and what was expected, and refuses
// fields that nobody asked for. Pure; one thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <toml++/impl/forward_declarations.h>
#include <vector>

namespace kevolve::scheduler {

/// A parsed file; what is read from it must not outlive it.
struct toml_file {
  std::string name;
  std::shared_ptr<const toml::table> root;
};
result<toml_file> parse_toml(const std::string& name, const std::string& text);

class toml_fields {
public:
  explicit toml_fields(const toml_file& file) : table_(file.root.get()), file_(file.name) {}

  [[nodiscard]] bool has(const std::string& name) const;
  error wrong(const std::string& field, const std::string& found, const std::string& expected) const;

  // Each leaves `into` as it is where the field is absent.
  result<void> text(const std::string& name, std::string& into);
  result<void> text(const std::string& name, std::filesystem::path& into);
  result<void> flag(const std::string& name, bool& into);
  result<void> number(const std::string& name, std::optional<double>& into);
  result<void> positive(const std::string& name, double& into);
  result<void> not_negative(const std::string& name, double& into);
  result<void> count(const std::string& name, std::uint64_t& into, std::uint64_t least, std::uint64_t most = std::numeric_limits<std::int64_t>::max());
  result<void> count(const std::string& name, std::uint32_t& into, std::uint64_t least);
  result<void> texts(const std::string& name, std::vector<std::string>& into);
  result<void> texts(const std::string& name, std::map<std::string, std::string>& into); // a table of texts
  result<void> value(const std::string& name, nlohmann::json& into);                     // whatever it is
  result<void> skip(const std::string& name);

  std::optional<toml_fields> table(const std::string& name); // none: absent, or something else
  result<void> must_be_table(const std::string& name) const; // an error where it is something else
  result<std::map<std::string, toml_fields>> tables(const std::string& name); // [name.X], [name.Y]
  result<std::vector<toml_fields>> list(const std::string& name);             // [[name]]
  /// An error where a field was given that none of the calls above asked for.
  result<void> nothing_else() const;

private:
  toml_fields(const toml::table* table, std::string file, std::string path) : table_(table), file_(std::move(file)), path_(std::move(path)) {}
  const toml::node* find(const std::string& name);
  error wrong_type(const std::string& name, const std::string& expected) const;

  const toml::table* table_;
  std::string file_;
  std::string path_; // "llm.providers.openai."
  std::set<std::string> asked_;
};

} // namespace kevolve::scheduler
