// Which methods of fine-tuning change the model, and what they put before every sequence.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/linear/linear.h>

#include <algorithm>

namespace antiphon::model {

std::vector<std::string> MultimodalLm::adapter_names(bool in_use) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (!pefts_[i].name.empty() && (!in_use || this->in_use(i))) names.push_back(pefts_[i].name);
  return names;
}

void MultimodalLm::use_adapters(const std::vector<std::string>& names) {
  const auto known = adapter_names();
  for (const auto& name : names) {
    if (std::ranges::count(known, name) > 0) continue;
    const auto near = nearest(name, known);
    fail(ErrorKind::config,
         fmt::format("no method of fine-tuning has the name '{}'; there are: {}", name,
                     known.empty() ? "none" : join(known, ", ")),
         !near.empty()   ? "did you mean '" + near + "'?"
         : known.empty() ? "give them names: [[model.llm.peft]] name = \"…\""
                         : "choose among these");
  }
  if (folded_in_)
    fail(ErrorKind::config, "methods of fine-tuning are part of the weights already, so none can be chosen",
         "leave generate.weights empty");
  if (adapters_.empty() && table_adapters_.empty())
    for (const auto& part : parts()) {
      for (const auto& site : part.module->sites())
        if (!site.linear->adapters.empty()) adapters_.emplace_back(site.linear, site.linear->adapters);
      for (const auto& site : part.module->tables())
        if (!site.table->adapters.empty()) table_adapters_.emplace_back(site.table, site.table->adapters);
    }
  in_use_ = 0;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (pefts_[i].name.empty() || std::ranges::count(names, pefts_[i].name) > 0) in_use_ |= uint64_t{1} << i;
  const auto choose = [&](auto& adapters, const auto& all) {
    adapters = all;
    std::erase_if(adapters, [&](const auto& adapter) { return !in_use(static_cast<size_t>(adapter->set)); });
  };
  for (const auto& [linear, all] : adapters_) choose(linear->adapters, all);
  for (const auto& [table, all] : table_adapters_) choose(table->adapters, all);
}

int64_t MultimodalLm::prompt_tokens() const {
  int64_t tokens = 0;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (in_use(i)) tokens += pefts_[i].method->prompt_tokens();
  return tokens;
}

int64_t MultimodalLm::prefix_tokens() const {
  int64_t tokens = 0;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (active(i)) tokens += pefts_[i].method->prefix_tokens();
  return tokens;
}

// [prompt_tokens(), hidden_size]
at::Tensor MultimodalLm::prompt() const {
  std::vector<at::Tensor> prompts;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (in_use(i) && pefts_[i].method->prompt_tokens() > 0) prompts.push_back(pefts_[i].method->prompt());
  return at::cat(prompts).to(settings_.formats.compute);
}

// [layers, 2, prefix_tokens(), kv_heads, head_size]
at::Tensor MultimodalLm::prefix() const {
  std::vector<at::Tensor> prefixes;
  for (size_t i = 0; i < pefts_.size(); ++i)
    if (active(i) && pefts_[i].method->prefix_tokens() > 0) prefixes.push_back(pefts_[i].method->prefix());
  return at::cat(prefixes, 2).to(settings_.formats.compute);
}

}  // namespace antiphon::model
