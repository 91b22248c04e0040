// What the readers of one record share. Used inside this area.
#pragma once
#include <nlohmann/json.hpp>

#include <antiphon/data/record_media.h>

namespace antiphon::data {

struct Record {
  const nlohmann::json& object;
  const std::filesystem::path& folder;
  RecordMedia media;
  Sample sample;
};

// Whether the key is there and is not null.
bool is_there(const nlohmann::json& object, const std::string& key);
// Error(data) unless the key holds a string; `what` names the object.
const std::string& text_of(const nlohmann::json& object, const char* key, std::string_view what);
// A piece of what `turn.role` says; marks count only in user turns, in other turns they are text.
void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record);
// {"role", "content", "reasoning_content"?}
SampleTurn read_message(const nlohmann::json& message, Record& record);

// Whether the record is a pair of answers: "chosen" and "rejected", and "prompt" if they do not hold it themselves.
bool is_pair(const nlohmann::json& object);
// Reads the turns and candidates of such a pair.
void read_pair(Record& record);
// Reads the candidates of "candidates", if the record has them; the turns must have been read.
void read_candidates(Record& record);

}  // namespace antiphon::data
