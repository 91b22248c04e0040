#include <antiphon/backbone/text_tower.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/base/error.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/rows_of_part.h>
#include <antiphon/nn/token_slices.h>

namespace antiphon::backbone {
namespace {

nn::EncoderLayerOptions block(const TextTowerOptions& o, const TextTowerKind& kind) {
  nn::EncoderLayerOptions layer;
  layer.hidden_size = o.hidden_size, layer.intermediate_size = o.intermediate_size, layer.num_heads = o.num_heads;
  layer.norm_eps = o.layer_norm_eps, layer.activation = o.activation, layer.causal = kind.causal;
  return layer;
}

}  // namespace

const ForeignKeys& text_tower_keys() {
  static const auto* keys =
      new ForeignKeys(common_keys().with({.options = {{"vocab_size", "vocab_size"},
                                                      {"hidden_size", "hidden_size"},
                                                      {"intermediate_size", "intermediate_size"},
                                                      {"num_hidden_layers", "num_layers"},
                                                      {"num_attention_heads", "num_heads"},
                                                      {"max_position_embeddings", "max_positions"},
                                                      {"layer_norm_eps", "layer_norm_eps"},
                                                      {"hidden_act", "activation"}},
                                          .training = {"attention_dropout", "dropout"},
                                          .other = {"projection_dim", "projection_size", "tie_word_embeddings"}}));
  return *keys;
}

TextTower::TextTower(const TextTowerOptions& o, const TextTowerKind& kind)
    : options_(o), kind_(kind), norm_(nn::NormKind::layer, o.hidden_size, o.layer_norm_eps) {
  if (o.hidden_size % o.num_heads != 0)
    fail(ErrorKind::config, fmt::format("{}: hidden_size = {} is not a multiple of num_heads = {}", kind.plugin,
                                        o.hidden_size, o.num_heads));
  add("token_embedding", tokens_vd_, {o.vocab_size, o.hidden_size}, Init::normal_002, Role::embedding);
  add("position_embedding", positions_pd_, {o.max_positions, o.hidden_size}, Init::normal_002, Role::embedding);
  for (int64_t i = 0; i < o.num_layers; ++i) {
    layers_.push_back(std::make_unique<nn::EncoderLayer>(block(o, kind)));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  add("norm", norm_);
}

at::Tensor TextTower::embed(const at::Tensor& ids) {
  if (!parts()) return at::embedding(tokens_vd_, ids);
  return nn::rows_of_part(ids, nn::part_of(options_.vocab_size, parts()->rank(), parts()->size()),
                          [this](const at::Tensor& rows) { return at::embedding(tokens_vd_, rows); });
}

void TextTower::share(const SharedBy& by) {
  if (!by.group || by.contexts || by.stages) {
    auto others = by;
    others.group = nullptr;
    return LanguageModel::share(others);
  }
  const int rank = by.group->rank(), size = by.group->size();
  if (options_.num_heads % size != 0)
    fail(ErrorKind::config,
         fmt::format("parallel.tensor = {} does not divide the {} heads of {}", size, options_.num_heads, kind_.plugin),
         "choose a number that does");
  const auto tokens = nn::part_of(options_.vocab_size, rank, size);
  keep_part(tokens_vd_, 0, tokens.begin, tokens.size);
  for (auto& layer : layers_) layer->share(*by.group);
}

at::Tensor TextTower::forward(const DecoderInput& input) {
  if (input.cache) fail(ErrorKind::internal, kind_.plugin + " reads whole texts, without a cache");
  const nn::TokenSlices slices{parts(), nullptr, parts()};
  const auto own = slices.own(input.tokens());
  auto x = parts() ? nn::slice_of_sum(input.x_td, slices.in_all(input.tokens()), *parts()) : input.x_td;
  const auto positions_t = input.positions_at.select(0, 0).narrow(0, own.begin, own.size);
  x = x + nn::like(at::embedding(positions_pd_, positions_t), x);
  x = nn::run_blocks(layers_, x, [lengths = input.lengths](const auto& layer, const at::Tensor& in, size_t) {
    return layer.forward(in, lengths);
  });
  const auto y = norm_.forward(x);
  return parts() ? nn::whole_tokens(y, slices.in_parts(input.tokens()), *parts()) : y;
}

at::Tensor TextTower::head_weight() {
  fail(ErrorKind::config, kind_.plugin + " makes vectors of texts and writes none",
       "set model.graph = \"dual_encoder\", or take a language model");
}

std::vector<Module*> TextTower::blocks() {
  std::vector<Module*> all;
  for (const auto& layer : layers_) all.push_back(layer.get());
  return all;
}

NameMap TextTower::name_map() const {
  NameMap map;
  map.ignored = kind_.others;
  auto rules = encoder_layer_names();
  rules.push_back({"embeddings.token_embedding.weight", "token_embedding"});
  rules.push_back({"embeddings.position_embedding.weight", "position_embedding"});
  rules.push_back({"final_layer_norm.{}", "norm.{}"});
  for (const std::string prefix : {"", "text_model."}) {  // of transformers 5, of 4
    for (const auto& rule : rules) map.rules.push_back({prefix + rule.checkpoint, rule.parameter});
    map.ignored.push_back(prefix + "embeddings.position_ids");
  }
  return map;
}

}  // namespace antiphon::backbone
