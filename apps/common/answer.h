// What a model writes, as it comes.
#pragma once
#include <string>

namespace antiphon::apps {

// On stdout at once. A terminal gets control characters other than line ends and tabs as escapes; a file or a pipe gets
// the text as it is.
void write_answer(const std::string& text);

}  // namespace antiphon::apps
