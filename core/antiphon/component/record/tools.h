// Calls of tools, their results and their descriptions, as chat templates get them: JSON texts.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::records {

using Json = nlohmann::ordered_json;

// Of an assistant's message: the list under "tool_calls", empty if there is none. OpenAI's arguments, a text that holds
// an object, become the object that transformers' templates expect.
std::string tool_calls_of(const Json& message);
// Of a tool's message: what of "tool_call_id" and "name" it has, as an object.
std::string tool_of(const Json& message);
// Of a record: the list under "tools", which may be written as a text (ms-swift).
std::string tools_of(const Json& record);

}  // namespace antiphon::records
