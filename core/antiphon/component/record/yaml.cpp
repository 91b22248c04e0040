#include <antiphon/component/record/yaml.h>

#include <fmt/format.h>
#include <yaml.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::records {
namespace {

constexpr size_t kMaxBytes = 16 << 20;
constexpr size_t kMaxDepth = 64;
constexpr int64_t kMaxValues = 1'000'000;

template <class Number>
bool read_number(std::string_view text, Number& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// from_chars takes "inf" and "nan", which are texts here.
bool looks_like_number(std::string_view text) {
  return text.find_first_of("0123456789") != std::string_view::npos &&
         text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

nlohmann::json plain_value(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text == ".inf" || text == "+.inf") return std::numeric_limits<double>::infinity();
  if (text == "-.inf") return -std::numeric_limits<double>::infinity();
  if (!looks_like_number(text)) return text;
  int64_t whole = 0;
  double real = 0;
  if (read_number(text, whole)) return whole;
  if (read_number(text, real)) return real;
  return text;
}

// Puts the parser's events together.
class Document {
 public:
  Document(std::string_view text, const std::string& name, ErrorKind kind) : name_(name), kind_(kind) {
    if (!yaml_parser_initialize(&parser_)) fail(ErrorKind::internal, "no memory for a YAML parser");
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Document(const Document&) = delete;
  ~Document() { yaml_parser_delete(&parser_); }

  nlohmann::json read() {
    while (step()) {
    }
    return has_root_ && !root_.is_null() ? std::move(root_) : nlohmann::json::object();
  }

 private:
  [[noreturn]] void refuse(size_t line, const std::string& why) const {
    fail(kind_, fmt::format("{}:{}: {}", name_, line + 1, why), "see https://yaml.org/spec/1.2.2");
  }

  // False at the end.
  bool step() {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser_, &event))
      refuse(parser_.problem_mark.line, parser_.problem ? parser_.problem : "no YAML");
    const struct Release {
      yaml_event_t* event;
      ~Release() { yaml_event_delete(event); }
    } release{&event};
    take(event);
    return event.type != YAML_STREAM_END_EVENT;
  }

  void take(const yaml_event_t& event) {
    const size_t line = event.start_mark.line;
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (documents_++ > 0) refuse(line, "a second document");
        return;
      case YAML_ALIAS_EVENT: refuse(line, "an alias, which is not read");
      case YAML_SEQUENCE_START_EVENT:
        check_tag(event.data.sequence_start.tag, line);
        return open(nlohmann::json::array(), line);
      case YAML_MAPPING_START_EVENT:
        check_tag(event.data.mapping_start.tag, line);
        return open(nlohmann::json::object(), line);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: open_.pop_back(); return;
      case YAML_SCALAR_EVENT: return take_scalar(event, line);
      default: return;
    }
  }

  void check_tag(const yaml_char_t* tag, size_t line) const {
    if (tag) refuse(line, fmt::format("the tag '{}', which is not read", shown(reinterpret_cast<const char*>(tag))));
  }

  void take_scalar(const yaml_event_t& event, size_t line) {
    const auto& scalar = event.data.scalar;
    check_tag(scalar.tag, line);
    const std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (!open_.empty() && open_.back().value->is_object() && !open_.back().has_key) return take_key(text, line);
    put(scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(text) : nlohmann::json(text), line);
  }

  void take_key(const std::string& text, size_t line) {
    auto& top = open_.back();
    if (top.value->contains(text)) refuse(line, fmt::format("the key '{}' stands twice", shown(text)));
    top.key = text, top.has_key = true;
  }

  void open(nlohmann::json value, size_t line) {
    if (open_.size() >= kMaxDepth) refuse(line, fmt::format("more than {} levels", kMaxDepth));
    open_.push_back({put(std::move(value), line)});
  }

  // References to what is in a list or table that is open stay good: only the innermost one grows.
  nlohmann::json* put(nlohmann::json value, size_t line) {
    if (++values_ > kMaxValues) refuse(line, fmt::format("more than {} values", kMaxValues));
    if (open_.empty()) {
      root_ = std::move(value), has_root_ = true;
      return &root_;
    }
    auto& top = open_.back();
    if (top.value->is_array()) return &top.value->emplace_back(std::move(value));
    if (!top.has_key) refuse(line, "a key that is not text");
    top.has_key = false;
    return &((*top.value)[top.key] = std::move(value));
  }

  struct Open {
    nlohmann::json* value;
    std::string key = {};
    bool has_key = false;
  };

  yaml_parser_t parser_;
  const std::string& name_;
  ErrorKind kind_;
  nlohmann::json root_;
  bool has_root_ = false;
  std::vector<Open> open_;
  int64_t values_ = 0;
  int documents_ = 0;
};

}  // namespace

nlohmann::json parse_yaml(std::string_view text, const std::string& name, ErrorKind kind) {
  if (text.size() > kMaxBytes)
    fail(kind, fmt::format("{}: {} bytes, at most {} are read", name, text.size(), kMaxBytes));
  if (!is_utf8(text)) fail(kind, name + " is not UTF-8", "save it as UTF-8");
  return Document(text, name, kind).read();
}

}  // namespace antiphon::records
