// prompt_probe DIRECTORY: reads one conversation a line on stdin, {"messages": [{"role", "content",
// "reasoning_content"?, "name"?, "thinking"?}], "generation": bool, "variables"?: {…}}; writes {"text": rendered,
// "ids": […], "supervised": […]}, or {"error": "…"}. "now" (seconds) fixes the clock; "text_only" leaves the ids out,
// and takes content of any form.
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/prompt.h>

namespace {

using namespace antiphon;

nlohmann::json answer(const nlohmann::ordered_json& request, const text::ChatTemplate& plain,
                      const text::Tokenizer& tokenizer) {
  const auto chat = plain.with(request.value("variables", nlohmann::ordered_json::object()));
  const text::PromptBuilder prompts(tokenizer, chat);
  const bool generation = request.at("generation");
  const auto now = std::chrono::system_clock::from_time_t(request.value("now", 0));
  if (request.value("text_only", false)) return {{"text", chat.render(request.at("messages"), {generation, now})}};
  std::vector<text::Turn> turns;
  for (const auto& message : request.at("messages")) {
    auto& turn = turns.emplace_back(text::Turn{message.at("role").get<std::string>(),
                                               {{message.at("content").get<std::string>()}},
                                               message.value("reasoning_content", "")});
    auto more = nlohmann::ordered_json::object();
    for (const char* key : {"name", "thinking"})
      if (message.contains(key)) more[key] = message.at(key);
    if (!more.empty()) turn.more = more.dump();
  }
  const auto prompt = generation ? prompts.generation(turns, now) : prompts.training(turns, now);
  return {{"text", chat.render(request.at("messages"), {generation, now})},
          {"ids", prompt.ids},
          {"supervised", prompt.supervised}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string directory = argc > 1 ? argv[1] : ".";
    const auto tokenizer = text::Tokenizer::load(directory);
    const auto chat = text::ChatTemplate::load(directory, tokenizer.special_tokens());
    for (std::string line; std::getline(std::cin, line);) {
      try {
        std::cout << answer(nlohmann::ordered_json::parse(line), chat, tokenizer).dump() << '\n';
      } catch (const Error& error) {
        std::cout << nlohmann::json{{"error", error.what()}}.dump() << '\n';
      }
    }
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
}
