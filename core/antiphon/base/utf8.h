// UTF-8, one character at a time.
#pragma once
#include <cstddef>
#include <string_view>

namespace antiphon {

// Bytes of the well-formed character that `text` begins with (as is_utf8() sees it), or 0.
size_t utf8_length(std::string_view text);

// Characters of well-formed text.
size_t count_characters(std::string_view text);

}  // namespace antiphon
