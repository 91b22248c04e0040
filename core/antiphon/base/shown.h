// Foreign text (from files, names, models, libraries) in what a person reads: it can neither control a terminal, nor
// forge a line of the program, nor flood the screen. Errors and the log pass all their text through here by themselves;
// code that quotes data in a message cuts it with shown().
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace antiphon {

// Letters (code points) at which quoted text is cut: paths, roles and names; foreign text, e.g. of a chat template; one
// line of a message.
constexpr size_t kNameLetters = 200, kWordsLetters = 500, kLineLetters = 2000;

// C0 and C1 controls and DEL.
bool is_control(char32_t c);
// Controls, and what no terminal shows as a letter: bidirectional marks, zero-width characters, separators of lines and
// paragraphs, tags, noncharacters.
bool is_hidden(char32_t c);

// Every character for which `odd` holds as \x1b (below U+0080) or \u{202e}, bytes that are not UTF-8 as \xff.
std::string escaped(std::string_view text, bool (*odd)(char32_t) = is_hidden);

// One line: hidden characters, line ends and tabs are escaped, and the middle is left out beyond `letters`. Idempotent.
std::string shown(std::string_view text, size_t letters = kNameLetters);

// Text that has its own lines: line ends and tabs stay, each line is cut at `letters`, and all but the first are
// indented, so that none of them can pass for a separate message.
std::string shown_lines(std::string_view text, size_t letters = kLineLetters);

}  // namespace antiphon
