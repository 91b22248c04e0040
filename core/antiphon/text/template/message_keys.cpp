#include <antiphon/text/template/message_keys.h>

#include <cctype>
#include <set>
#include <string>

namespace antiphon::text {
namespace {

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

std::string_view without_space(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  return text;
}

std::string_view name_at(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && in_name(text[length])) ++length;
  return text.substr(0, length);
}

bool is_quoted(std::string_view text, std::string_view key) {
  return text.size() > key.size() + 1 && (text[0] == '\'' || text[0] == '"') && text.substr(1).starts_with(key) &&
         text[key.size() + 1] == text[0];
}

// Calls found(rest) for each place at which the word stands by itself, with the text behind it.
template <class Found>
void each_word(std::string_view source, std::string_view word, Found&& found) {
  for (auto at = source.find(word); at != std::string_view::npos; at = source.find(word, at + 1)) {
    const auto rest = source.substr(at + word.size());
    if ((at == 0 || !in_name(source[at - 1])) && (rest.empty() || !in_name(rest.front()))) found(rest, at);
  }
}

// The names of messages in loops: for NAME in …messages… %}
std::set<std::string_view> names_of_messages(std::string_view source) {
  std::set<std::string_view> names;
  each_word(source, "for", [&](std::string_view rest, size_t) {
    const auto name = name_at(without_space(rest));
    auto of = without_space(rest).substr(name.size());
    of = without_space(of);
    if (name.empty() || name_at(of) != "in") return;
    if (of.substr(0, of.find('}')).find("messages") != std::string_view::npos) names.insert(name);
  });
  return names;
}

bool reads(std::string_view rest, std::string_view key) {
  rest = without_space(rest);
  if (rest.starts_with('[')) return is_quoted(without_space(rest.substr(1)), key);
  if (!rest.starts_with('.')) return false;
  rest = without_space(rest.substr(1));
  return rest.starts_with("get(") ? is_quoted(without_space(rest.substr(4)), key) : name_at(rest) == key;
}

}  // namespace

bool reads_of_messages(std::string_view source, std::string_view key) {
  bool found = false;
  const auto names = names_of_messages(source);
  for (const auto name : names)
    each_word(source, name, [&](std::string_view rest, size_t) { found |= reads(rest, key); });
  each_word(source, key, [&](std::string_view rest, size_t at) {  // 'key' in message, 'key' not in message
    if (at == 0 || !is_quoted(source.substr(at - 1), key)) return;
    rest = without_space(rest.substr(1));
    if (name_at(rest) == "not") rest = without_space(rest.substr(3));
    found |= name_at(rest) == "in" && names.contains(name_at(without_space(rest.substr(2))));
  });
  return found;
}

}  // namespace antiphon::text
