// What the architectures of GGUF files are in transformers. Used inside this area.
#pragma once
#include <optional>
#include <string>

#include <antiphon/base/gguf.h>

namespace antiphon::weights {

struct GgufArchitecture {
  const char *name, *model_type, *class_name;
  bool interleaved;  // rows of q and k in pairs, as ggml turns them for this architecture
};

// That of general.architecture. Error(weights) for others.
const GgufArchitecture& gguf_architecture(const GgufFile& file);
// That of config.json's model_type. Error(weights) for others.
const GgufArchitecture& gguf_architecture(const std::string& model_type);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight" and back; nullopt for other names.
std::optional<std::string> published_name(const std::string& gguf_name);
std::optional<std::string> gguf_name(const std::string& published);

// Whether it is a weight or bias of "attn_q" or "attn_k".
bool is_query(const std::string& gguf_name);
bool is_key(const std::string& gguf_name);

// "llama.KEY" of the metadata.
const nlohmann::json* gguf_value(const GgufFile& file, const std::string& key);
// An integer in [least, 2^31), or the same one for each layer. Error(weights) if it is missing or is something else.
int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least);
int64_t gguf_integer(const GgufFile& file, const std::string& key, int64_t least, int64_t otherwise);
double gguf_number(const GgufFile& file, const std::string& key, double otherwise);

}  // namespace antiphon::weights
