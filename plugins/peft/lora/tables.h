// What LoRA changes of a language model's embedding and head.
#pragma once
#include <antiphon/component/peft.h>
#include <antiphon/nn/table_adapters.h>
#include <antiphon/nn/token_rows.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "table_adapter.h"

namespace antiphon::lora {

using nn::TokenRows, nn::TrainedTokens;

// What `trainable_token_indices` says, of a part with these tables; see nn::trained_tokens().
std::vector<TrainedTokens> trained_tokens(const config::Value& option, const std::vector<Site>& tables);

class Tables {
 public:
  // Low-rank changes of `chosen`, and `tokens`. `shape`: the numbers of the change, from the table's sizes; `add`:
  // makes a module one of the method's. The paths of the tables. Error(config) if a table is changed in both ways.
  using Shape = std::function<LoraShape(const Site& site, int64_t in, int64_t out)>;
  using Add = std::function<void(const std::string& path, Module& module)>;
  std::vector<std::string> attach(const std::vector<Site>& chosen, const std::vector<TrainedTokens>& tokens,
                                  const Shape& shape, const Add& add);
  // Of all of the part's tables, those without a change: PEFT's files have them, too, if tokens were added to the
  // model.
  void set_unchanged(const std::vector<Site>& all);
  void start(uint64_t seed);
  // Whether a table that is the embedding and the head has a change of one of both.
  bool part_of_tied() const;
  // Whether there are low-rank changes of such a table.
  bool low_rank_of_tied() const;
  // See Peft.
  void merge();
  std::vector<Parameter> copies_of_part() const;
  std::vector<std::pair<std::string, std::string>> repeated_keys() const;

 private:
  struct Change {
    std::vector<Site> tables;
    std::shared_ptr<LoraTable> low_rank;  // or
    std::shared_ptr<TokenRows> rows;
    std::shared_ptr<TableAdapter> adapter() const;
    bool is_part_of_tied() const { return nn::is_part_of_tied(tables); }
  };
  std::vector<Change> changes_, merged_;
  std::vector<Site> unchanged_;
};

}  // namespace antiphon::lora
