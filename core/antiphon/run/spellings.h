// The spellings by which answers are compared.
#pragma once
#include <antiphon/eval/normalizer.h>
#include <antiphon/run/run_config.h>

namespace antiphon::run {

// eval::read_spellings() with the directories of the language model and of the encoders.
text::Spellings read_spellings(const RunConfig& config);

}  // namespace antiphon::run
