#include <antiphon/component/json_table.h>

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>
#include <utility>

namespace antiphon {

std::string short_text(const nlohmann::json& value) {
  constexpr size_t longest = 60;
  if (value.is_structured() && value.size() > 20)
    return fmt::format("a {} of {}", value.is_array() ? "list" : "table", value.size());
  auto text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "…";
}

JsonTable::JsonTable(nlohmann::json json, std::string file, std::string path)
    : json_(std::move(json)), file_(std::move(file)), path_(std::move(path)) {
  if (!json_.is_object())
    fail(ErrorKind::weights,
         fmt::format("{}: {} is {}; expected a table", file_, path_.empty() ? "all of it" : path_, short_text(json_)));
}

const nlohmann::json* JsonTable::find(const std::string& key) const {
  if (!json_.is_object()) return nullptr;
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

JsonTable JsonTable::table(const std::string& key) const {
  const auto* value = find(key);
  if (!value) return {};
  return JsonTable(*value, file_, path_.empty() ? key : path_ + "." + key);
}

JsonTable JsonTable::with(const std::string& key, const nlohmann::json& value) const {
  auto more = *this;
  more.json_[key] = value;
  return more;
}

bool JsonTable::flag(const std::string& key, bool otherwise) const {
  const auto* value = find(key);
  if (value && !value->is_boolean()) refuse(key, "true or false");
  return value ? value->get<bool>() : otherwise;
}

std::string JsonTable::text(const std::string& key, std::string otherwise) const {
  const auto* value = find(key);
  if (value && !value->is_string()) refuse(key, "a string");
  return value ? value->get<std::string>() : std::move(otherwise);
}

int64_t JsonTable::integer(const std::string& key, int64_t otherwise, int64_t min, int64_t max) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  const double size = value->is_number_integer() ? value->get<double>() : std::nan("");
  if (!(size >= static_cast<double>(min) && size <= static_cast<double>(max)))
    refuse(key, fmt::format("an integer from {} to {}", min, max));
  return value->get<int64_t>();
}

double JsonTable::number(const std::string& key, double otherwise, double min, double max) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  const double size = value->is_number() ? value->get<double>() : std::nan("");
  if (!(size >= min && size <= max)) refuse(key, fmt::format("a number from {} to {}", min, max));
  return size;
}

std::vector<std::string> JsonTable::sizes(const std::string& key) const {
  std::vector<std::string> sizes;
  const auto* list = find(key);
  if (!list) return sizes;
  const auto is_side = [](const nlohmann::json& side) { return side.is_number_integer() && side > 0 && side <= 16384; };
  for (const auto& size : list->is_array() ? *list : nlohmann::json::array({nullptr})) {
    if (!size.is_array() || size.size() != 2 || !is_side(size[0]) || !is_side(size[1]))
      refuse(key, "a list of pairs [height, width], each from 1 to 16384");
    sizes.push_back(fmt::format("{}x{}", size[0].get<int64_t>(), size[1].get<int64_t>()));
  }
  return sizes;
}

std::vector<int64_t> JsonTable::listed(const std::string& key) const {
  std::vector<int64_t> numbers;
  std::istringstream all(text(key, ""));
  for (std::string word; std::getline(all, word, ',');) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), numbers.emplace_back());
    if (error != std::errc() || end != word.data() + word.size())
      refuse(key, "whole numbers with commas between them, \"448,896\"");
  }
  return numbers;
}

std::string JsonTable::place(const std::string& key) const {
  return fmt::format("{}: {}{}{}", file_, path_, path_.empty() ? "" : ".", key);
}

void JsonTable::refuse(const std::string& key, const std::string& expected, const std::string& fix) const {
  const auto it = json_.find(key);
  const auto got = it == json_.end() ? "missing" : short_text(*it);
  fail(ErrorKind::weights, fmt::format("{} is {}; expected {}", place(key), got, expected), fix);
}

}  // namespace antiphon
