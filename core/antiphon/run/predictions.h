// What a model says of each sample of an evaluation, a line of JSON each.
#pragma once
#include <ostream>
#include <string>

#include <antiphon/run/load_set.h>
#include <antiphon/run/scores.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::run {

// One line for each sample without a failure: {set, media, id, file, line, loss, expected, predicted, thought,
// logprobs, metrics, tags}, and with right media {question, media_files}, as far as there are such.
void write_predictions(std::ostream& out, const std::string& set, const std::vector<Sample>& samples,
                       const Condition& condition, const text::Tokenizer& tokenizer);
// One line for each sample that was left out: {set, skipped, id, file, line}.
void write_skipped(std::ostream& out, const std::string& set, const std::vector<data::BadSample>& bad);

}  // namespace antiphon::run
