// The recordings that a record names, and the pieces of them that it means.
#pragma once
#include <vector>

#include <antiphon/component/record/turns.h>

namespace antiphon::nemo_manifest {

// Those of "audio_filepath", a path or a list, cut by "offset" and "duration", numbers or lists; indexes into the
// sample's media. Error(data) if lists have other lengths, or for times that are none.
std::vector<int64_t> recordings_of(records::Record& record);
// The one of a turn: "value", "offset"?, "duration"?.
int64_t recording_in(const records::Json& turn, records::Record& record);

}  // namespace antiphon::nemo_manifest
