// What a run trained, for the subcommands that take a run.
#pragma once
#include <common/session.h>

namespace antiphon::apps {

// Puts the parameters of --checkpoint (one checkpoint, or the newest complete one of a run folder) into the model, else
// those of FILE if it is a run folder.
void load_trained(graph::MultimodalLm& model, const SessionFlags& flags);

}  // namespace antiphon::apps
