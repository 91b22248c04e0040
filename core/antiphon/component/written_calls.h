// Tool calls that a model writes, and those that a record expects.
#pragma once
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/sample.h>

namespace antiphon {

// The calls in a text: a JSON object {"name", "arguments"} or a list of them, also after <|python_tag|> (Llama 3) or
// [TOOL_CALLS] (Mistral), or any number of them each between <tool_call> and </tool_call> (Hermes, Qwen). Without
// `arguments`, `parameters` are these (Llama 3); if they are a text of JSON, what it says. A list; null if the text is
// none of that.
nlohmann::json calls_in(std::string_view text);

// The same of a record: the calls of its last answer, or those in `expected`, its text.
nlohmann::json expected_calls(const Sample& sample, std::string_view expected);

}  // namespace antiphon
