// What a model is told for a proposal, from the session's own facts and the knowledge base: the same whether it is asked in the scheduler or on an
// agent. Owned by one synthesizer actor; reading the knowledge base may block.
#pragma once

#include "actors/messages.hpp"
#include "actors/model_desk.hpp"
#include "actors/synthesizer.hpp"

#include <memory>
#include <string>

namespace kevolve::actors {

/// What a model's owner says of how it is told and corrected.
struct telling {
  std::size_t prompt_tokens = 24'000;
  std::uint32_t repairs = 2;
  bool blank_feedback = false;
};

class task_maker {
public:
  /// `desk` may be null: then there is no knowledge base, and no language but those that are known.
  task_maker(const synthesizer_parts& common, std::string name, std::string hardware, std::shared_ptr<model_desk> desk);
  /// Refers to this object's language. Errors: no language of that name.
  result<synthesis::writing_task> task(const synthesize& request, const telling& how);
  /// Null: the operator or target is none of the generator's.
  const synthesis::generator* printer();

private:
  const synthesizer_parts common_;
  const std::string name_, hardware_;
  const std::shared_ptr<model_desk> desk_;
  std::shared_ptr<const synthesis::language> language_;
  std::unique_ptr<synthesis::generator> printer_;
  bool printer_made_ = false;
};

} // namespace kevolve::actors
