// A sample as the model is trained on it: its tokens, which of them are supervised, and where media stand.
#pragma once
#include <string>
#include <vector>

#include <antiphon/data/prepare.h>
#include <antiphon/text/tokenizer/tokenizer.h>
#include <data/examine.h>

namespace antiphon::apps {

// What is printed of one sample; `names` and `facts` are those of its media, in the order of their places.
struct Shown {
  data::Prepared prepared;
  std::vector<std::string> names;
  std::vector<MediaFacts> facts;
};

// The text with its supervised spans in colour, or between « and ».
std::string shown_text(const Shown& sample, const text::Tokenizer& tokenizer, bool color);
// "41 tokens, 2 supervised (4.9 %)" and a line for each stream.
std::string shown_counts(const Shown& sample);
// A line for each medium that was changed at random: "augmented cat.png: flipped".
std::string shown_changes(const Shown& sample);
// Which token is read and which is predicted there: the first and last supervised positions, or all positions.
std::string shown_labels(const Shown& sample, const text::Tokenizer& tokenizer, bool all);

}  // namespace antiphon::apps
