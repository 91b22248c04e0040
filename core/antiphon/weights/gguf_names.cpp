#include <antiphon/weights/gguf_names.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace antiphon::weights {
namespace {

constexpr GgufArchitecture architectures[] = {{"llama", "llama", "LlamaForCausalLM", true},
                                              {"qwen2", "qwen2", "Qwen2ForCausalLM", false},
                                              {"qwen3", "qwen3", "Qwen3ForCausalLM", false}};

// Of a layer, then of the model.
constexpr std::pair<std::string_view, std::string_view> layer_names[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};
constexpr std::pair<std::string_view, std::string_view> model_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
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
       fmt::format("{}: general.architecture is '{}', expected llama, qwen2 or qwen3", file.path().string(), name),
       "take the model's Hugging Face directory");
}

const GgufArchitecture& gguf_architecture(const std::string& model_type) {
  for (const auto& architecture : architectures)
    if (architecture.model_type == model_type) return architecture;
  fail(ErrorKind::weights,
       fmt::format("a model of the type '{}' has no GGUF form here, expected llama, qwen2 or qwen3", model_type),
       "export a Hugging Face directory: leave --format out");
}

std::optional<std::string> published_name(const std::string& name) {
  for (const auto& [gguf, published] : model_names)
    if (gguf == name) return std::string(published);
  return renamed(name, layer_start, published_start, [](std::string_view part) {
    const auto* found = std::ranges::find(layer_names, part, &std::pair<std::string_view, std::string_view>::first);
    return found == std::end(layer_names) ? std::string_view() : found->second;
  });
}

std::optional<std::string> gguf_name(const std::string& name) {
  for (const auto& [gguf, published] : model_names)
    if (published == name) return std::string(gguf);
  return renamed(name, published_start, layer_start, [](std::string_view part) {
    const auto* found = std::ranges::find(layer_names, part, &std::pair<std::string_view, std::string_view>::second);
    return found == std::end(layer_names) ? std::string_view() : found->first;
  });
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

}  // namespace antiphon::weights
