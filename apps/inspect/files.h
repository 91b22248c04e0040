// What a model's directory or GGUF file holds.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::apps {

// Whether `name` is such a place rather than the name of a plugin.
bool is_model_place(const std::string& name);
// Prints its model, tensors, tokenizer and chat template; what is missing, with the reason. Error if there is nothing.
int show_model_place(const std::filesystem::path& path, bool json);

}  // namespace antiphon::apps
