// Chat templates (Jinja) of Hugging Face directories, rendered as by transformers' apply_chat_template: in Jinja's
// immutable sandbox with trim_blocks, lstrip_blocks, loop controls, generation blocks, raise_exception, strftime_now
// and a tojson without HTML escapes. A template is untrusted: its steps, the bytes of all values that it makes, its
// depth, its output and its time are bounded (jinja/heap.h); the limits grow with the conversation.
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
  // of tokenizer_config.json (a string, or a list of {name, template}: "default"), else as belongs to tekken.json.
  // `special_tokens` as Tokenizer::special_tokens gives them. Config error if there is none, or if it is malformed or
  // larger than 256 KiB; data error if a conversation of one word exceeds a limit.
  static ChatTemplate load(const std::filesystem::path& path, const std::map<std::string, std::string>& special_tokens);
  // `name` is used in messages.
  static ChatTemplate from_source(std::string_view source, const std::map<std::string, std::string>& special_tokens,
                                  std::string name = "the chat template");

  // The same with the template's own variables ("enable_thinking"), which apply_chat_template takes as keyword
  // arguments: an object. Config error for anything else, for names that the conversation itself defines, and for a
  // name that the template does not mention, which would have no effect.
  ChatTemplate with(const nlohmann::ordered_json& variables) const;

  struct Options {
    bool add_generation_prompt = false;
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now();  // for strftime_now, in local time
    const nlohmann::ordered_json* tools = nullptr;  // a list that the template gets as `tools`; nullptr: none
  };
  // `messages`: a list of {"role": …, "content": …, "reasoning_content"?: …, "tool_calls"?: …}, UTF-8. Data error if
  // the template raises one (with its own message), fails, or exceeds a limit; or if the time of the sample is over
  // (SampleTime).
  std::string render(const nlohmann::ordered_json& messages, const Options& options) const;

  // Whether content must be a list of {"type": "text", "text": …}: a plain string would be lost.
  bool wants_lists() const;
  bool mentions(std::string_view name) const;
  // Whether the source reads this key of messages (message_keys.h).
  bool reads_of_messages(std::string_view key) const;
  const std::string& source() const;
  const std::string& name() const;

 private:
  struct State;
  explicit ChatTemplate(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
  std::shared_ptr<const nlohmann::ordered_json> variables_;
};

}  // namespace antiphon::text
