// The daemon's page for machines: /healthz (it lives), /readyz (the store takes events), /metrics (Prometheus' text format). HTTP without
// authentication, read only: bind it to an address that monitoring alone reaches. Owns one thread.
#pragma once

#include "protocol/result.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::scheduler {

class status_page {
public:
  struct sources {
    std::function<std::string()> metrics;   // the text of /metrics
    std::function<std::string()> why_not;   // empty: ready
  };
  /// `listen`: HOST:PORT. Errors: no such form, the port is taken.
  static result<std::unique_ptr<status_page>> open(const std::string& listen, sources from);
  virtual ~status_page() = default;
};

/// One metric in Prometheus' text format: "# HELP", "# TYPE", then a line for each labelled value.
class metrics_text {
public:
  void begin(const std::string& name, const std::string& type, const std::string& help);
  /// `labels`: name="value" pairs, values escaped by this.
  void value(double number, const std::vector<std::pair<std::string, std::string>>& labels = {});
  [[nodiscard]] const std::string& text() const { return text_; }

private:
  std::string name_, text_;
};

} // namespace kevolve::scheduler
