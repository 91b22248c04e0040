// Conformer blocks between a speech encoder and the language model: the "fc" modality adapter of NeMo's SALM (Chen et
// al. 2023; NeMo: examples/speechlm/conf/salm, nemo/collections/asr/modules/conformer_encoder.py), a ConformerEncoder
// of two layers with subsampling factor 1.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/component/register.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/blocks/conformer.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace antiphon::conformer {

struct ConformerConnectorOptions {
  int64_t hidden_size = 512, num_layers = 2, num_heads = 8, mlp_ratio = 4, kernel_size = 9;
  bool scale_input = true;
  double dropout = 0.1, input_dropout = 0.1, attention_dropout = 0.1;

  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<ConformerConnectorOptions>& conformer_table() {
  using O = ConformerConnectorOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("conformer")
          .field("hidden_size", &O::hidden_size, "width of the blocks", {.min = 2})
          .field("num_layers", &O::num_layers, "blocks", {.min = 1, .max = 64})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1})
          .field("mlp_ratio", &O::mlp_ratio, "width of the feed-forwards in units of hidden_size", {.min = 1})
          .field("kernel_size", &O::kernel_size, "vectors that the depthwise convolution sees; odd", {.min = 1})
          .field("scale_input", &O::scale_input, "multiply what enters the blocks by sqrt(hidden_size)")
          .field("dropout", &O::dropout, "in training, on what each half of a block adds and within its feed-forwards",
                 {.min = 0, .max = 1})
          .field("input_dropout", &O::input_dropout, "in training, on what enters the blocks", {.min = 0, .max = 1})
          .field("attention_dropout", &O::attention_dropout, "in training, on the attention's weights",
                 {.min = 0, .max = 1}));
  return *table;
}

// modality_adapter of a .nemo archive: the arguments of NeMo's ConformerEncoder, and its defaults.
void ConformerConnectorOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys = new ForeignKeys{
      .options = {{"d_model", "hidden_size"},
                  {"n_layers", "num_layers"},
                  {"n_heads", "num_heads"},
                  {"ff_expansion_factor", "mlp_ratio"},
                  {"conv_kernel_size", "kernel_size"},
                  {"xscaling", "scale_input"},
                  {"dropout", "dropout"},
                  {"dropout_pre_encoder", "input_dropout"},
                  {"dropout_att", "attention_dropout"}},
      .fixed = {{"_target_", {"nemo.collections.asr.modules.ConformerEncoder"}},
                {"subsampling_factor", {1}},
                {"self_attention_model", {"rel_pos"}},
                {"att_context_size", {nlohmann::json::array({-1, -1})}},
                {"att_context_style", {"regular"}},
                {"conv_norm_type", {"batch_norm"}},
                {"untie_biases", {true}},
                {"use_bias", {true}},
                {"causal_downsampling", {false}},
                {"reduction_factor", {1}},
                {"feat_out", {-1}}},
      .training = {"dropout_emb", "stochastic_depth_drop_prob"},
      .other = {"feat_in", "subsampling", "subsampling_conv_channels", "pos_emb_max_len", "stochastic_depth_mode",
                "stochastic_depth_start_layer", "subsampling_conv_chunking_factor", "sync_max_audio_length",
                "use_pytorch_sdpa", "use_pytorch_sdpa_backends"},
      .unknown_refused = true};
  const auto& json = pretrained.config;
  num_heads = 4, kernel_size = 31;
  read_keys(json, *keys, conformer_table(), *this);
  for (const char* key : {"_target_", "d_model", "n_layers", "subsampling_factor"})
    if (!json.find(key)) json.refuse(key, "as an adapter of NeMo's archives says it");
}

void check(const ConformerConnectorOptions& o) {
  if (o.hidden_size % o.num_heads != 0 || o.hidden_size % 2 != 0 || o.kernel_size % 2 == 0)
    fail(ErrorKind::config,
         fmt::format("conformer: hidden_size = {} must be even and a multiple of num_heads = {}, kernel_size = {} odd",
                     o.hidden_size, o.num_heads, o.kernel_size));
}

