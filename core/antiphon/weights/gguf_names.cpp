#include <antiphon/weights/gguf_names.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/weights/ggml_blocks.h>
#include <antiphon/weights/gguf_families.h>

namespace antiphon::weights {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;
constexpr Pair gemma_names[] = {{"post_attention_norm", "post_attention_layernorm"},
                                {"ffn_norm", "pre_feedforward_layernorm"},
                                {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr Pair phi3_names[] = {{"attn_qkv", "self_attn.qkv_proj"}, {"ffn_up", "mlp.gate_up_proj"}};
constexpr GgufArchitecture architectures[] = {
    {.name = "llama", .model_type = "llama", .class_name = "LlamaForCausalLM", .interleaved = true},
    {.name = "qwen2", .model_type = "qwen2", .class_name = "Qwen2ForCausalLM"},
    {.name = "qwen3", .model_type = "qwen3", .class_name = "Qwen3ForCausalLM"},
    {.name = "phi3",
     .model_type = "phi3",
     .class_name = "Phi3ForCausalLM",
     .long_rope = true,
     .own_names = phi3_names,
     .add_keys = add_phi3,
     .put_keys = put_phi3},
    {.name = "gemma2",
     .model_type = "gemma2",
     .class_name = "Gemma2ForCausalLM",
     .adds_one_to_norms = true,
     .own_names = gemma_names,
     .add_keys = add_gemma,
     .put_keys = put_gemma},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .class_name = "Gemma3ForCausalLM",
     .adds_one_to_norms = true,
     .own_names = gemma_names,
     .add_keys = add_gemma,
     .put_keys = put_gemma}};

// Of a layer, then of the model.
constexpr Pair layer_names[] = {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
                                {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
                                {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
                                {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
                                {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                                {"ffn_down", "mlp.down_proj"}};
constexpr Pair model_names[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                {"output_norm.weight", "model.norm.weight"},
                                {"output.weight", "lm_head.weight"}};

constexpr std::string_view layer_start = "blk.", published_start = "model.layers.";

bool is_layer(std::string_view digits) {
  return !digits.empty() && digits.size() < 7 &&
         std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

// START N.PART.KIND -> OTHER_START N.OTHER_PART.KIND
template <class Part>
std::optional<std::string> renamed(std::string_view name, std::string_view start, std::string_view other_start,
                                   const Part& part_of) {
  if (!name.starts_with(start)) return std::nullopt;
  name.remove_prefix(start.size());
  const auto dot = name.find('.'), last = name.rfind('.');
  if (dot == std::string_view::npos || last == dot || !is_layer(name.substr(0, dot))) return std::nullopt;
  const auto kind = name.substr(last + 1);
  const auto part = part_of(name.substr(dot + 1, last - dot - 1));
  if (part.empty() || (kind != "weight" && kind != "bias")) return std::nullopt;
  return fmt::format("{}{}.{}.{}", other_start, name.substr(0, dot), part, kind);
}

std::string_view part_after(const std::string& name) {
  const auto dot = name.find('.', layer_start.size());
  const auto last = name.rfind('.');
  return name.starts_with(layer_start) && dot != std::string::npos && last > dot
             ? std::string_view(name).substr(dot + 1, last - dot - 1)
             : std::string_view();
}

// The other one of a pair, by its `from`.
std::string_view other_name(GgufNames names, std::string_view name, std::string_view Pair::*from,
                            std::string_view Pair::*to) {
  const auto found = std::ranges::find(names, name, from);
  return found == names.end() ? std::string_view() : (*found).*to;
}

std::string_view other_name(const GgufArchitecture& architecture, std::string_view name, std::string_view Pair::*from,
                            std::string_view Pair::*to) {
  const auto own = other_name(architecture.own_names, name, from, to);
  return own.empty() ? other_name(layer_names, name, from, to) : own;
}

// "llama, qwen2 or qwen3"
std::string known() {
  std::vector<std::string> names;
  for (const auto& one : architectures) names.emplace_back(one.name);
  const auto last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

[[noreturn]] void refuse_value(const GgufFile& file, const std::string& key, const std::string& expected) {
  const auto* value = gguf_value(file, key);
  fail(ErrorKind::weights,
       fmt::format("{}: {}.{} is {}, expected {}", file.path().string(), gguf_architecture(file).name, key,
                   value ? value->dump().substr(0, 60) : "missing", expected),
       "take a file that llama.cpp's convert_hf_to_gguf.py made");
}

}  // namespace

const GgufArchitecture& gguf_architecture(const GgufFile& file) {
  const auto found = file.metadata().find("general.architecture");
  const auto name = found != file.metadata().end() && found->is_string() ? found->get<std::string>() : "";
  for (const auto& architecture : architectures)
    if (architecture.name == name) return architecture;
  fail(ErrorKind::weights,
       fmt::format("{}: general.architecture is '{}', expected {}", file.path().string(), name, known()),
       "take the model's Hugging Face directory");
}

const GgufArchitecture& gguf_architecture(const std::string& model_type) {
  for (const auto& architecture : architectures)
    if (architecture.model_type == model_type) return architecture;
  fail(ErrorKind::weights,
       fmt::format("a model of the type '{}' has no GGUF form here, expected {}", model_type, known()),
       "export a Hugging Face directory: leave --format out");
}

std::optional<std::string> published_name(const GgufArchitecture& architecture, const std::string& name) {
  for (const auto& [gguf, published] : model_names)
    if (gguf == name) return std::string(published);
  return renamed(name, layer_start, published_start,
                 [&](std::string_view part) { return other_name(architecture, part, &Pair::first, &Pair::second); });
}

bool is_setting(const GgufArchitecture& architecture, const std::string& name) {
  return name == "rope_freqs.weight" || (architecture.long_rope && (name == kShortFactors || name == kLongFactors));
}

std::optional<std::string> gguf_name(const GgufArchitecture& architecture, const std::string& name) {
  for (const auto& [gguf, published] : model_names)
    if (published == name) return std::string(gguf);
  return renamed(name, published_start, layer_start,
                 [&](std::string_view part) { return other_name(architecture, part, &Pair::second, &Pair::first); });
}

bool is_query(const std::string& name) { return part_after(name) == "attn_q"; }
bool is_key(const std::string& name) { return part_after(name) == "attn_k"; }

const nlohmann::json* gguf_value(const GgufFile& file, const std::string& key) {
  const auto found = file.metadata().find(fmt::format("{}.{}", gguf_architecture(file).name, key));
  return found == file.metadata().end() ? nullptr : &*found;
}

int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least) {
  const auto* value = gguf_value(file, key);
  if (value && value->is_array() && !value->empty() &&
      std::all_of(value->begin(), value->end(), [&](const auto& one) { return one == value->front(); }))
    value = &value->front();
  if (!value || !value->is_number_integer() || *value < least || *value >= int64_t{1} << 31)
    refuse_value(file, key, fmt::format("an integer from {} on, the same for each layer", least));
  return value->get<int64_t>();
}

int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least, int64_t otherwise) {
  return gguf_value(file, key) ? gguf_integer(file, key, least) : otherwise;
}

// A float32 of the file as the shortest decimal that is the same float32: 1e-05, not 9.999999747378752e-06.
double gguf_number(const GgufFile& file, const std::string& key, double otherwise) {
  const auto* value = gguf_value(file, key);
  if (!value) return otherwise;
  if (!value->is_number()) refuse_value(file, key, "a number");
  const auto exact = value->get<double>();
  const auto single = static_cast<float>(exact);
  if (static_cast<double>(single) != exact) return exact;
  const auto text = fmt::format("{}", single);
  double shortest = exact;
  std::from_chars(text.data(), text.data() + text.size(), shortest);
  return shortest;
}

std::optional<std::vector<float>> gguf_list(const GgufFile& file, const std::string& name) {
  const auto tensor = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  if (tensor == file.tensors().end()) return std::nullopt;
  if (tensor->type != GgmlType::F32 || tensor->shape.size() != 1)
    fail(ErrorKind::weights, fmt::format("{}: {} is not a list in F32", file.path().string(), name),
         "take the model's Hugging Face directory");
  std::vector<float> values(tensor->shape[0]);
  read_blocks(tensor->type, tensor->bytes, values);
  return values;
}

}  // namespace antiphon::weights
