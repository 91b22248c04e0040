// Chat templates (Jinja) of Hugging Face directories, run by minja (github.com/google/minja) with the settings of
// transformers' apply_chat_template: trim_blocks, lstrip_blocks, raise_exception, strftime_now, generation blocks,
// tojson without escapes for HTML. A template is untrusted: its size, look-ups, nesting and output are limited; what is
// not limited is the memory of strings that it builds, and loops over its own literals that look nothing up.
#pragma once
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

// Immutable, cheap to copy, all methods safe for many threads.
class ChatTemplate {
 public:
  // From a Jinja file; or, in a directory, from chat_template.jinja, else from chat_template of chat_template.json or
  // of tokenizer_config.json (a string, or a list of {name, template}, of which "default" is taken). `special_tokens`
  // as Tokenizer::special_tokens gives them. Config error where there is none, where it is malformed, or larger than
  // 256 KiB.
  static ChatTemplate load(const std::filesystem::path& path, const std::map<std::string, std::string>& special_tokens);
  static ChatTemplate from_source(std::string_view source, const std::map<std::string, std::string>& special_tokens);

  struct Options {
    bool add_generation_prompt = false;
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now();  // of strftime_now, in local time
  };
  // `messages`: a list of {"role": …, "content": …}, UTF-8. Data error, with the template's own words where it
  // raises one, where it fails, and where the output passes 1 MiB plus twice the size of the messages.
  std::string render(const nlohmann::ordered_json& messages, const Options& options) const;

  // Whether content must be a list of {"type": "text", "text": …}: a plain string would be lost.
  bool wants_lists() const;
  const std::string& source() const;

 private:
  struct State;
  explicit ChatTemplate(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace antiphon::text
