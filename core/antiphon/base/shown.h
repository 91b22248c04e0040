// Text of others (of files, names, models, libraries) in what a person reads: it can neither steer a terminal, nor
// forge a line of the program, nor flood the screen. Errors and the log pass all their text through here by themselves;
// whoever quotes data in a message cuts it with shown().
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace antiphon {

// Letters (code points) at which quoted text is cut: paths, roles and names; words of others, e.g. of a chat template;
// one line of a message.
constexpr size_t kNameLetters = 200, kWordsLetters = 500, kLineLetters = 2000;

// C0 and C1 controls and DEL.
bool is_control(char32_t c);
// Controls, and what no terminal shows as a letter: marks that turn the direction of writing, characters without width,
// separators of lines and paragraphs, tags, noncharacters.
bool is_hidden(char32_t c);

// Every character for which `odd` holds as \x1b (below U+0080) or \u{202e}, bytes that are no UTF-8 as \xff.
std::string escaped(std::string_view text, bool (*odd)(char32_t) = is_hidden);

// One line: what is hidden is escaped, line ends and tabs too, and the middle left out beyond `letters`. What was shown
// once is shown again as it is.
std::string shown(std::string_view text, size_t letters = kNameLetters);

// Text that has its own lines: line ends and tabs stay, each line is cut at `letters`, and all but the first are
// indented, so that none of them passes for a message of its own.
std::string shown_lines(std::string_view text, size_t letters = kLineLetters);

}  // namespace antiphon
