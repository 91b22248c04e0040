// What the tokens of a sample are, as a language model places them.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/part_step.h>

#include <vector>

namespace antiphon {

// The embeddings of one medium among them.
struct MediaSpan {
  int64_t begin = 0, tokens = 0;  // on the sample's token axis
  std::vector<TokenGrid> parts;   // what they show, one part after the other: a picture as one, or frames of a video
  PartStep part_step;             // how many positions lie between a part and the next; 0: it counts as text
  // Of a video with its sound among its embeddings, between two tokens of text that are the span's first and last: how
  // many embeddings of its parts and of the sound follow each other by turns, those of its parts first. Empty: no
  // sound.
  std::vector<int64_t> runs = {};

  // Whether the embeddings are those of the parts; connectors may join them otherwise, or put others between them.
  bool is_of_parts() const {
    int64_t sum = 0;
    for (const auto& part : parts) sum += part.count();
    return sum == tokens;
  }
};

struct SampleLayout {
  int64_t tokens = 0;
  std::vector<MediaSpan> media;  // in their order; all else is text
};

}  // namespace antiphon
