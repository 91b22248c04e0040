#include <antiphon/text/jinja/filters.h>

#include <algorithm>

#include <fmt/format.h>

namespace antiphon::text::jinja {
namespace {

constexpr std::string_view refused[] = {"filesizeformat", "pprint",   "random", "striptags",
                                        "urlize",         "wordwrap", "xmlattr"};

Native find_filter(std::string_view name) {
  for (const auto* group : {&text_filters(), &list_filters(), &choice_filters(), &number_filters()})
    if (const auto found = group->find(name); found != group->end()) return found->second;
  return nullptr;
}

}  // namespace

bool Run::has_filter(std::string_view name) {
  return find_filter(name) || std::find(std::begin(refused), std::end(refused), name) != std::end(refused);
}

Value Run::filter(std::string_view name, const Value& input, const Arguments& arguments) {
  const int line = line_;
  if (const auto native = find_filter(name)) {
    const auto value = native(*this, input, arguments);
    line_ = line;
    return value;
  }
  if (has_filter(name)) fail_template(fmt::format("the filter '{}' is not available in chat templates here", name));
  fail_template(fmt::format("No filter named '{}'.", name));
}

Value at_path(Run& run, const Value& item, const Value& path, const Value* otherwise) {
  if (path.is(Kind::none)) return item;
  const auto step = [&](const Value& from, const Value& part) {
    const auto value = run.element(from, part);
    return otherwise && value.is(Kind::undefined) ? *otherwise : value;
  };
  if (!path.is(Kind::text)) return step(item, path);
  auto value = item;
  for (auto rest = path.bytes();;) {
    const size_t dot = rest.find('.');
    const auto part = rest.substr(0, dot);
    const bool digits =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string_view::npos;
    value =
        step(value, digits ? Value(static_cast<int64_t>(std::stoll(std::string(part)))) : text_value(run.heap(), part));
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace antiphon::text::jinja
