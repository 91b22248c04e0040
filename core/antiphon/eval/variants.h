// The samples of a set under each condition: as they are, and with the controls that show what their media contribute.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include <antiphon/component/sample.h>
#include <antiphon/eval/options.h>

namespace antiphon::eval {

// In order, by the name of the condition.
using Variants = std::vector<std::pair<std::string, std::vector<Sample>>>;

// "right", and of samples with media the controls of the options: "removed"; "shuffled", and if there are several kinds
// of media "shuffled_image", "shuffled_audio", "shuffled_video", each kind alone. A control that cannot be made of
// these samples is told in a warning and left out.
Variants variants_of(const std::vector<Sample>& samples, const EvalOptions& options);

}  // namespace antiphon::eval
