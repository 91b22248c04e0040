#include "tables.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/table_adapters.h>

#include <algorithm>

#include "file_keys.h"

namespace antiphon::lora {

std::vector<TrainedTokens> trained_tokens(const config::Value& option, const std::vector<Site>& tables) {
  return nn::trained_tokens("lora: " + kPeftTokenIndices, option, tables);
}

std::shared_ptr<TableAdapter> Tables::Change::adapter() const {
  if (low_rank) return low_rank;
  return rows;
}

std::vector<std::string> Tables::attach(const std::vector<Site>& chosen, const std::vector<TrainedTokens>& tokens,
                                        const Shape& shape, const Add& add) {
  std::vector<std::string> paths;
  const size_t before = changes_.size();
  for (const auto& site : chosen) {
    const auto& table = *site.table;
    const auto numbers =
        table.is_head ? shape(site, table.width, table.tokens) : shape(site, table.tokens, table.width);
    changes_.push_back({{site}, std::make_shared<LoraTable>(site.path, numbers, table.is_head), nullptr});
    add(site.path, *changes_.back().low_rank);
  }
  for (const auto& [tables, ids] : tokens) {
    for (const auto& site : tables)
      if (std::ranges::count(chosen, site.path, &Site::path) > 0)
        fail(ErrorKind::config,
             fmt::format("lora: {}: {} is among the targets, too{}", kPeftTokenIndices, site.path,
                         tables.size() > 1 ? ", and the head is the embedding" : ""),
             "train some of its tokens, or a low-rank change of all");
    const auto& table = *tables.front().table;
    changes_.push_back(
        {tables, nullptr, std::make_shared<TokenRows>(kPeftTokens.substr(1), ids, table.tokens, table.width)});
    add(tables.front().path, *changes_.back().rows);
  }
  for (size_t i = before; i < changes_.size(); ++i)
    for (const auto& site : changes_[i].tables)
      site.table->adapters.push_back(changes_[i].adapter()), paths.push_back(site.path);
  return paths;
}

void Tables::set_unchanged(const std::vector<Site>& all) {
  std::vector<Site> changed;
  for (const auto& change : changes_) changed.insert(changed.end(), change.tables.begin(), change.tables.end());
  unchanged_ = nn::tables_without(all, changed);
}

void Tables::start(uint64_t seed) {
  for (size_t i = 0; i < changes_.size(); ++i)
    if (const auto& change = changes_[i]; change.low_rank)
      change.low_rank->start(at::detail::createCPUGenerator(seed + i));
    else
      change.rows->start(*change.tables.front().table);
}

bool Tables::part_of_tied() const { return std::ranges::any_of(changes_, &Change::is_part_of_tied); }

bool Tables::low_rank_of_tied() const {
  return std::ranges::any_of(changes_, [](const auto& c) { return c.low_rank && c.is_part_of_tied(); });
}

void Tables::merge() {
  for (const auto& change : changes_) nn::merge_table_adapter(change.tables, change.adapter());
  merged_ = std::move(changes_);  // their modules live on: they are children of the method's
  changes_.clear();
}

std::vector<Parameter> Tables::copies_of_part() const {
  std::vector<Parameter> copies;
  for (const auto& change : changes_)
    for (const auto& site : change.tables)
      copies.push_back(nn::copy_of(site, (change.rows ? kPeftTokenAdapter : "") + kPeftBase));
  for (const auto& site : unchanged_) copies.push_back(nn::copy_of(site));
  return copies;
}

std::vector<std::pair<std::string, std::string>> Tables::repeated_keys() const {
  std::vector<std::pair<std::string, std::string>> keys;
  for (const auto& change : changes_) {
    const auto own = nn::repeated_keys(change.tables, kPeftTokens);
    keys.insert(keys.end(), own.begin(), own.end());
  }
  return keys;
}

}  // namespace antiphon::lora
