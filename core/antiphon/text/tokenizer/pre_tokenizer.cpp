#include <antiphon/text/tokenizer/pre_tokenizer.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/char_classes.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pattern_field.h>
#include <antiphon/text/tokenizer/word_patterns.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// What `tokenizers` calls words: \w there also has the two joiners.
constexpr std::string_view word_or_signs = R"([\w\x{200c}\x{200d}]+|[^\w\s\x{200c}\x{200d}]+)";

// A piece between matches, or a match.
struct Part {
  size_t begin, end;
  bool match;
};

std::vector<Part> parts_of(const Pattern& pattern, std::string_view text) {
  std::vector<Part> parts;
  size_t done = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    if (done != begin) parts.push_back({done, begin, false});
    parts.push_back({begin, end, true});
    done = end;
  });
  if (done != text.size()) parts.push_back({done, text.size(), false});
  return parts;
}

// Each character of a class is a match of its own.
std::vector<Part> characters_of(std::string_view text, const std::function<bool(char32_t)>& is_match) {
  std::vector<Part> parts;
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    const bool match = is_match(c);
    if (!match && !parts.empty() && !parts.back().match) {
      parts.back().end = i + length;
    } else {
      parts.push_back({i, i + length, match});
    }
    i += length;
  }
  return parts;
}

// The behaviours of `tokenizers` (SplitDelimiterBehavior). Merging joins a match to its neighbour only if that is not a
// match itself.
std::vector<Part> arranged(std::vector<Part> parts, std::string_view behaviour) {
  if (behaviour == "Isolated") return parts;
  std::vector<Part> out;
  if (behaviour == "Removed") {
    std::copy_if(parts.begin(), parts.end(), std::back_inserter(out), [](const Part& part) { return !part.match; });
    return out;
  }
  const bool backwards = behaviour == "MergedWithNext";
  if (backwards) std::reverse(parts.begin(), parts.end());
  bool previous = false;
  for (const auto& part : parts) {
    const bool join = !out.empty() && (behaviour == "Contiguous" ? part.match == previous : part.match && !previous);
    if (!join) {
      out.push_back(part);
    } else if (backwards) {
      out.back().begin = part.begin;
    } else {
      out.back().end = part.end;
    }
    previous = part.match;
  }
  if (backwards) std::reverse(out.begin(), out.end());
  return out;
}

void check_behaviour(const JsonFields& fields, std::string_view behaviour) {
  constexpr std::array<std::string_view, 5> known = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                                     "Contiguous"};
  if (std::find(known.begin(), known.end(), behaviour) == known.end())
    fields.refuse(fmt::format("the behaviour {}", behaviour));
}

void append(const std::vector<Part>& parts, size_t offset, std::vector<std::pair<size_t, size_t>>& out) {
  for (const auto& part : parts)
    if (part.begin != part.end) out.emplace_back(offset + part.begin, offset + part.end);
}

}  // namespace

PreTokenizer::PreTokenizer(const nlohmann::json& description, const std::string& where) {
  if (!description.is_null()) add(description, where, 0);
}

void PreTokenizer::add(const nlohmann::json& description, const std::string& where, int depth) {
  const JsonFields fields(description, where);
  const auto type = fields.text("type");
  if (steps_.size() >= kMostSteps) fields.refuse(fmt::format("a pre-tokenizer of more than {} steps", kMostSteps));
  if (byte_level_ || !metaspace_.empty()) fields.refuse(fmt::format("{} after ByteLevel or Metaspace", type));
  if (add_split(fields, type) || add_classes(fields, type)) return;
  if (type == "ByteLevel") {
    fields.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    byte_level_ = true;
    add_prefix_space_ = fields.flag("add_prefix_space", true);
    if (fields.flag("use_regex", true)) words_ = Pattern::regex(gpt2_words());
  } else if (type == "Metaspace") {
    add_metaspace(fields);
  } else if (type == "Sequence") {
    fields.only({"type", "pretokenizers"});
    if (depth > 8) fields.refuse("so deep a Sequence");
    size_t index = 0;
    for (const auto& part : fields.array("pretokenizers"))
      add(part, fmt::format("{}.pretokenizers[{}]", where, index++), depth + 1);
  } else {
    fields.refuse(fmt::format("the pre-tokenizer {}", type));
  }
}

