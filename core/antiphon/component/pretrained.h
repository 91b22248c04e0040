// The configuration files of a Hugging Face directory, as a component's options read them.
//
// Every key of such a file has a meaning: it becomes an option, under the same rules as in TOML; or only one value is
// accepted; or it has no effect on the result. Any other key is reported.
#pragma once
#include <antiphon/component/json_table.h>
#include <antiphon/config/schema.h>

#include <string>
#include <vector>

namespace antiphon {

// The JSON files of a weights directory.
struct PretrainedConfig {
  JsonTable config, preprocessor, video_preprocessor = {};
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
    std::vector<nlohmann::json> values;  // accepted values; absent and null always are
    std::string fix = {};
  };
  std::vector<Option> options = {};
  std::vector<Fixed> fixed = {};
  std::vector<std::string> training =
      {};                               // dropout and the like, which training here does not do: warned about if not 0
  std::vector<std::string> other = {};  // read by code, or without an effect on the result
  bool unknown_refused = false;         // an unknown key that is not null, false or empty is refused, else warned about

  ForeignKeys with(const ForeignKeys& more) const;
};

// What transformers puts into every config.json, whatever the model.
const ForeignKeys& common_keys();

// Warns about the keys that `keys` does not have, and about `training` keys that are in use. Error(weights) that lists
// all refused keys.
void check_keys(const JsonTable& json, const ForeignKeys& keys);

// Error(weights) for a value that is not accepted.
void check_fixed(const JsonTable& json, const ForeignKeys::Fixed& key);

namespace foreign {
void read_keys(const JsonTable& json, const ForeignKeys& keys, const config::Schema& table, void* options);
void read_options(const JsonTable& json, const std::vector<ForeignKeys::Option>& keys, const config::Schema& table,
                  void* options);
void check_options(const config::Schema& table, void* copy, const std::string& file);
}  // namespace foreign

// check_keys(), then reads the options: each is checked against its rule in `table`.
template <class Options>
void read_keys(const JsonTable& json, const ForeignKeys& keys, const config::Table<Options>& table, Options& options) {
  foreign::read_keys(json, keys, table, &options);
}

// Reads the options only.
template <class Options>
void read_options(const JsonTable& json, const std::vector<ForeignKeys::Option>& keys,
                  const config::Table<Options>& table, Options& options) {
  foreign::read_options(json, keys, table, &options);
}

// Checks options against their rules, however they were derived from the file. Error(weights).
template <class Options>
void check_options(const config::Table<Options>& table, Options options, const std::string& file) {
  foreign::check_options(table, &options, file);
}

// Error(weights) unless config.json's model_type is `expected`.
void expect_model_type(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& expected);

}  // namespace antiphon
