// What readers of records share: turns, messages, tools.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <antiphon/component/record/record_media.h>

namespace antiphon::records {

// A record that is being read.
struct Record {
  Record(const Json& record, const MediaFolder& folder) : object(record), media(record, folder) {}
  const Json& object;
  RecordMedia media;
  Sample sample;
};

// Whether the key is there and is not null.
bool is_there(const Json& object, const std::string& key);
bool has_list(const Json& object, const std::string& key);
// Error(data) unless it is there.
const Json& list_at(const Json& object, const std::string& key);
// Whether the record has "candidates" that are answers, objects each: other lists under that name are metadata.
bool has_answers(const Json& record);
// Whether the record has a list `key` of turns to learn from, and not a question alone with the answers beside it: the
// last one's `role` is then not "assistant" or what the layout calls it.
bool has_turns(const Json& record, const std::string& key, const std::string& role, const std::string& assistant);
// Whether a turn of its list "conversations" has a value and a type, text, audio, image or video, as NeMo has it.
bool has_typed_turns(const Json& record);
// Error(data) unless the key holds a string; `what` names the object.
const std::string& text_of(const Json& object, const char* key, std::string_view what);

// A piece of what `turn.role` says; marks count only in user turns, in other turns they are text.
void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record);
// {"role", "content", "reasoning_content"?, "tool_calls"?, "tool_call_id"?, "name"?, "thinking"?, "reasoning"?,
// "loss"?, "weight"?, "label"?}, as OpenAI, ms-swift, LLaMA-Factory and transformers have it; `list` is the key that it
// stands in, for messages. ms-swift's roles tool_call, whose text is JSON, and tool_response are the assistant's and
// the tool's; OpenAI's developer is the system. Error(data) for "train" and "loss_scale" that would change what is
// learnt.
SampleTurn read_message(const Json& message, const std::string& list, Record& record);
// All of a list; calls of tools that have a message of their own join the answer before them.
std::vector<SampleTurn> read_message_list(const Json& messages, const std::string& list, Record& record);
// {"from": "human" | "gpt" | "system" | "function_call" | "observation", "value", "loss"?, "weight"?, "label"?}, as
// LLaVA, ShareGPT and LLaMA-Factory have it, with the other names that are in use for these (user, assistant, tool, …),
// and with a thought and a name as in a message.
SampleTurn read_conversation_turn(const Json& object, Record& record);
// The turns of the list "messages", or of "conversations", with a text under "system" as their first, and media without
// a mark in their place. In a conversation whose users mark no <video> an <image> may mark one (LLaVA-Video).
void read_messages(Record& record);
void read_conversations(Record& record);
// "system" beside the turns (LLaMA-Factory) becomes the first turn.
void read_system(Record& record);
// "tools", beside the turns.
void read_tools(Record& record);

// The keys of a record that RecordMedia reads, and "system".
std::set<std::string> keys_beside_turns();
// Those of answers that are compared, which a reader of turns passes over.
std::set<std::string> answer_keys();

// Error(data) unless there are turns, of known roles, with media only in those of users; or one that is a document.
void check_roles(const std::vector<SampleTurn>& turns);
// What is left of the record is checked, too: all media have a place.
Sample finished(Record&& record);

}  // namespace antiphon::records
