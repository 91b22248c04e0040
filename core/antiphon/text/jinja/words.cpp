#include <antiphon/text/jinja/words.h>

#include <algorithm>
#include <cstring>

#include <antiphon/base/utf8.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

using Pieces = std::vector<std::string_view>;

bool line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::string_view without_space(std::string_view text, bool left, bool right) {
  while (left && !text.empty() && python_space(code_point_at(text, 0).value))
    text.remove_prefix(code_point_at(text, 0).length);
  while (right && !text.empty() && python_space(code_point_at(text, previous_start(text, text.size())).value))
    text.remove_suffix(text.size() - previous_start(text, text.size()));
  return text;
}

// The memory that a list of pieces takes while it grows.
void add(Heap& heap, Pieces& pieces, std::string_view piece) {
  heap.charge(2 * sizeof piece);
  pieces.push_back(piece);
}

Pieces reversed(Pieces pieces) {
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

}  // namespace

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t count_characters(Heap& heap, std::string_view text) {
  heap.work(text.size());
  return antiphon::count_characters(text);
}

size_t byte_of(Heap& heap, std::string_view text, size_t index) {
  heap.work(std::min(text.size(), index));
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += code_point_at(text, at).length;
  return at;
}

bool python_space(char32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

size_t find_bytes(Heap& heap, std::string_view text, std::string_view what) {
  if (what.empty()) return 0;
  heap.work(text.size());
  const auto* found = static_cast<const char*>(::memmem(text.data(), text.size(), what.data(), what.size()));
  return found ? static_cast<size_t>(found - text.data()) : std::string_view::npos;
}

size_t find_last_bytes(Heap& heap, std::string_view text, std::string_view what) {
  heap.work(text.size() * (1 + what.size() / 16));
  return text.rfind(what);
}

std::string_view strip(Heap& heap, std::string_view text, std::optional<std::string_view> characters, bool left,
                       bool right) {
  heap.work(text.size() * (characters ? 1 + characters->size() / 16 : 1));
  if (!characters) return without_space(text, left, right);
  const auto drop = [&](size_t at) {
    return characters->find(text.substr(at, code_point_at(text, at).length)) != std::string_view::npos;
  };
  while (left && !text.empty() && drop(0)) text.remove_prefix(code_point_at(text, 0).length);
  while (right && !text.empty() && drop(previous_start(text, text.size())))
    text.remove_suffix(text.size() - previous_start(text, text.size()));
  return text;
}

Pieces split_space(Heap& heap, std::string_view text, int64_t limit, bool from_right) {
  Pieces pieces;
  heap.work(text.size());
  // The undivided rest keeps the white space at its far end.
  for (text = without_space(text, !from_right, from_right); !text.empty(); --limit) {
    if (limit == 0) {
      add(heap, pieces, text);
      break;
    }
    if (from_right) {
      size_t at = text.size();
      while (at > 0 && !python_space(code_point_at(text, previous_start(text, at)).value))
        at = previous_start(text, at);
      add(heap, pieces, text.substr(at));
      text = without_space(text.substr(0, at), false, true);
    } else {
      size_t at = 0;
      while (at < text.size() && !python_space(code_point_at(text, at).value)) at += code_point_at(text, at).length;
      add(heap, pieces, text.substr(0, at));
      text = without_space(text.substr(at), true, false);
    }
  }
  return from_right ? reversed(pieces) : pieces;
}

Pieces split_at(Heap& heap, std::string_view text, std::string_view separator, int64_t limit, bool from_right) {
  Pieces pieces;
  for (; limit != 0; --limit) {
    const size_t at = from_right ? find_last_bytes(heap, text, separator) : find_bytes(heap, text, separator);
    if (at == std::string_view::npos) break;
    add(heap, pieces, from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  add(heap, pieces, text);
  return from_right ? reversed(pieces) : pieces;
}

Pieces split_lines(Heap& heap, std::string_view text, bool keep_ends) {
  Pieces pieces;
  heap.work(text.size());
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const auto [c, length] = code_point_at(text, at);
    const size_t end = at;
    at += length;
    if (!line_end(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    add(heap, pieces, text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) add(heap, pieces, text.substr(begin));
  return pieces;
}

std::string replaced(Heap& heap, std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  const auto put = [&](std::string_view piece) {
    heap.charge(piece.size());
    out += piece;
  };
  for (bool first = true; limit != 0; --limit, first = false) {
    // The empty string occurs between all characters, at the beginning and at the end.
    const size_t at = from.empty() ? (first          ? 0
                                      : text.empty() ? std::string_view::npos
                                                     : code_point_at(text, 0).length)
                                   : find_bytes(heap, text, from);
    if (at == std::string_view::npos) break;
    heap.step();
    put(text.substr(0, at));
    put(to);
    text.remove_prefix(at + from.size());
  }
  put(text);
  return out;
}

}  // namespace antiphon::text::jinja
