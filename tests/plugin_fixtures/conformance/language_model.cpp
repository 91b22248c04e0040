#include <ATen/ATen.h>

#include <antiphon/backbone/decoder_lm.h>

#include <algorithm>

#include "faulty.h"

namespace antiphon::fixture {
namespace language_model {
namespace {

enum class Fault { none, sees_future, ignores_rows, counts_from_one, turned_head, sums_in_place, loses_change };

struct Options : backbone::DecoderLmOptions {
  Options() { vocab_size = 64, hidden_size = 16, intermediate_size = 32, num_layers = 2, num_heads = 2; }
};

const config::Table<Options>& table() {
  static const auto* table = new config::Table<Options>(backbone::decoder_lm_table<Options>("fixture"));
  return *table;
}

// To each token of a sequence the mean of all of them.
at::Tensor means(const DecoderInput& input) {
  std::vector<at::Tensor> all;
  for (const auto& own : input.x_td.split_with_sizes(input.lengths)) all.push_back(own.mean(0, true).expand_as(own));
  return at::cat(all);
}

// To each token the sum of those before it, which is kept in the very tensor that copies of a row share.
at::Tensor sums(const DecoderInput& input) {
  std::vector<at::Tensor> all;
  const auto parts = input.x_td.split_with_sizes(input.lengths);
  for (size_t i = 0; i < parts.size(); ++i) {
    auto sum = parts[i].cumsum(0);
    if (input.cache) sum = sum + input.cache->recurrent(0, 0, input.rows[i]);
    if (input.cache) at::Tensor(input.cache->recurrent(0, 0, input.rows[i])).copy_(sum[sum.size(0) - 1]);
    all.push_back(sum);
  }
  return at::cat(all);
}

template <Fault fault>
class SmallLm : public backbone::DecoderLm {
 public:
  explicit SmallLm(const Options& options) : DecoderLm(options.decoder()) {}
  at::Tensor positions(const SampleLayout& layout) const override {
    return DecoderLm::positions(layout) + (fault == Fault::counts_from_one ? 1 : 0);
  }
  bool takes_prefix() const override { return fault != Fault::sums_in_place; }
  StateShape state_shape() const override {
    auto shape = DecoderLm::state_shape();
    if (fault == Fault::sums_in_place) shape.front().recurrent = {{hidden_size()}};
    return shape;
  }
  at::Tensor forward(const DecoderInput& input) override {
    auto own = input;
    if (fault == Fault::sums_in_place) own.x_td = input.x_td + sums(input);
    if (fault == Fault::ignores_rows) std::ranges::sort(own.rows);
    const auto h = DecoderLm::forward(own);
    return fault == Fault::sees_future ? h + means(input) : h;
  }
  at::Tensor head_weight() override {
    return fault == Fault::turned_head ? DecoderLm::head_weight().t() : DecoderLm::head_weight();
  }
  AddedProducts added_products(const at::Tensor& hidden_nd) override {
    return fault == Fault::loses_change ? AddedProducts() : DecoderLm::added_products(hidden_nd);
  }
};

template <Fault fault>
void add(plugin::Registrar& registrar, const char* name, const char* doc) {
  register_component<LanguageModel, SmallLm<fault>>(registrar, name, doc, table());
}

}  // namespace
}  // namespace language_model

void add_language_models(plugin::Registrar& registrar) {
  using namespace language_model;
  add<Fault::none>(registrar, "sound", "");
  add<Fault::sees_future>(registrar, "sees_future", "a token sees those after it");
  add<Fault::ignores_rows>(registrar, "ignores_rows", "sequence i goes into row i of the cache");
  add<Fault::counts_from_one>(registrar, "counts_from_one", "positions begin with 1");
  add<Fault::turned_head>(registrar, "turned_head", "the head is [hidden_size, vocab_size]");
  add<Fault::loses_change>(registrar, "loses_change", "what a method adds to the head is not trained");
  add<Fault::sums_in_place>(registrar, "sums_in_place", "a text's tensor is changed where it is");
}

}  // namespace antiphon::fixture
