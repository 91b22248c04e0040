// Reads one JSON list [predicted, expected] a line; writes one object of scores a line. For metrics_parity.py.
#include <iostream>

#include <nlohmann/json.hpp>

#include <antiphon/infer/metrics.h>

int main() {
  using namespace antiphon::infer;
  for (std::string line; std::getline(std::cin, line);) {
    const auto pair = nlohmann::json::parse(line);
    const std::string predicted = pair[0], expected = pair[1];
    const auto words = word_errors(predicted, expected), characters = character_errors(predicted, expected);
    const nlohmann::json scores{{"words", {words.errors, words.reference}},
                                {"characters", {characters.errors, characters.reference}},
                                {"chrf", chrf(predicted, expected)},
                                {"normalized", {normalize_answer(predicted), normalize_answer(expected)}}};
    std::cout << scores.dump() << "\n";
  }
}
