// The chat template in the metadata of a GGUF file.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::text {

// tokenizer.chat_template; "" if there is none. Config error for a damaged file.
std::string gguf_chat_template(const std::filesystem::path& path);

}  // namespace antiphon::text
