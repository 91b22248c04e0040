// A JSON object from a model's directory, read with types and bounds; every error names file, key, value and what was
// expected instead.
#pragma once
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

#include <cstdint>
#include <string>
#include <vector>

namespace antiphon {

class JsonTable {
 public:
  // No such file, or no such table.
  JsonTable() = default;
  // `file` leads every message; `path` is that of a table within it, "text_config". Error(weights) if it is not an
  // object.
  explicit JsonTable(nlohmann::json json, std::string file = "config.json", std::string path = {});

  // No file or table, or one without keys.
  bool empty() const { return json_.empty(); }
  bool exists() const { return !json_.is_null(); }
  const nlohmann::json& json() const { return json_; }
  const std::string& file() const { return file_; }
  // The value of `key`; nullptr if it is absent or null.
  const nlohmann::json* find(const std::string& key) const;
  // A nested table; one for which exists() is false if it is absent or null.
  JsonTable table(const std::string& key) const;

  // The same with one key more.
  JsonTable with(const std::string& key, const nlohmann::json& value) const;

  // json[key], or `otherwise` if it is absent or null. Error(weights) if it has another type or is out of bounds.
  bool flag(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, std::string otherwise) const;
  int64_t integer(const std::string& key, int64_t otherwise, int64_t min, int64_t max) const;
  double number(const std::string& key, double otherwise, double min, double max) const;
  // Pairs such as [[336, 672], …] as "336x672"; empty if absent.
  std::vector<std::string> sizes(const std::string& key) const;

  // The whole numbers of a text such as "448,896"; empty if absent. Error(weights) for another text.
  std::vector<int64_t> listed(const std::string& key) const;

  // "DIR/config.json: text_config.hidden_size"
  std::string place(const std::string& key) const;
  // "[place] is [value]; expected [expected]", or "[place] is missing; …". Error(weights).
  [[noreturn]] void refuse(const std::string& key, const std::string& expected, const std::string& fix = {}) const;

 private:
  nlohmann::json json_;
  std::string file_ = "config.json", path_;
};

// JSON text of a value, cut to about 60 bytes, for messages.
std::string short_text(const nlohmann::json& value);

}  // namespace antiphon
