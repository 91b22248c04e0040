// template_probe: reads one request a line on stdin, {"template", "messages", "tokens": {name: text}, "generation":
// bool, "now": seconds}; writes {"text": …}, or {"error": "…", "kind": exit code}. template_probe --time N: the mean
// time of N renderings in microseconds instead, {"us": …}.
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/template/chat_template.h>

namespace {

using namespace antiphon;

nlohmann::json answer(const nlohmann::ordered_json& request, int repeats) {
  const auto chat = text::ChatTemplate::from_source(request.at("template").get<std::string>(),
                                                    request.value("tokens", std::map<std::string, std::string>{}));
  const text::ChatTemplate::Options options{request.value("generation", false),
                                            std::chrono::system_clock::from_time_t(request.value("now", 0))};
  const auto& messages = request.at("messages");
  if (repeats == 0) return {{"text", chat.render(messages, options)}};
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) chat.render(messages, options);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  return {{"us", took.count() / repeats}};
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 2 ? std::stoi(argv[2]) : 0;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << answer(nlohmann::ordered_json::parse(line), repeats).dump() << '\n';
    } catch (const Error& error) {
      std::cout << nlohmann::json{{"error", error.what()}, {"kind", static_cast<int>(error.kind())}}.dump() << '\n';
    }
  }
}
