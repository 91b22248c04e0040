// The configuration files of a Hugging Face directory, as a component's options read them.
//
// Every key of such a file has a meaning: it becomes an option, under the same rules as in TOML; or only one value is
// accepted; or it has no effect on what is computed. What is none of these is said.
#pragma once
#include <antiphon/component/json_table.h>
#include <antiphon/config/schema.h>

#include <string>
#include <vector>

namespace antiphon {

// The JSON files of a weights directory.
struct PretrainedConfig {
  JsonTable config, preprocessor;
  bool empty() const { return !config.exists(); }
};

// What the keys of a foreign file, or of a table in it, mean.
struct ForeignKeys {
  struct Option {
    std::string key, option;
    double min = -std::numeric_limits<double>::infinity();  // besides the option's own: 0 may mean "as another" in TOML
  };
  struct Fixed {
    std::string key;
    std::vector<nlohmann::json> values;  // what is accepted; absent and null are
    std::string fix = {};
  };
  std::vector<Option> options = {};
  std::vector<Fixed> fixed = {};
  std::vector<std::string> training =
      {};  // dropout and the like, which training here does without: said where it is not 0
  std::vector<std::string> other = {};  // read by code, or without an effect on what is computed
  bool unknown_refused = false;         // an unknown key that is not null, false or empty is refused, else said

  ForeignKeys with(const ForeignKeys& more) const;
};

// What transformers puts into every config.json, whatever the model.
const ForeignKeys& common_keys();

// Warns of the keys that `keys` does not have, and of training that is not done. Error(weights) with all that is
// refused.
void check_keys(const JsonTable& json, const ForeignKeys& keys);

// Error(weights) for a value that is not accepted.
void check_fixed(const JsonTable& json, const ForeignKeys::Fixed& key);

namespace foreign {
void read_keys(const JsonTable& json, const ForeignKeys& keys, const config::Schema& table, void* options);
void read_options(const JsonTable& json, const std::vector<ForeignKeys::Option>& keys, const config::Schema& table,
                  void* options);
void check_options(const config::Schema& table, void* copy, const std::string& file);
}  // namespace foreign

// check_keys(), and the options: each is held against its rule in `table`.
template <class Options>
void read_keys(const JsonTable& json, const ForeignKeys& keys, const config::Table<Options>& table, Options& options) {
  foreign::read_keys(json, keys, table, &options);
}

// The options alone.
template <class Options>
void read_options(const JsonTable& json, const std::vector<ForeignKeys::Option>& keys,
                  const config::Table<Options>& table, Options& options) {
  foreign::read_options(json, keys, table, &options);
}

// Holds options against their rules, however they were made out of the file. Error(weights).
template <class Options>
void check_options(const config::Table<Options>& table, Options options, const std::string& file) {
  foreign::check_options(table, &options, file);
}

// Error(weights) unless config.json's model_type is `expected`.
void expect_model_type(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& expected);

}  // namespace antiphon
