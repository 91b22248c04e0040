// Jinja's filters, in groups; a filter takes its input as `self`.
#pragma once
#include <map>

#include <antiphon/text/jinja/run.h>

namespace antiphon::text::jinja {

using Natives = std::map<std::string_view, Native>;
const Natives& text_filters();
const Natives& list_filters();
const Natives& choice_filters();  // by tests and attributes
const Natives& number_filters();

// The value at a path such as "a.b.0", by object[part]; `otherwise` if it is missing.
Value at_path(Run& run, const Value& item, const Value& path, const Value* otherwise = nullptr);
// The sort key: in lower case.
Value without_case(Run& run, const Value& value);

}  // namespace antiphon::text::jinja
