// Values by their dotted paths: "model.llm.peft.0.weights"; a number is a place in a list.
#pragma once
#include <antiphon/config/value.h>

namespace antiphon::config {

// nullptr if nothing is there.
const Value* at_path(const Value& root, std::string_view path);
Value* at_path(Value& root, std::string_view path);
// The text there; "" if there is none.
std::string text_at(const Value& root, std::string_view path);

}  // namespace antiphon::config
