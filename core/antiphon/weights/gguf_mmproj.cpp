#include <antiphon/weights/gguf_mmproj.h>

#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/component/json_table.h>

namespace antiphon::weights {
namespace {

constexpr int64_t most_pixels = 1 << 16, most_wide = 1 << 20;
constexpr std::string_view tower_start = "vision_tower.", inner_start = "vision_model.",
                           projector_start = "multi_modal_projector.";

constexpr std::pair<std::string_view, std::string_view> tower_names[] = {
    {"embeddings.class_embedding", "v.class_embd"},
    {"embeddings.patch_embedding.weight", "v.patch_embd.weight"},
    {"embeddings.position_embedding.weight", "v.position_embd.weight"},
    {"pre_layrnorm.weight", "v.pre_ln.weight"},
    {"pre_layrnorm.bias", "v.pre_ln.bias"}};
constexpr std::pair<std::string_view, std::string_view> block_names[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"}, {"self_attn.out_proj", "attn_out"},
    {"layer_norm1", "ln1"},         {"layer_norm2", "ln2"},
    {"mlp.fc1", "ffn_up"},          {"mlp.fc2", "ffn_down"}};
constexpr std::pair<std::string_view, std::string_view> projector_names[] = {{"linear_1.weight", "mm.0.weight"},
                                                                             {"linear_1.bias", "mm.0.bias"},
                                                                             {"linear_2.weight", "mm.2.weight"},
                                                                             {"linear_2.bias", "mm.2.bias"}};

std::string found_in(std::span<const std::pair<std::string_view, std::string_view>> names, std::string_view name) {
  for (const auto& [published, gguf] : names)
    if (published == name) return std::string(gguf);
  return {};
}

// "" for a tensor that llama.cpp does not use, such as the norm after the last layer.
std::string tower_name(std::string_view name) {
  constexpr std::string_view layers = "encoder.layers.";
  if (!name.starts_with(layers)) return found_in(tower_names, name);
  name.remove_prefix(layers.size());
  const auto dot = name.find('.'), last = name.rfind('.');
  if (dot == std::string_view::npos || last <= dot) return {};
  const auto part = found_in(block_names, name.substr(dot + 1, last - dot - 1));
  return part.empty() ? "" : fmt::format("v.blk.{}.{}.{}", name.substr(0, dot), part, name.substr(last + 1));
}

// The tower's names begin with "vision_model." in files of transformers 4.
std::string mmproj_name(std::string_view name) {
  if (const auto at = name.find(tower_start); at != std::string_view::npos) {
    name.remove_prefix(at + tower_start.size());
    if (name.starts_with(inner_start)) name.remove_prefix(inner_start.size());
    return tower_name(name);
  }
  if (const auto at = name.find(projector_start); at != std::string_view::npos)
    return found_in(projector_names, name.substr(at + projector_start.size()));
  return {};
}

void refuse_others(const JsonTable& config, const JsonTable& vision) {
  if (config.text("model_type", "") != "llava") config.refuse("model_type", "'llava', which has an mmproj file here");
  if (vision.text("model_type", "") != "clip_vision_model") vision.refuse("model_type", "'clip_vision_model'");
  if (config.integer("vision_feature_layer", -2, -1000, 1000) != -2) config.refuse("vision_feature_layer", "-2");
  if (config.text("vision_feature_select_strategy", "default") != "default")
    config.refuse("vision_feature_select_strategy", "'default'");
  if (const auto act = vision.text("hidden_act", "quick_gelu"); act != "gelu" && act != "quick_gelu")
    vision.refuse("hidden_act", "'gelu' or 'quick_gelu'");
  if (config.text("projector_hidden_act", "gelu") != "gelu") config.refuse("projector_hidden_act", "'gelu'");
}

std::vector<float> three_of(const JsonTable& preprocessor, const char* key) {
  const auto* list = preprocessor.find(key);
  if (!list || !list->is_array() || list->size() != 3) preprocessor.refuse(key, "three numbers");
  return list->get<std::vector<float>>();
}

GgufMetadata mmproj_metadata(const JsonTable& config, const JsonTable& vision, const JsonTable& preprocessor) {
  GgufMetadata out;
  out.put("general.architecture", std::string_view("clip"));
  out.put("general.type", std::string_view("mmproj"));
  out.put("clip.has_vision_encoder", true);
  out.put("clip.projector_type", std::string_view("mlp"));
  out.put("clip.use_gelu", vision.text("hidden_act", "quick_gelu") == "gelu");
  const auto put = [&](const char* key, const char* source, int64_t otherwise, int64_t most) {
    out.put(fmt::format("clip.vision.{}", key), static_cast<uint32_t>(vision.integer(source, otherwise, 1, most)));
  };
  put("image_size", "image_size", 224, most_pixels);
  put("patch_size", "patch_size", 32, most_pixels);
  put("embedding_length", "hidden_size", 768, most_wide);
  put("feed_forward_length", "intermediate_size", 3072, most_wide);
  put("block_count", "num_hidden_layers", 12, most_wide);
  put("attention.head_count", "num_attention_heads", 12, most_wide);
  out.put("clip.vision.projection_dim",
          static_cast<uint32_t>(config.table("text_config").integer("hidden_size", 4096, 1, most_wide)));
  out.put("clip.vision.attention.layer_norm_epsilon", static_cast<float>(vision.number("layer_norm_eps", 1e-5, 0, 1)));
  out.put("clip.vision.image_mean", three_of(preprocessor, "image_mean"));
  out.put("clip.vision.image_std", three_of(preprocessor, "image_std"));
  return out;
}

}  // namespace

GgufMmproj gguf_mmproj(const nlohmann::json& json, const nlohmann::json& processing, const LazyTensors& tensors,
                       GgmlType type) {
  const JsonTable config(json), preprocessor(processing, "preprocessor_config.json");
  const auto vision = config.table("vision_config");
  refuse_others(config, vision);
  GgufMmproj out{mmproj_metadata(config, vision, preprocessor), {}};
  for (const auto& tensor : tensors) {
    auto named = tensor;
    named.name = mmproj_name(tensor.name);
    if (named.name.empty()) continue;
    const bool matrix = named.sizes.size() == 2 && named.name != "v.position_embd.weight";
    out.tensors.push_back({matrix && type != GgmlType::F32 ? GgmlType::F16 : GgmlType::F32, std::move(named)});
  }
  const auto layers = vision.integer("num_hidden_layers", 12, 1, most_wide);
  const auto wanted = static_cast<size_t>(9 + 16 * layers);
  if (out.tensors.size() != wanted)
    fail(ErrorKind::weights,
         fmt::format("of the {} tensors of a CLIP tower and a projector {} are there", wanted, out.tensors.size()),
         "export a Hugging Face directory: leave --format out");
  return out;
}

}  // namespace antiphon::weights
