// The layout of conversations that belongs to a tekken.json, whose directories need not have a chat template. Source:
// mistralai/mistral-common, src/mistral_common/tokens/tokenizers/instruct.py.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::text {

// The Jinja template for the version that the file names, v3, v7, v11 or v13:
// [SYSTEM_PROMPT]…[/SYSTEM_PROMPT][INST]…[/INST] answer</s>, a picture is [IMG], a sound [BEGIN_AUDIO][AUDIO]. Tools
// stand before the last question, in v13 before the first; v3 has the system turn at the last question, and neither
// sounds nor tools. Its variables are Voxtral's: with `transcribe`, a question is one sound and no text, and
// lang:LANGUAGE, if `language` is given, and [TRANSCRIBE] stand behind it. Config error for other versions.
std::string tekken_chat_template(const std::filesystem::path& file);

}  // namespace antiphon::text
