// tokenizer_probe DIRECTORY [special|never]: reads one JSON string a line on stdin; writes one line for each,
// {"ids": […], "text": decoded with special tokens}, or {"error": "…"}.
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/tokenizer.h>

int main(int argc, char** argv) {
  using namespace antiphon;
  std::ios::sync_with_stdio(false);
  try {
    const auto tokenizer = text::Tokenizer::load(argc > 1 ? argv[1] : ".");
    const std::string mode = argc > 2 ? argv[2] : "";
    const text::EncodeOptions options{mode == "never" ? text::Control::never : text::Control::recognise,
                                      mode == "special"};
    for (std::string line; std::getline(std::cin, line);) {
      nlohmann::json out;
      try {
        const auto ids = tokenizer.encode(nlohmann::json::parse(line).get<std::string>(), options);
        out = {{"ids", ids}, {"text", tokenizer.decode(ids, false)}};
      } catch (const Error& error) {
        out = {{"error", error.what()}};
      }
      std::cout << out.dump() << '\n';
    }
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
}
