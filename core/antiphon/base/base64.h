// Bytes as text (RFC 4648, with padding).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace antiphon {

std::string to_base64(std::string_view bytes);
// Nothing if the text is not base64: a length that is not a multiple of 4, a character that is not a digit, padding
// elsewhere than at the end, bits after the last byte. Line ends and spaces are not digits either.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace antiphon
