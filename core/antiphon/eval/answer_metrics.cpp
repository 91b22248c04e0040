#include <antiphon/eval/answer_metrics.h>

#include <antiphon/base/error.h>
#include <antiphon/eval/bleu.h>
#include <antiphon/eval/chrf.h>
#include <antiphon/eval/normalizer.h>
#include <antiphon/eval/rouge.h>
#include <antiphon/text/answer_scores.h>

#include <algorithm>

namespace antiphon::eval {
namespace {

double ratio(std::span<const double> sum) { return sum[1] > 0 ? sum[0] / sum[1] : 0; }
double corpus_chrf(std::span<const double> sum) { return chrf(sum); }

AnswerMetric mean_of(std::string name, std::function<double(const AnswerPair&)> value, const char* format = "{:.2f}") {
  return {std::move(name), true,
          [value](const AnswerPair& a) {
            return std::vector<double>{value(a), 1};
          },
          ratio, format};
}

AnswerMetric errors_of(std::string name, text::EditCounts (*count)(std::string_view, std::string_view)) {
  return {std::move(name), false,
          [count](const AnswerPair& a) {
            const auto counts = count(a.plain_predicted, a.plain_expected);
            return std::vector<double>{static_cast<double>(counts.errors), static_cast<double>(counts.reference)};
          },
          ratio, "{:.2f}"};
}

std::vector<AnswerMetric> all_metrics(const std::string& tokenizer) {
  return {
      mean_of("accuracy", [](const AnswerPair& a) { return a.plain_predicted == a.plain_expected ? 1.0 : 0.0; }),
      mean_of("f1", [](const AnswerPair& a) { return text::token_f1(a.plain_predicted, a.plain_expected); }),
      mean_of(
          "chrf", [](const AnswerPair& a) { return chrf(a.predicted, a.expected); }, "{:.1f}"),
      errors_of("wer", text::word_errors),
      errors_of("cer", text::character_errors),
      {"bleu", false, [tokenizer](const AnswerPair& a) { return bleu_counts(a.predicted, a.expected, tokenizer); },
       bleu, "{:.1f}"},
      {"corpus_chrf", false, [](const AnswerPair& a) { return chrf_counts(a.predicted, a.expected, false); },
       corpus_chrf, "{:.1f}"},
      {"corpus_chrf++", false, [](const AnswerPair& a) { return chrf_counts(a.predicted, a.expected, true); },
       corpus_chrf, "{:.1f}"},
      mean_of("rouge1", [](const AnswerPair& a) { return rouge_n(a.predicted, a.expected, 1); }),
      mean_of("rouge2", [](const AnswerPair& a) { return rouge_n(a.predicted, a.expected, 2); }),
      mean_of("rougeL", [](const AnswerPair& a) { return rouge_l(a.predicted, a.expected); }),
      mean_of("rougeLsum", [](const AnswerPair& a) { return rouge_l_sum(a.predicted, a.expected); }),
  };
}

}  // namespace

std::vector<AnswerMetric> answer_metrics(const EvalOptions& options) {
  std::vector<AnswerMetric> chosen;
  for (const auto& metric : all_metrics(options.bleu_tokenizer))
    if (std::ranges::find(options.metrics, metric.name) != options.metrics.end()) chosen.push_back(metric);
  return chosen;
}

AnswerPair pair_of(std::string predicted, std::string expected, const EvalOptions& options,
                   const text::Spellings& spellings) {
  AnswerPair pair{std::move(predicted), std::move(expected), "", ""};
  pair.plain_predicted = normalize_answer(pair.predicted, options.normalizer, spellings);
  pair.plain_expected = normalize_answer(pair.expected, options.normalizer, spellings);
  return pair;
}

}  // namespace antiphon::eval
