#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/weights/ggml_blocks.h>
#include <antiphon/weights/gguf_checkpoint.h>
#include <antiphon/weights/gguf_names.h>
#include <antiphon/weights/gguf_rope.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_model(const GgufFile& file, const std::string& what) {
  fail(ErrorKind::weights, fmt::format("{}: {}", file.path().string(), what),
       "take the model's Hugging Face directory");
}

const GgufTensor* tensor_in(const GgufFile& file, const std::string& name) {
  for (const auto& tensor : file.tensors())
    if (tensor.name == name) return &tensor;
  return nullptr;
}

// llama.cpp keeps the factors themselves; transformers the numbers that they come from.
json llama3_scaling(const GgufFile& file, const std::vector<float>& factors, double theta) {
  const double largest = *std::max_element(factors.begin(), factors.end());
  for (size_t i = 0; i < factors.size(); ++i) {
    const double wanted =
        RopeFactors{largest}.at(rope_frequency(theta, static_cast<int64_t>(i), static_cast<int64_t>(factors.size())));
    if (!(std::abs(factors[i] - wanted) <= 1e-4 * wanted))
      refuse_model(file,
                   fmt::format("rope_freqs.weight[{}] is {}, expected {} as Llama 3 has it", i, factors[i], wanted));
  }
  return {{"rope_type", "llama3"},
          {"factor", largest},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

// As llama.cpp computes it without settings of its own (llama_hparams, ggml_rope_yarn_corr_dims).
json yarn_scaling(const GgufFile& file) {
  const std::pair<const char*, double> usual[] = {{"attn_factor", 1},      {"yarn_ext_factor", 1},
                                                  {"yarn_attn_factor", 1}, {"yarn_beta_fast", 32},
                                                  {"yarn_beta_slow", 1},   {"yarn_log_multiplier", 0}};
  for (const auto& [key, value] : usual) {
    const auto name = std::string("rope.scaling.") + key;
    if (const double got = gguf_number(file, name.c_str(), value); got != value)
      refuse_model(file, fmt::format("{} is {}, expected {}", name, got, value));
  }
  return {{"rope_type", "yarn"},
          {"factor", gguf_number(file, "rope.scaling.factor", 1)},
          {"original_max_position_embeddings",
           gguf_integer(file, "rope.scaling.original_context_length", 1, gguf_integer(file, "context_length", 1))}};
}

json rope_scaling(const GgufFile& file, double theta) {
  if (const auto factors = gguf_list(file, "rope_freqs.weight")) return llama3_scaling(file, *factors, theta);
  const auto* type = gguf_value(file, "rope.scaling.type");
  if (!type || *type == "none" || (gguf_architecture(file).long_rope && *type == "longrope")) return nullptr;
  if (*type == "yarn") return yarn_scaling(file);
  if (*type != "linear")
    refuse_model(file, fmt::format("rope.scaling.type is {}, expected \"linear\" or \"yarn\"", type->dump()));
  return {{"rope_type", "linear"}, {"factor", gguf_number(file, "rope.scaling.factor", 1)}};
}

void refuse_others(const GgufFile& file) {
  if (gguf_integer(file, "expert_count", 0, 0) > 0) refuse_model(file, "its layers have experts, which are not read");
  if (gguf_architecture(file).add_keys) return;
  const auto context = gguf_integer(file, "context_length", 1, 2048);
  if (const auto window = gguf_integer(file, "attention.sliding_window", 0, 0); window > 0 && window < context)
    refuse_model(file, fmt::format("it looks back {} tokens only, which is not read", window));
}

void add_ids(const GgufFile& file, json& config) {
  const auto id = [&](const char* key) {
    const auto found = file.metadata().find(fmt::format("tokenizer.ggml.{}_token_id", key));
    return found != file.metadata().end() && found->is_number_unsigned() ? *found : json();
  };
  config["bos_token_id"] = id("bos");
  config["eos_token_id"] = id("eos");
  config["pad_token_id"] = id("padding");
  if (const auto turn = id("eot"); !turn.is_null() && turn != config["eos_token_id"])
    config["eos_token_id"] =
        config["eos_token_id"].is_null() ? json::array({turn}) : json::array({config["eos_token_id"], turn});
}

}  // namespace

json gguf_config(const std::filesystem::path& path) {
  const GgufFile file(path, ErrorKind::weights);
  const auto& architecture = gguf_architecture(file);
  refuse_others(file);
  const auto* embedding = tensor_in(file, "token_embd.weight");
  if (!embedding || embedding->shape.size() != 2) refuse_model(file, "it has no matrix token_embd.weight");
  const auto heads = gguf_integer(file, "attention.head_count", 1), hidden = gguf_integer(file, "embedding_length", 1);
  const double theta = gguf_number(file, "rope.freq_base", 10000);
  json config = {{"architectures", {architecture.class_name}},
                 {"model_type", architecture.model_type},
                 {"vocab_size", embedding->shape[0]},
                 {"hidden_size", hidden},
                 {"intermediate_size", gguf_integer(file, "feed_forward_length", 1)},
                 {"num_hidden_layers", gguf_integer(file, "block_count", 1)},
                 {"num_attention_heads", heads},
                 {"num_key_value_heads", gguf_integer(file, "attention.head_count_kv", 1, heads)},
                 {"head_dim", gguf_integer(file, "attention.key_length", 1, hidden / heads)},
                 {"max_position_embeddings", gguf_integer(file, "context_length", 1)},
                 {"rms_norm_eps", gguf_number(file, "attention.layer_norm_rms_epsilon", 1e-6)},
                 {"rope_theta", theta},
                 {"rope_scaling", rope_scaling(file, theta)},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", tensor_in(file, "output.weight") == nullptr}};
  if (std::string_view(architecture.model_type) == "llama") {
    config["attention_bias"] = tensor_in(file, "blk.0.attn_q.bias") != nullptr;
    config["mlp_bias"] = tensor_in(file, "blk.0.ffn_gate.bias") != nullptr;
  }
  if (architecture.add_keys) architecture.add_keys(file, config);
  add_ids(file, config);
  return config;
}

std::string gguf_summary(const std::filesystem::path& path) {
  const GgufFile file(path, ErrorKind::weights);
  std::map<std::string, int> types;
  for (const auto& tensor : file.tensors()) ++types[ggml_layout(tensor.type)->name];
  std::vector<std::string> counted;
  for (const auto& [name, count] : types) counted.push_back(fmt::format("{} {}", count, name));
  return fmt::format("{}, {} tensors ({})", gguf_architecture(file).name, file.tensors().size(),
                     fmt::join(counted, ", "));
}

}  // namespace antiphon::weights
