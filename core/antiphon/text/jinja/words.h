// Work on the characters of a text, as Python's str does it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/text/jinja/heap.h>

namespace antiphon::text::jinja {

bool is_ascii(std::string_view text);
size_t count_characters(Heap& heap, std::string_view text);
// Where character `index` begins; the end of the text if there are fewer.
size_t byte_of(Heap& heap, std::string_view text, size_t index);
// Where `what` first begins, in linear time; npos if it does not occur.
size_t find_bytes(Heap& heap, std::string_view text, std::string_view what);
size_t find_last_bytes(Heap& heap, std::string_view text, std::string_view what);
bool python_space(char32_t c);  // str.isspace
// str.strip: white space if `characters` is absent.
std::string_view strip(Heap& heap, std::string_view text, std::optional<std::string_view> characters, bool left,
                       bool right);
std::vector<std::string_view> split_space(Heap& heap, std::string_view text, int64_t limit, bool from_right);
std::vector<std::string_view> split_at(Heap& heap, std::string_view text, std::string_view separator, int64_t limit,
                                       bool from_right);
std::vector<std::string_view> split_lines(Heap& heap, std::string_view text, bool keep_ends);
std::string replaced(Heap& heap, std::string_view text, std::string_view from, std::string_view to, int64_t limit);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);  // str.title
std::string capitalize(std::string_view text);
std::string swapcase(std::string_view text);
std::string casefold(std::string_view text);
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
bool is_title(std::string_view text);
enum class Class { alpha, alnum, decimal, digit, numeric, space, printable };
bool is_class(char32_t c, Class kind);
// Marks that stand in the data of a prompt and are taken out of what the template makes of it (template/data_guard.h):
// nothing writes them as an escape, which could not be taken out.
constexpr bool is_mark(char32_t c) { return c >= 0xFDD0 && c <= 0xFDD5; }
bool all_of(std::string_view text, Class kind);  // false for an empty text

}  // namespace antiphon::text::jinja
