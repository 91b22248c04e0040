// One sample, looked at as training would: parsed, its media decoded, its tokens counted.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <antiphon/data/prepare.h>
#include <antiphon/data/record_set.h>

namespace antiphon::apps {

struct MediaFacts {
  std::string stream;   // which stream takes it; without a model: its modality
  std::string content;  // hash of the file's bytes
  Modality modality = Modality::image;
  int64_t tokens = 0;
  int64_t width = 0, height = 0;  // of an image, or of a video
  double seconds = 0;             // of a recording, or of a video
};

struct Examined {
  std::string id;
  int64_t line = 0;
  std::string reason;              // why it is bad; empty: it is good
  std::string kind;                // the reason without what differs from sample to sample
  std::optional<size_t> left_out;  // which limit of data.filter leaves it out
  int64_t tokens = 0, supervised = 0;
  std::vector<MediaFacts> media;
  std::set<std::string> unread;  // keys that nothing reads
};

// How samples are looked at.
struct Examiner {
  const data::Preparer* preparer = nullptr;      // nullptr: parsing and media alone
  int64_t max_tokens = 0;                        // longer sequences are bad
  int64_t tokens_per_batch = 0;                  // longer samples are bad, too, as in training; 0: not for training
  int64_t candidates = 1;                        // answers that the objective compares
  data::FilterOptions filter = {};               // of training
  std::optional<data::AnswerRoom> written = {};  // the model writes the answers: prompts are looked at
  // How record `index` of training data is read in the first epoch (MediaFolder::draw); unset: held-out data.
  std::function<uint64_t(int64_t index)> draw = {};
  // Thread-safe. What is wrong with the sample is reported in the result; errors of other kinds than data are thrown.
  Examined operator()(const data::RecordSet& records, int64_t index) const;
};

// What a decoded item is, without its tokens.
MediaFacts facts_of(const MediaRef& ref, const MediaItem& item);

}  // namespace antiphon::apps
