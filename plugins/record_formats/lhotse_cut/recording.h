// The sound that a cut is of.
#pragma once
#include <antiphon/component/record/turns.h>

namespace antiphon::lhotse_cut {

// The piece from "start" on, "duration" long, of the recording: a file, or what came with the record under the cut's id
// (Shar). Of several channels, in one source or several, the one that the cut names; its place among those of its
// source is that in the file (lhotse/audio/recording.py, Recording.load_audio). Returns its index in the sample's
// media. Error(data) for what would have to be computed first (transforms, mixtures), for addresses and commands, for
// channels that are not there, and for times that are none.
int64_t add_recording(records::Record& record, const MediaFolder& folder);

}  // namespace antiphon::lhotse_cut
