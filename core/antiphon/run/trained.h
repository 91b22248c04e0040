// What a run trained, for the subcommands that take a run.
#pragma once
#include <antiphon/run/loaded_model.h>

namespace antiphon::run {

// Puts the parameters of --checkpoint (one checkpoint, or the newest complete one of a run folder) into the model, else
// those of FILE if it is a run folder.
void load_trained(model::MultimodalLm& model, const OpenOptions& flags);

}  // namespace antiphon::run
