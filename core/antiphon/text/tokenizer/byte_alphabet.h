// GPT-2's byte alphabet (openai/gpt-2, src/encoder.py): each byte is written as one printable character; the 188
// printable bytes of Latin-1 as themselves, the other 68 as U+0100 and on.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace antiphon::text {

const std::array<char32_t, 256>& byte_alphabet();
// The bytes that `token` spells; nothing if it has a character outside the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view token);

}  // namespace antiphon::text
