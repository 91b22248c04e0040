// A sample as a record in the layout `messages`, whatever layout it came from, or as a pair of answers.
#pragma once
#include <string>

#include <antiphon/data/layouts/layouts.h>

namespace antiphon::data {

// Media stand where they are in the turns; in tables, whose values have one type, they are listed beside them, and what
// a tool is called with is its JSON. Of a piece of a recording its part says "offset" and "duration". Error(data) for
// channels of recordings, and for pieces that only a candidate has.
nlohmann::ordered_json to_record(const Sample& sample, const Target& target);
// {"prompt", "chosen", "rejected"}, lists of messages, with media listed beside them (TRL,
// docs/source/dataset_formats.md), and pieces of recordings in their parts. Error(data) for anything but two answers
// without values and media of their own.
nlohmann::ordered_json to_pair(const Sample& sample, const Target& target);
// All that a sample says, pieces and channels of recordings too; media as their numbers.
std::string said_by(const Sample& sample);

}  // namespace antiphon::data
