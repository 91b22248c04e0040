#include <antiphon/weights/gguf_model.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/component/json_table.h>
#include <antiphon/weights/gguf_families.h>
#include <antiphon/weights/gguf_names.h>
#include <antiphon/weights/gguf_rope.h>

#include <cmath>

namespace antiphon::weights {
namespace {

constexpr int64_t most_size = int64_t{1} << 31;

// The numbers that llama.cpp gives to kinds of files (enum llama_ftype).
uint32_t file_type(GgmlType type) {
  if (type == GgmlType::Q8_0) return 7;
  if (type == GgmlType::BF16) return 32;
  return static_cast<uint32_t>(type);  // F32, F16, Q4_0
}

struct ModelSizes {
  int64_t hidden, heads, key_heads, head;
};

ModelSizes sizes_of(const JsonTable& config) {
  const auto hidden = config.integer("hidden_size", 0, 1, most_size),
             heads = config.integer("num_attention_heads", 0, 1, most_size);
  return {hidden, heads, config.integer("num_key_value_heads", heads, 1, most_size),
          config.integer("head_dim", hidden / heads, 1, most_size)};
}

JsonTable rope_of(const JsonTable& config) {
  const auto scaling = config.table("rope_scaling");
  return scaling.empty() ? config.table("rope_parameters") : scaling;
}

void put_sizes(GgufMetadata& out, const std::string& at, const JsonTable& config, const ModelSizes& sizes) {
  const auto put = [&](const char* key, int64_t number) { out.put(at + key, static_cast<uint32_t>(number)); };
  put("context_length", config.integer("max_position_embeddings", 2048, 1, most_size));
  put("embedding_length", sizes.hidden);
  put("block_count", config.integer("num_hidden_layers", 0, 1, most_size));
  put("feed_forward_length", config.integer("intermediate_size", 0, 1, most_size));
  put("attention.head_count", sizes.heads);
  put("attention.head_count_kv", sizes.key_heads);
  put("attention.key_length", sizes.head);
  put("attention.value_length", sizes.head);
  const auto rope = rope_of(config);
  const double part = rope.number("partial_rotary_factor", config.number("partial_rotary_factor", 1, 0, 1), 0, 1);
  put("rope.dimension_count", static_cast<int64_t>(static_cast<double>(sizes.head) * part));
  put("vocab_size", config.integer("vocab_size", 0, 1, most_size));
  out.put(at + "attention.layer_norm_rms_epsilon", static_cast<float>(config.number("rms_norm_eps", 1e-6, 0, 1)));
}

// llama.cpp takes YaRN with the paper's own settings for granted.
void put_yarn(GgufModel& out, const std::string& at, const JsonTable& config, const JsonTable& rope) {
  const auto only = [&](const char* key, double usual) {
    if (rope.number(key, usual, -1e12, 1e12) != usual)
      rope.refuse(key, fmt::format("{} with 'yarn', which GGUF files of these models have", usual));
  };
  only("beta_fast", 32), only("beta_slow", 1), only("mscale", 0), only("mscale_all_dim", 0);
  // As backbone::read_rope() takes them.
  const auto longest = config.integer("max_position_embeddings", 2048, 1, 1 << 30);
  const auto original =
      config.integer("original_max_position_embeddings",
                     rope.integer("original_max_position_embeddings", longest, 1, 1 << 30), 1, 1 << 30);
  const double factor = rope.number("factor", static_cast<double>(longest) / static_cast<double>(original), 1e-6, 1e6);
  only("attention_factor", factor <= 1 ? 1 : 0.1 * std::log(factor) + 1);
  if (const auto* truncate = rope.find("truncate"); truncate && *truncate != true)
    rope.refuse("truncate", "true, which GGUF files of these models have");
  out.metadata.put(at + "rope.scaling.type", std::string_view("yarn"));
  out.metadata.put(at + "rope.scaling.factor", static_cast<float>(factor));
  out.metadata.put(at + "rope.scaling.original_context_length", static_cast<uint32_t>(original));
}

// The rotary settings; with Llama 3's scaling, the factors as a tensor too.
void put_rope(GgufModel& out, const GgufArchitecture& architecture, const JsonTable& config, const ModelSizes& sizes) {
  const auto at = std::string(architecture.name) + ".";
  const auto rope = rope_of(config);
  if (architecture.put_keys) return architecture.put_keys(out, config, rope);
  const double theta = rope_theta(config, rope);
  out.metadata.put(at + "rope.freq_base", static_cast<float>(theta));
  const auto type = rope_type(rope);
  if (type == "linear") {
    out.metadata.put(at + "rope.scaling.type", std::string_view("linear"));
    out.metadata.put(at + "rope.scaling.factor", static_cast<float>(rope.number("factor", 1, 1e-6, 1e6)));
  } else if (type == "yarn") {
    put_yarn(out, at, config, rope);
  } else if (type == "llama3") {
    const RopeFactors factors{rope.number("factor", 8, 1e-6, 1e6), rope.number("low_freq_factor", 1, 1e-6, 1e6),
                              rope.number("high_freq_factor", 4, 1e-6, 1e6),
                              rope.number("original_max_position_embeddings", 8192, 1, 1e9)};
    const auto half = sizes.head / 2;
    out.tensors.push_back({GgmlType::F32, {"rope_freqs.weight", at::kFloat, {half}, [factors, half, theta] {
                                             std::vector<float> all;
                                             for (int64_t i = 0; i < half; ++i)
                                               all.push_back(
                                                   static_cast<float>(factors.at(rope_frequency(theta, i, half))));
                                             return at::tensor(all);
                                           }}});
  } else if (type != "default") {
    rope.refuse("rope_type", "'default', 'linear', 'yarn' or 'llama3', which GGUF files of these models have");
  }
}

at::Tensor in_pairs(const at::Tensor& rows, int64_t heads) {
  const auto half = rows.size(0) / heads / 2;
  return rows.reshape({heads, 2, half, -1}).transpose(1, 2).reshape(rows.sizes());
}

// Matrices are of the wanted type, or F16 if their rows are not whole blocks.
GgmlType type_of(const LazyTensor& tensor, GgmlType wanted, size_t& kept) {
  if (tensor.sizes.size() < 2) return GgmlType::F32;
  if (tensor.sizes.back() % static_cast<int64_t>(ggml_layout(wanted)->numbers) == 0) return wanted;
  ++kept;
  return GgmlType::F16;
}

void put_tensor(GgufModel& out, const GgufArchitecture& architecture, LazyTensor tensor, const ModelSizes& sizes,
                GgmlType type) {
  const auto name = gguf_name(architecture, tensor.name);
  if (!name)
    fail(ErrorKind::weights, fmt::format("'{}' has no name in a GGUF file of a {}", tensor.name, architecture.name),
         "export a Hugging Face directory: leave --format out");
  tensor.name = *name;
  if (tensor.name == "token_embd.weight") out.vocabulary = tensor.sizes.front();
  const auto heads = is_query(*name) ? sizes.heads : is_key(*name) ? sizes.key_heads : 0;
  if (architecture.interleaved && heads > 0)
    tensor.values = [values = tensor.values, heads] { return in_pairs(values(), heads); };
  if (architecture.adds_one_to_norms && name->ends_with("norm.weight"))
    tensor.values = [values = tensor.values] { return values().to(at::kFloat) + 1; };
  const auto own = type_of(tensor, type, out.kept);
  out.tensors.push_back({own, std::move(tensor)});
}

}  // namespace

double rope_theta(const JsonTable& config, const JsonTable& rope, double usual) {
  return config.number("rope_theta", rope.number("rope_theta", usual, 1e-9, 1e12), 1e-9, 1e12);
}

std::string rope_type(const JsonTable& rope) { return rope.text("rope_type", rope.text("type", "default")); }

GgufModel gguf_model(const nlohmann::json& json, const LazyTensors& tensors, GgmlType type, const std::string& name) {
  const JsonTable config(json);
  const auto& architecture = gguf_architecture(config.text("model_type", ""));
  const auto sizes = sizes_of(config);
  const auto at = std::string(architecture.name) + ".";
  GgufModel out;
  out.metadata.put("general.architecture", std::string_view(architecture.name));
  out.metadata.put("general.type", std::string_view("model"));
  out.metadata.put("general.name", std::string_view(name));
  out.metadata.put("general.file_type", file_type(type));
  out.metadata.put("general.quantization_version", uint32_t{2});
  put_sizes(out.metadata, at, config, sizes);
  put_rope(out, architecture, config, sizes);
  const bool tied = config.flag("tie_word_embeddings", false);
  for (const auto& tensor : tensors)
    if (!tied || tensor.name != "lm_head.weight") put_tensor(out, architecture, tensor, sizes, type);
  return out;
}

}  // namespace antiphon::weights
