// The arguments of a built-in function, by the names and positions of its parameters.
#pragma once
#include <array>

#include <antiphon/text/jinja/object.h>

namespace antiphon::text::jinja {

class Bound {
 public:
  // Fails if one of the first `required` is missing, or if there are too many or unknown ones.
  Bound(Heap& heap, std::string_view function, const Arguments& given, std::initializer_list<std::string_view> names,
        size_t required = 0);

  const Value* at(size_t i) const { return values_[i]; }
  // Given, and not none.
  bool has(size_t i) const { return values_[i] && !values_[i]->is(Kind::none); }
  Value value(size_t i, const Value& otherwise = {}) const { return values_[i] ? *values_[i] : otherwise; }
  bool flag(size_t i, bool otherwise) const;
  int64_t whole(size_t i, int64_t otherwise) const;
  std::string_view text(size_t i, std::string_view otherwise) const;
  bool is_text(size_t i) const { return values_[i] && values_[i]->is(Kind::text); }

 private:
  [[noreturn]] void refuse(size_t i, std::string_view wanted) const;
  Heap& heap_;
  std::string_view function_;
  std::array<std::string_view, 6> names_;
  std::array<const Value*, 6> values_{};
};

}  // namespace antiphon::text::jinja
