// The sound that a cut is of.
#pragma once
#include <antiphon/component/record/turns.h>

namespace antiphon::lhotse_cut {

// The piece from "start" on, "duration" long, of the recording's only source: a file, or what came with the record
// under the cut's id (Shar). Returns its index in the sample's media. Error(data) for what would have to be computed
// first (channels, transforms, mixtures), for addresses and commands, and for times that are none.
int64_t add_recording(records::Record& record, const MediaFolder& folder);

}  // namespace antiphon::lhotse_cut
