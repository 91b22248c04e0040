#include <antiphon/text/jinja/bound.h>

#include <algorithm>

#include <fmt/format.h>

namespace antiphon::text::jinja {

Bound::Bound(Heap& heap, std::string_view function, const Arguments& given,
             std::initializer_list<std::string_view> names, size_t required)
    : heap_(heap), function_(function) {
  std::copy(names.begin(), names.end(), names_.begin());
  if (given.positional.size() > names.size())
    fail_template(
        fmt::format("{}() takes at most {} arguments ({} given)", function, names.size(), given.positional.size()));
  for (size_t i = 0; i < given.positional.size(); ++i) values_[i] = &given.positional[i];
  for (const auto& [name, value] : given.keywords) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      fail_template(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    auto& place = values_[static_cast<size_t>(found - names.begin())];
    if (place) fail_template(fmt::format("{}() got multiple values for argument '{}'", function, name));
    place = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!values_[i]) fail_template(fmt::format("{}() missing required argument '{}'", function, names_[i]));
}

void Bound::refuse(size_t i, std::string_view wanted) const {
  if (values_[i]->is(Kind::undefined)) fail_undefined(heap_, *values_[i]);
  fail_template(fmt::format("{}(): '{}' must be {}, not {}", function_, names_[i], wanted, type_name(*values_[i])));
}

bool Bound::flag(size_t i, bool otherwise) const { return values_[i] ? truth(*values_[i]) : otherwise; }

int64_t Bound::whole(size_t i, int64_t otherwise) const {
  if (!values_[i]) return otherwise;
  if (!values_[i]->whole()) refuse(i, "a whole number");
  return values_[i]->integer();
}

std::string_view Bound::text(size_t i, std::string_view otherwise) const {
  if (!values_[i]) return otherwise;
  if (!values_[i]->is(Kind::text)) refuse(i, "str");
  return values_[i]->bytes();
}

}  // namespace antiphon::text::jinja
