// The sound that a cut is of.
#pragma once
#include <set>
#include <string>
#include <vector>

#include <antiphon/component/record/turns.h>

namespace antiphon::lhotse_cut {

// Whether it is a MixedCut or a PaddingCut, which have no recording of their own.
bool is_lhotse_type(const records::Json& record);

// A MonoCut or a MultiCut, and when it begins in the record.
struct HeardCut {
  records::Json cut;
  double offset = 0;
};
// The record itself, or what is heard of a MixedCut's tracks, silence left out. Not empty: Error(data) for silence
// alone and for cuts of other types.
std::vector<HeardCut> heard_cuts(const records::Json& record);

// check_keys() of a MixedCut's tracks and their cuts; `known`: the keys of a cut.
void check_track_keys(const records::Json& record, const std::set<std::string>& known, std::set<std::string>& unread);

// The piece from "start" on, "duration" long, of the recording: a file, or what came with the record under the cut's id
// (Shar). Of several channels, in one source or several, the one that the cut names; its place among those of its
// source is that in the file (lhotse/audio/recording.py, Recording.load_audio). Of a MultiCut that names several, their
// sum; of a MixedCut the mixture (mixture.h). Returns its index in the sample's media. Error(data) for what would have
// to be computed first (transforms), for addresses and commands, for tracks of several sampling rates, for channels
// that are not there, and for times that are none.
int64_t add_recording(records::Record& record, const MediaFolder& folder);

}  // namespace antiphon::lhotse_cut
