#include <antiphon/nn/table_adapters.h>

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/adapter_file.h>

#include <algorithm>

namespace antiphon::nn {

bool is_part_of_tied(const std::vector<Site>& tables) { return tables.size() == 1 && tables.front().table->tied; }

std::vector<Site> tables_without(std::vector<Site> tables, const std::vector<Site>& changed) {
  std::erase_if(tables, [&](const Site& site) { return std::ranges::count(changed, site.path, &Site::path) > 0; });
  return tables;
}

Parameter copy_of(const Site& site, const std::string& end) {
  return site.table->as_parameter(kPeftPrefix + site.path + end + ".weight");
}

std::vector<std::pair<std::string, std::string>> repeated_keys(const std::vector<Site>& tables,
                                                               const std::string& end) {
  std::vector<std::pair<std::string, std::string>> keys;
  for (size_t i = 1; i < tables.size(); ++i)
    keys.emplace_back(kPeftPrefix + tables[i].path + end, kPeftPrefix + tables.front().path + end);
  return keys;
}

void merge_table_adapter(const std::vector<Site>& tables, const std::shared_ptr<TableAdapter>& adapter) {
  c10::AutoGradMode no_grad(false);
  const auto& first = tables.front();
  if (is_part_of_tied(tables))
    fail(ErrorKind::config, fmt::format("{}: the head is the embedding, and the change is of one of both", first.path),
         "use the adapter's folder beside the model, or a model with tie_word_embeddings = false");
  for (const auto& site : tables) {
    auto& adapters = site.table->adapters;
    if (adapters.empty() || adapters.front() != adapter)
      fail(ErrorKind::config, fmt::format("{}: another method's adapter lies below this one", site.path),
           "merge the methods in the order of [[peft]]");
    adapters.erase(adapters.begin());
  }
  auto& weight = *first.table->weight;
  weight = adapter->merged(weight).to(weight.scalar_type());
}

}  // namespace antiphon::nn
