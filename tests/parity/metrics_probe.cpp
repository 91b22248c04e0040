// Reads one JSON object a line: {pairs: [[predicted, expected], …], normalizer, tokenizer, spellings}. Writes one
// object of scores a line: of each pair, and of all together. Or {schemas: [[value, schema], …]}, and writes for each
// whether the value conforms. For metrics_parity.py.
#include <iostream>

#include <nlohmann/json.hpp>

#include <antiphon/eval/answer_metrics.h>
#include <antiphon/eval/json_schema.h>
#include <antiphon/eval/normalizer.h>
#include <antiphon/text/answer_scores.h>

using nlohmann::json;
using namespace antiphon;

namespace {

eval::EvalOptions options_of(const json& request) {
  eval::EvalOptions options;
  options.normalizer = request.at("normalizer"), options.bleu_tokenizer = request.value("tokenizer", "13a");
  options.metrics = {"accuracy",      "f1",     "chrf",   "wer",    "cer",      "bleu", "corpus_chrf",
                     "corpus_chrf++", "rouge1", "rouge2", "rougeL", "rougeLsum"};
  return options;
}

json scores_of(const json& request) {
  const auto options = options_of(request);
  const auto spellings = request.value("spellings", text::Spellings());
  json pairs = json::array(), whole = json::object();
  std::vector<eval::AnswerPair> answers;
  for (const auto& pair : request.at("pairs")) {
    answers.push_back(eval::pair_of(pair[0], pair[1], options, spellings));
    const auto& a = answers.back();
    const auto words = text::word_errors(a.plain_predicted, a.plain_expected),
               characters = text::character_errors(a.plain_predicted, a.plain_expected);
    pairs.push_back({{"words", {words.errors, words.reference}},
                     {"characters", {characters.errors, characters.reference}},
                     {"normalized", {a.plain_predicted, a.plain_expected}}});
  }
  for (const auto& metric : eval::answer_metrics(options)) {
    std::vector<double> sum;
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto counts = metric.counts(answers[i]);
      sum.resize(counts.size());
      for (size_t k = 0; k < counts.size(); ++k) sum[k] += counts[k];
      pairs[i][metric.name] = metric.score(counts);
    }
    whole[metric.name] = metric.score(sum);
  }
  return {{"pairs", pairs}, {"whole", whole}};
}

json conforming(const json& pairs) {
  json all = json::array();
  for (const auto& pair : pairs) all.push_back(eval::conforms(pair[0], pair[1]));
  return all;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = json::parse(line);
    const auto answer = request.contains("schemas") ? conforming(request["schemas"]) : scores_of(request);
    std::cout << answer.dump() << "\n";
  }
}