nn::ConformerOptions block_options(const ConformerConnectorOptions& o) {
  nn::ConformerOptions block;
  block.hidden_size = o.hidden_size, block.intermediate_size = o.hidden_size * o.mlp_ratio;
  block.num_heads = o.num_heads, block.kernel_size = o.kernel_size;
  block.dropout = o.dropout, block.attention_dropout = o.attention_dropout;
  return block;
}

// Of sequences as long as these, zeros at the end up to the longest: true at those. Undefined if there are none.
at::Tensor padding_of(const std::vector<at::Tensor>& parts) {
  std::vector<int64_t> lengths;
  for (const auto& part : parts) lengths.push_back(part.size(0));
  const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
  if (*shortest == *longest) return {};
  const auto lengths_n1 = at::tensor(lengths, at::kLong).unsqueeze(1);
  return (at::arange(*longest, at::kLong).unsqueeze(0) >= lengths_n1).to(parts.front().device());
}

// Parameters: in_proj, layers.N (see nn::ConformerBlock), out_proj.
class ConformerConnector : public Connector, private Module {
 public:
  ConformerConnector(const ConformerConnectorOptions& options, ConnectorShape shape)
      : options_((check(options), options)),
        in_proj_(shape.input_size, options.hidden_size, true),
        out_proj_(options.hidden_size, shape.output_size, true) {
    add("in_proj", in_proj_);
    for (int64_t i = 0; i < options.num_layers; ++i) {
      layers_.push_back(std::make_unique<nn::ConformerBlock>(block_options(options)));
      add(fmt::format("layers.{}", i), *layers_.back());
    }
    add("out_proj", out_proj_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override { return input; }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid&) const override { return blocks(features, {}); }

  // In training one padded batch, whose statistics are taken together, as NeMo does it; otherwise parts of one length
  // together, without padding, which gives the same.
  std::vector<at::Tensor> arrange_all(const std::vector<at::Tensor>& parts,
                                      const std::vector<TokenGrid>& grids) const override {
    if (!trains()) return Connector::arrange_all(parts, grids);
    auto rows = blocks(at::pad_sequence(parts, /*batch_first=*/true), padding_of(parts)).unbind();
    for (size_t i = 0; i < parts.size(); ++i) rows[i] = rows[i].narrow(0, 0, parts[i].size(0));
    return rows;
  }

  at::Tensor project(const at::Tensor& rows) override { return out_proj_.forward(rows); }

  Module& module() override { return *this; }

 private:
  // A frozen one is as in an evaluation while others learn; one of which some is trained is not.
  bool trains() const { return TrainingPass::now() && all_.trainable_count() > 0; }

  at::Tensor blocks(const at::Tensor& features, const at::Tensor& padding_nt) const {
    auto x = in_proj_.forward(features);
    if (options_.scale_input) x = x * std::sqrt(static_cast<double>(options_.hidden_size));
    const nn::ConformerPass pass{nn::relative_positions(x.size(1), options_.hidden_size, x), padding_nt, trains()};
    x = at::dropout(x, options_.input_dropout, pass.training);
    return nn::run_blocks(layers_, x,
                          [pass](const auto& layer, const at::Tensor& in, size_t) { return layer.forward(in, pass); });
  }

  Module& all_ = *this;  // which const members ask for its parameters
  ConformerConnectorOptions options_;
  nn::Linear in_proj_, out_proj_;
  std::vector<std::unique_ptr<nn::ConformerBlock>> layers_;
};

}  // namespace antiphon::conformer

ANTIPHON_PLUGIN(conformer, "0.1.0") {
  using namespace antiphon::conformer;
  antiphon::register_component<antiphon::Connector, ConformerConnector>(
      registrar, "conformer", "Conformer blocks (SALM's fc adapter)", conformer_table());
}
