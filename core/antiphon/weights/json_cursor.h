// A strict JSON reader over a text, one value at a time, that accepts what Rust's serde_json accepts (RFC 8259,
// numbers that fit a double, no lone surrogates, at most 127 levels). Errors name the byte.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace antiphon::weights {

class JsonCursor {
 public:
  // `text` must be UTF-8. `where` leads every message, e.g. "model.safetensors: header".
  JsonCursor(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  // Calls item(key) for every key of the object at the cursor; it must consume the value.
  template <class Item>
  void object(Item&& item) {
    open('{', "an object");
    for (bool first = true; next('}', first); first = false) {
      auto key = string();
      expect(':', "':'");
      item(std::move(key));
    }
    --depth_;
  }
  // Calls item() for every element of the array at the cursor; it must consume the element.
  template <class Item>
  void array(Item&& item) {
    open('[', "an array");
    for (bool first = true; next(']', first); first = false) item();
    --depth_;
  }
  std::string string();
  // A number without sign, point or exponent that fits 64 bits.
  uint64_t unsigned_integer();
  bool take_null();
  // Any value, checked and dropped.
  void skip();
  // Only white space may follow.
  void finish();
  [[noreturn]] void fail_here(const std::string& message) const;

 private:
  char peek();
  void open(char bracket, const char* what);
  bool next(char close, bool first);
  void expect(char c, const char* what);
  void literal(std::string_view word);
  void number();
  void digits();
  uint32_t hex4();
  void escape(std::string& out);
  bool at_digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace antiphon::weights
