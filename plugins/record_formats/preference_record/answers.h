// The two ways to write several answers to one prompt.
#pragma once
#include <antiphon/component/record/turns.h>

namespace antiphon::preference_record {

using records::is_there;
using records::Json;
using records::Record;

// A text, which a turn of this role says, or a list of messages; `key` names it in messages.
std::vector<SampleTurn> turns_of(const Json& value, const char* role, const char* key, Record& record);

// Whether the record is a pair of answers; a value of another type under such a key is metadata.
bool is_pair(const Json& record);
// Its prompt and both answers.
void read_pair(Record& record);
// The answers of "candidates"; the turns before them have been read.
void read_candidates(Record& record);

}  // namespace antiphon::preference_record
