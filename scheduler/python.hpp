// Which Python hosts traces and baselines. The only place that decides; asked once per command, before threads start.
#pragma once

#include "scheduler/settings.hpp"

#include <filesystem>
#include <string>

namespace kevolve::scheduler {

struct found_python {
  std::filesystem::path interpreter; // empty: none with torch
  std::string torch;                 // "2.13.0"; "" where it could not be read
  std::string missing;               // for people, when there is none: what was looked at and how to get one
};

/// The setting `python` (or KEVOLVE_PYTHON), else kevolve's own venv under the XDG data folder, else python3 on PATH where it finds torch.
/// "none" turns it off. A setting that names something that cannot run is an error; one without torch counts as none and says so.
result<found_python> find_python(const settings& from, const environment_lookup& env);

} // namespace kevolve::scheduler
