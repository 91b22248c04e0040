// What a model's directory says about decoding: generation_config.json, or config.json if there is none, as
// transformers reads them.
#pragma once
#include <filesystem>
#include <string>

#include <antiphon/engine/options.h>

namespace antiphon::engine {

// Each as "temperature = 0.6, top_p = 0.9"; empty if there is nothing of the kind.
struct GenerationConfig {
  std::string file;
  std::string taken;    // now in the options
  std::string absent;   // asks for what is not supported here
  std::string unknown;  // without effect, as in transformers
};

// Sets what `options` leave unset: what changes the likeliest token, the most and the least tokens, stop_strings,
// beams, and with do_sample = true the sampling, whose top_k is then 50 if the file names none, as in transformers'
// generate(). Beams that are sampled there are not taken. The stop ids are read with the tokenizer. Error(weights) for
// invalid values. No folder, or no such file: nothing.
GenerationConfig take_generation_config(const std::filesystem::path& folder, GenerateOptions& options);

// The same, and reports what was taken and what was not. Errors as in check_ids(): config for ids of the options,
// weights for ids of the file, which is named.
void read_generation_config(const std::filesystem::path& folder, int64_t vocab_size, GenerateOptions& options);

}  // namespace antiphon::engine
