// Rows of some tokens in the embedding, or in the head, are trained in place of those that are there, while all others
// stay. Reads and writes PEFT's format (peft/tuners/trainable_tokens): peft_type TRAINABLE_TOKENS, keys
// <table>.trainable_tokens_delta, which hold the rows themselves.
#include <ATen/core/Tensor.h>

#include <antiphon/base/error.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/table_adapters.h>
#include <antiphon/nn/token_rows.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace antiphon::trainable_tokens {

const std::string kRows = "trainable_tokens_delta";

struct TokensOptions {
  std::vector<int64_t> token_indices = {};
  std::vector<std::string> tables = {"embed_tokens"};
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<TokensOptions>& tokens_table() {
  using O = TokensOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("trainable_tokens")
          .field("token_indices", &O::token_indices, "ids of the tokens whose rows are trained", {.min = 0})
          .field(
              "tables", &O::tables,
              "tables whose rows these are, by the ends of their names: \"embed_tokens\", with which goes a head that "
              "is the embedding, and \"lm_head\""));
  return *table;
}

void TokensOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config, {{"token_indices", "token_indices"}, {"target_modules", "tables"}}, tokens_table(),
               *this);
}

class TrainableTokens : public Peft, private Module {
 public:
  explicit TrainableTokens(const TokensOptions& options) : options_(options) {
    if (options_.tables.empty())
      fail(ErrorKind::config, "trainable_tokens: tables names none", "name \"embed_tokens\", \"lm_head\" or both");
  }

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    config::Value::Array ids(options_.token_indices.begin(), options_.token_indices.end());
    config::Value::Table by_table;
    for (const auto& name : options_.tables) by_table[name] = ids;
    std::vector<std::string> paths;
    for (const auto& [tables, own] : nn::trained_tokens("trainable_tokens: token_indices", by_table, target.tables)) {
      const auto& first = tables.front();
      auto rows = std::make_shared<nn::TokenRows>(kRows, own, first.table->tokens, first.table->width);
      add(first.path, *rows);
      for (const auto& site : tables) site.table->adapters.push_back(rows), paths.push_back(site.path);
      changes_.push_back({tables, std::move(rows)});
    }
    unchanged_ = target.tables;
    for (const auto& change : changes_) unchanged_ = nn::tables_without(unchanged_, change.tables);
    return paths;
  }

  void start(uint64_t) override {
    for (const auto& change : changes_) change.rows->start(*change.tables.front().table);
  }

  Module& module() override { return *this; }

  // PEFT has the rows of an embedding that is the head once for each, too.
  std::vector<std::pair<std::string, at::Tensor>> file_tensors() override {
    auto all = Peft::file_tensors();
    for (const auto& change : changes_)
      for (size_t i = 1; i < change.tables.size(); ++i)
        all.emplace_back(change.tables[i].path + "." + kRows, *change.rows->parameters().front().tensor);
    return all;
  }

  // What PEFT may write beside the rows: the tables.
  std::vector<Parameter> copies_of_part() const override {
    std::vector<Parameter> copies;
    for (const auto& change : changes_)
      for (const auto& site : change.tables) copies.push_back(nn::copy_of(site, kPeftBase));
    for (const auto& site : unchanged_) copies.push_back(nn::copy_of(site));
    return copies;
  }
  std::vector<std::pair<std::string, std::string>> repeated_keys() const override {
    std::vector<std::pair<std::string, std::string>> keys;
    for (const auto& change : changes_) {
      const auto own = nn::repeated_keys(change.tables, "." + kRows);
      keys.insert(keys.end(), own.begin(), own.end());
    }
    return keys;
  }

  nlohmann::json adapter_config() const override {
    std::vector<std::string> names;
    for (const auto& change : changes_) {
      const auto& path = change.tables.front().path;
      names.push_back(path.substr(path.rfind('.') + 1));
    }
    return {{"peft_type", "TRAINABLE_TOKENS"}, {"task_type", task_type_}, {"token_indices", options_.token_indices},
            {"target_modules", names},         {"init_weights", true},    {"inference_mode", true}};
  }

  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                      "inference_mode", "token_indices", "target_modules", "init_weights"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"token_indices"}; }

  std::string why_not_merged() const override {
    const auto is_part = [](const auto& change) { return nn::is_part_of_tied(change.tables); };
    return std::ranges::any_of(changes_, is_part) ? nn::kPartOfTied : "";
  }
  void merge() override {
    for (const auto& change : changes_) nn::merge_table_adapter(change.tables, change.rows);
  }

 private:
  struct Change {
    std::vector<Site> tables;  // several have the same rows if the head is the embedding
    std::shared_ptr<nn::TokenRows> rows;
  };
  TokensOptions options_;
  std::vector<Change> changes_;
  std::vector<Site> unchanged_;
  nlohmann::json task_type_;  // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::trainable_tokens

ANTIPHON_PLUGIN(trainable_tokens, "0.1.0") {
  using namespace antiphon::trainable_tokens;
  antiphon::register_component<antiphon::Peft, TrainableTokens>(
      registrar, "trainable_tokens", "rows of some tokens in the embedding or the head", tokens_table());
}
