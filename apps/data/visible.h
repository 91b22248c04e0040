// Text as a terminal can show it without being misled.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::apps {

// As escaped(), and white space too: spaces as ·, line ends as ↵ (followed by a line end if `break_lines`), tabs as ⇥.
std::string visible(std::string_view bytes, bool break_lines);

}  // namespace antiphon::apps
