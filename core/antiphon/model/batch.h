// Packed samples on their way to the model. A batch never travels backwards.
#pragma once
#include <limits>
#include <string>
#include <vector>

#include <antiphon/model/stream.h>

namespace antiphon::model {

// One media item of a batch and where its embeddings go.
struct BatchMedia {
  std::string stream;                           // which stream takes it
  std::string sample_id;                        // for messages
  std::string content;                          // hash of the file's bytes: the same content is the same item
  std::vector<std::string> part_contents = {};  // of each part, if parts have hashes of their own; else empty
  std::string cache_key;                        // names its features on disk; empty: not cached
  std::string augmented = {};                   // what was changed at random, for people; empty: nothing
  double seconds = 0;                           // of a sound as the data have it
  int64_t position = 0;                         // first of its `item.tokens` positions on the token axis
  StreamItem item;
  bool within = false;  // it stands among the embeddings of the medium before it, and has the same tokens
  // Places for the virtual tokens of a method of fine-tuning (Peft::prompt()) instead of a medium; of no stream.
  bool is_prompt() const { return stream.empty(); }
};

struct Sequence {
  std::string id;                                           // of its sample
  int64_t supervised = 0;                                   // of its tokens; they are adjacent in Batch::labels_n
  double value = std::numeric_limits<double>::quiet_NaN();  // score, label or reward of its answer; NaN: unknown
  double weight = 1;                                        // 0: its tokens do not count
};

// Samples one after the other on one token axis, without padding.
struct Batch {
  at::Tensor ids_t;                 // [tokens] int64; 0 where embeddings of media are
  at::Tensor positions_at;          // [axes, tokens] as LanguageModel::positions() has them of each sample
  std::vector<int64_t> lengths;     // tokens of each sample; padding, if any, comes last
  int64_t padding = 0;              // tokens at the end that belong to no sample
  std::vector<Sequence> sequences;  // one per sample, in the order of `lengths`
  std::vector<int64_t> groups;      // sequences of each group, in order: the answers to one prompt lie side by side
  at::Tensor supervised_n;          // [n] int64: positions whose next token is to be predicted
  at::Tensor labels_n;              // [n] int64: those next tokens
  at::Tensor behaviour_n;  // [n] float32: their log-probabilities when the model wrote them; undefined: it did not
  std::vector<BatchMedia> media;
  int64_t tokens() const { return ids_t.defined() ? ids_t.size(0) : 0; }
  int64_t supervised() const { return labels_n.defined() ? labels_n.size(0) : 0; }
};

}  // namespace antiphon::model
