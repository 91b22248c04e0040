// What the architectures of GGUF files are in transformers. Used inside this area.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <antiphon/base/gguf.h>

namespace antiphon {
class JsonTable;
}

namespace antiphon::weights {

struct GgufModel;

// The parts of a layer: "attn_q" and "self_attn.q_proj".
using GgufNames = std::span<const std::pair<std::string_view, std::string_view>>;

struct GgufArchitecture {
  const char *name, *model_type, *class_name;
  bool interleaved = false;        // rows of q and k in pairs, as ggml turns them for this architecture
  bool adds_one_to_norms = false;  // norms hold 1 + the published weight
  bool long_rope = false;          // factors of rotary frequencies for short and for long texts
  GgufNames own_names = {};        // before those that all have
  // More keys of config.json, a window's among them, and the other way round all keys of rotary embeddings and windows;
  // nullptr: what most have.
  void (*add_keys)(const GgufFile& file, nlohmann::json& config) = nullptr;
  void (*put_keys)(GgufModel& out, const JsonTable& config, const JsonTable& rope) = nullptr;
};

// That of general.architecture. Error(weights) for others.
const GgufArchitecture& gguf_architecture(const GgufFile& file);
// That of config.json's model_type. Error(weights) for others.
const GgufArchitecture& gguf_architecture(const std::string& model_type);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight" and back; nullopt for other names.
std::optional<std::string> published_name(const GgufArchitecture& architecture, const std::string& gguf_name);
std::optional<std::string> gguf_name(const GgufArchitecture& architecture, const std::string& published);
// Whether it is a tensor that gguf_config() reads: factors of rotary frequencies.
bool is_setting(const GgufArchitecture& architecture, const std::string& gguf_name);

// Whether it is a weight or bias of "attn_q" or "attn_k".
bool is_query(const std::string& gguf_name);
bool is_key(const std::string& gguf_name);

// "llama.KEY" of the metadata.
const nlohmann::json* gguf_value(const GgufFile& file, const std::string& key);
// An integer in [least, 2^31), or the same one for each layer. Error(weights) if it is missing or is something else.
int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least);
int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least, int64_t otherwise);
double gguf_number(const GgufFile& file, const std::string& key, double otherwise);
// A tensor of one axis in F32; nullopt if there is none by that name. Error(weights) if it is something else.
std::optional<std::vector<float>> gguf_list(const GgufFile& file, const std::string& name);

}  // namespace antiphon::weights
