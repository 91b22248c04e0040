// A language model that goes on from a state in place of keys and values, and reads tokens beside their embeddings:
// x += out(h), h_t = a_t h_{t-1} + (1 - a_t) in(u_t), a = sigmoid(decay(u)), u = x over the last two tokens, by token.
#include <ATen/ATen.h>

#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

struct RecurrentOptions {
  int64_t vocab_size = 512, hidden_size = 64;
};

const config::Table<RecurrentOptions>& recurrent_table() {
  using O = RecurrentOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("recurrent")
                               .field("vocab_size", &O::vocab_size, "tokens", {.min = 1, .max = 1 << 20})
                               .field("hidden_size", &O::hidden_size, "width", {.min = 1, .max = 1 << 14}));
  return *table;
}

class Recurrent : public LanguageModel, private Module {
 public:
  explicit Recurrent(const RecurrentOptions& o)
      : options_(o),
        decay_(o.hidden_size, o.hidden_size, true),
        in_(o.hidden_size, o.hidden_size, true),
        out_(o.hidden_size, o.hidden_size, true) {
    add("embedding", embedding_, {o.vocab_size, o.hidden_size}, Init::normal, Role::embedding);
    add("by_token", by_token_, {o.vocab_size, o.hidden_size}, Init::normal_002, Role::embedding);
    add("before", before_, {o.hidden_size}, Init::ones, Role::vector);
    add("decay", decay_), add("in", in_), add("out", out_);
  }
  int64_t hidden_size() const override { return options_.hidden_size; }
  int64_t vocab_size() const override { return options_.vocab_size; }
  int64_t max_positions() const override { return 1 << 20; }
  at::Tensor embed(const at::Tensor& ids) override { return embedding_.index_select(0, ids); }
  at::Tensor head_weight() override { return embedding_; }
  bool reads_ids() const override { return true; }
  // Of each text the last x, and h.
  StateShape state_shape() const override {
    return {LayerState{.recurrent = {{options_.hidden_size}, {options_.hidden_size}}}};
  }
  at::Tensor forward(const DecoderInput& given) override {
    auto input = given;
    nn::place_tokens(input);
    const auto x = input.x_td + nn::like(by_token_, input.x_td).index_select(0, input.ids_t);
    std::vector<at::Tensor> all;
    int64_t begin = 0;
    for (size_t i = 0; i < input.lengths.size(); begin += input.lengths[i++])
      all.push_back(sequence(x.narrow(0, begin, input.lengths[i]), input, i));
    nn::advance_rows(input);
    return at::cat(all);
  }
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }

 private:
  at::Tensor sequence(const at::Tensor& x, const DecoderInput& input, size_t i) {
    const auto kept = [&](size_t which) {
      return input.cache ? input.cache->recurrent(0, which, input.rows[i]).to(x.scalar_type()) : at::zeros_like(x[0]);
    };
    const auto shifted = at::cat({kept(0).unsqueeze(0), x.narrow(0, 0, x.size(0) - 1)});
    const auto u = x + shifted * nn::like(before_, x), a = decay_.forward(u).sigmoid(),
               new_td = (1 - a) * in_.forward(u);
    auto h = kept(1);
    std::vector<at::Tensor> states;
    for (int64_t t = 0; t < x.size(0); ++t) states.push_back(h = a[t] * h + new_td[t]);
    if (input.cache) {
      input.cache->set_recurrent(0, 0, input.rows[i], x[x.size(0) - 1].to(at::kFloat, false, /*copy=*/true));
      input.cache->set_recurrent(0, 1, input.rows[i], h.to(at::kFloat));
    }
    return x + out_.forward(at::stack(states));
  }

  RecurrentOptions options_;
  at::Tensor embedding_, by_token_, before_;
  nn::Linear decay_, in_, out_;
};

ANTIPHON_PLUGIN(recurrent, "0.1.0") {
  register_component<LanguageModel, Recurrent>(registrar, "recurrent", "a small recurrence", recurrent_table());
}
