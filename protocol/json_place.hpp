// A place in a person's JSON file, for reading fields with errors that name file, field, what was found and what was expected. Internal to
// the format's readers. Any thread.
#pragma once

#include "protocol/trace_format.hpp"

#include <initializer_list>
#include <string_view>

namespace kevolve {

class json_place {
public:
  json_place(const json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  const json& operator*() const { return *value_; }
  const json* operator->() const { return value_; }
  const std::string& pointer() const { return pointer_; } // JSON pointer from the document's root

  /// "where: field 'inputs.x.dtype': found "float31", expected …".
  error wrong(const std::string& expected) const;
  error problem(const std::string& message) const;

  result<json_place> field(const char* name, const std::string& expected) const; // an error when missing
  std::optional<json_place> find(const char* name) const;                        // absent or null: none
  json_place member(const std::string& name) const;                              // must exist
  json_place item(std::size_t index) const;

  result<void> is_object(const std::string& of) const;
  result<void> is_array(const std::string& of) const;
  result<std::string> text() const;
  result<std::string> identifier() const; // letters, digits and _, not starting with a digit
  result<std::int64_t> integer() const;
  result<std::int64_t> size() const;      // an integer that is not negative
  result<double> real() const;            // "NaN", "Infinity" and "-Infinity" are numbers too
  result<bool> boolean() const;
  result<std::vector<std::string>> texts() const;

  /// Members that are none of `known`, added to `extra` under their JSON pointers.
  void keep_unknown(std::initializer_list<std::string_view> known, json& extra) const;

private:
  json_place(const json& value, std::string file, std::string path, std::string pointer)
    : value_(&value), file_(std::move(file)), path_(std::move(path)), pointer_(std::move(pointer)) {}
  const json* value_;
  std::string file_;
  std::string path_;    // "inputs.x.dtype"
  std::string pointer_; // "/inputs/x/dtype"
};

/// Puts back what `keep_unknown` kept.
void restore_unknown(json& value, const std::string& extra);
/// Non-finite numbers as the texts that the format uses.
json json_real(double value);

} // namespace kevolve
