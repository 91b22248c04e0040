// Calls of tools, their results and their descriptions, as chat templates get them: JSON texts.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::records {

using Json = nlohmann::ordered_json;

// Of an assistant's message: the list under "tool_calls", or the one call under "function_call" (OpenAI, before there
// were tools); empty if there is none. OpenAI's arguments, a text that holds an object, become the object that
// transformers' templates expect.
std::string tool_calls_of(const Json& message);
// Of a turn that is calls alone: the text holds {"name", "arguments"}, or a list of such (LLaMA-Factory's
// function_call, ms-swift's tool_call). Error(data) if it does not.
std::string tool_calls_in(std::string_view text);
// Both lists as one.
std::string joined_calls(const std::string& first, const std::string& second);
// Of a tool's message: what of "tool_call_id" and "name" it has, as an object.
std::string tool_of(const Json& message);
// Of a record: the list under "tools", which may be written as a text (ms-swift).
std::string tools_of(const Json& record);

}  // namespace antiphon::records
