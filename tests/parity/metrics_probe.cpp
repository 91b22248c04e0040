// Reads one JSON list [predicted, expected, normalizer] a line; writes one object of scores a line. For
// metrics_parity.py.
#include <iostream>

#include <nlohmann/json.hpp>

#include <antiphon/eval/metrics.h>

int main() {
  using namespace antiphon::eval;
  for (std::string line; std::getline(std::cin, line);) {
    const auto pair = nlohmann::json::parse(line);
    const std::string predicted = pair[0], expected = pair[1], normalizer = pair[2];
    const auto p = normalize_answer(predicted, normalizer), e = normalize_answer(expected, normalizer);
    const auto words = word_errors(p, e), characters = character_errors(p, e);
    const nlohmann::json scores{{"words", {words.errors, words.reference}},
                                {"characters", {characters.errors, characters.reference}},
                                {"chrf", chrf(predicted, expected)},
                                {"normalized", {p, e}}};
    std::cout << scores.dump() << "\n";
  }
}