bool PreTokenizer::add_split(const JsonFields& fields, const std::string& type) {
  if (type != "Split" && type != "Whitespace") return false;
  const bool words = type == "Whitespace";
  words ? fields.only({"type"}) : fields.only({"type", "pattern", "behavior", "invert"});
  auto behaviour = words ? "Removed" : fields.text("behavior");
  check_behaviour(fields, behaviour);
  const bool invert = words || fields.flag("invert", false);
  auto pattern = words ? Pattern::regex(word_or_signs) : pattern_field(fields);
  steps_.emplace_back([pattern, behaviour, invert](std::string_view piece, size_t offset, Pieces& out) {
    auto parts = parts_of(pattern, piece);
    for (auto& part : parts) part.match = part.match != invert;
    append(arranged(std::move(parts), behaviour), offset, out);
  });
  return true;
}

bool PreTokenizer::add_classes(const JsonFields& fields, const std::string& type) {
  const auto add_class = [&](std::function<bool(char32_t)> is_match, const std::string& behaviour) {
    check_behaviour(fields, behaviour);
    steps_.emplace_back([is_match, behaviour](std::string_view piece, size_t offset, Pieces& out) {
      append(arranged(characters_of(piece, is_match), behaviour), offset, out);
    });
    return true;
  };
  if (type == "Digits") {
    fields.only({"type", "individual_digits"});
    return add_class(is_numeric, fields.flag("individual_digits", false) ? "Isolated" : "Contiguous");
  }
  if (type == "Punctuation") {
    fields.only({"type", "behavior"});
    return add_class(is_punctuation, fields.text("behavior", "Isolated"));
  }
  if (type == "CharDelimiterSplit") {
    fields.only({"type", "delimiter"});
    const auto delimiter = fields.text("delimiter");
    if (delimiter.empty() || code_point_at(delimiter, 0).length != delimiter.size())
      fields.refuse("a delimiter that is not one character");
    return add_class([c = code_point_at(delimiter, 0).value](char32_t other) { return other == c; }, "Removed");
  }
  if (type != "WhitespaceSplit" && type != "BertPreTokenizer") return false;
  fields.only({"type"});
  add_class(is_space, "Removed");
  return type == "WhitespaceSplit" || add_class(is_punctuation, "Isolated");
}

void PreTokenizer::add_metaspace(const JsonFields& fields) {
  fields.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
  metaspace_ = fields.text("replacement");
  prepend_ = fields.text("prepend_scheme", fields.flag("add_prefix_space", true) ? "always" : "never");
  split_at_metaspace_ = fields.flag("split", true);
  if (metaspace_.empty() || code_point_at(metaspace_, 0).length != metaspace_.size())
    fields.refuse("a replacement that is not one character");
  if (prepend_ != "always" && prepend_ != "first" && prepend_ != "never")
    fields.refuse("the prepend_scheme " + prepend_);
}

void PreTokenizer::operator()(std::string_view text, Before before,
                              const std::function<void(std::string_view)>& word) const {
  if (text.empty()) return;
  Pieces pieces{{0, text.size()}};
  for (const auto& step : steps_) {
    Pieces next;
    for (const auto& [begin, end] : pieces) step(text.substr(begin, end - begin), begin, next);
    pieces = std::move(next);
  }
  for (const auto& [begin, end] : pieces) {
    const auto piece = text.substr(begin, end - begin);
    const auto own = begin == 0 ? before : Before::token;
    metaspace_.empty() ? emit(piece, own, word) : emit_metaspace(piece, own, word);
  }
}

void PreTokenizer::emit(std::string_view piece, Before before,
                        const std::function<void(std::string_view)>& word) const {
  std::string prefixed;
  if (add_prefix_space_ && before != Before::text && !piece.starts_with(' '))
    piece = prefixed.append(1, ' ').append(piece);
  if (!words_) return word(piece);
  for (const auto& part : parts_of(*words_, piece))
    if (part.begin != part.end) word(piece.substr(part.begin, part.end - part.begin));
}

void PreTokenizer::emit_metaspace(std::string_view piece, Before before,
                                  const std::function<void(std::string_view)>& word) const {
  std::string text;
  for (const char c : piece) c == ' ' ? text.append(metaspace_) : text.append(1, c);
  const bool wanted = prepend_ == "always" ? before != Before::text : prepend_ == "first" && before == Before::nothing;
  if (wanted && !text.starts_with(metaspace_)) text.insert(0, metaspace_);
  if (!split_at_metaspace_) return word(text);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(metaspace_, begin + 1), text.size());
    word(std::string_view(text).substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace antiphon::text
