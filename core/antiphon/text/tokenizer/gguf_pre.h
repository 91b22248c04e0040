// How words are cut, by the name that GGUF files give it in tokenizer.ggml.pre.
// Names: ggml-org/llama.cpp, src/llama-vocab.cpp; patterns: the tokenizer.json of the models they are named after.
#pragma once
#include <string>
#include <vector>

namespace antiphon::text {

struct GgufPre {
  std::vector<std::string> patterns;  // each cuts what the former left
  bool then_gpt2 = false;             // GPT-2's pattern after them
  bool nfc = false, ignore_merges = false;
  bool operator==(const GgufPre&) const = default;
};

// Config error, naming `where`, for names that are not known.
const GgufPre& gguf_pre(const std::string& name, const std::string& where);

// The name of these steps; "" if they have none. NFC alone makes no other name.
std::string gguf_pre_name(const GgufPre& steps);

}  // namespace antiphon::text
