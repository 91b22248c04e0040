#include <antiphon/config/value.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

bool same_lists(const Value::Array& a, const Value::Array& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

bool same_tables(const Value::Table& a, const Value::Table& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
    return left.first == right.first && same(left.second, right.second);
  });
}

}  // namespace

std::string Location::str() const {
  if (!source) return {};
  return line == 0 ? *source : fmt::format("{}:{}:{}", *source, line, column);
}

std::string_view Value::type_name() const {
  static constexpr std::string_view names[] = {"nothing", "boolean", "integer", "number", "string", "list", "table"};
  return names[data.index()];
}

const Value* Value::find(std::string_view key) const {
  const auto* table = get_if<Table>();
  if (!table) return nullptr;
  const auto found = table->find(std::string(key));
  return found == table->end() ? nullptr : &found->second;
}

void merge(Value& base, const Value& over) {
  auto* into = base.get_if<Value::Table>();
  const auto* from = over.get_if<Value::Table>();
  if (!into || !from) {
    base = Value(over);
    return;
  }
  base.where = over.where;
  for (const auto& [key, value] : *from) {
    const auto [place, added] = into->try_emplace(key, value);
    if (!added) merge(place->second, value);
  }
}

bool same(const Value& a, const Value& b) {
  if (a.data.index() != b.data.index()) return false;
  if (const auto* list = a.get_if<Value::Array>()) return same_lists(*list, *b.get_if<Value::Array>());
  if (const auto* table = a.get_if<Value::Table>()) return same_tables(*table, *b.get_if<Value::Table>());
  if (const auto* number = a.get_if<double>()) {
    const double other = *b.get_if<double>();
    return *number == other || (std::isnan(*number) && std::isnan(other));
  }
  if (const auto* text = a.get_if<std::string>()) return *text == *b.get_if<std::string>();
  if (const auto* integer = a.get_if<int64_t>()) return *integer == *b.get_if<int64_t>();
  if (const auto* flag = a.get_if<bool>()) return *flag == *b.get_if<bool>();
  return true;
}

}  // namespace antiphon::config
