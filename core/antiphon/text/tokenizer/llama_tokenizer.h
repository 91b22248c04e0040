// How transformers reads the tokenizer.json of a Llama: its class LlamaTokenizer builds the steps itself.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

// transformers 5 takes only vocabulary, merges, added tokens and post-processor out of tokenizer.json if the
// tokenizer's class is LlamaTokenizer (tokenizer_config.json, else config.json, else the default of model_type "llama")
// and the file is not byte-level: no normalizer; Metaspace, which puts a space before each piece of text ("legacy":
// true), before the first one (else), or nowhere ("add_prefix_space": false). Models of types other than "llama" use
// the file as is, as transformers does for those whose class it knows to be wrong (mistral, llava, nemotron, …).
// Source: transformers 5.23, models/llama/tokenization_llama.py, models/auto/tokenization_auto.py. True if `tokenizer`
// was changed.
bool read_as_llama(nlohmann::json& tokenizer, const nlohmann::json& tokenizer_config,
                   const nlohmann::json& model_config);

// The class that the files name, without "Fast"; "" if they name none.
std::string tokenizer_class(const nlohmann::json& tokenizer_config, const nlohmann::json& model_config);

}  // namespace antiphon::text
