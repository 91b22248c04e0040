// Records of words, pictures and sounds that are noise.
#pragma once
#include <string>

#include <antiphon/component/data_source.h>

namespace antiphon::mock {

struct Sizes {
  int64_t samples = 1000, question_words = 16, answer_words = 64;
  int64_t pictures = 0, width = 336, height = 336;  // of each sample, in pixels
  double seconds = 0;                               // of its sound; 0: none
  int64_t seed = 0;
};

// A record follows from the seed, the sizes and its index alone. Its media come with it, in memory.
class MadeUp : public Records {
 public:
  // `fingerprint`: a hash of all that `sizes` says.
  MadeUp(const Sizes& sizes, std::string fingerprint) : sizes_(sizes), fingerprint_(std::move(fingerprint)) {}
  std::optional<int64_t> size() const override { return sizes_.samples; }
  int64_t number(int64_t index) const override { return index + 1; }
  DataRecord record(int64_t index) const override;
  std::string fingerprint() const override { return fingerprint_; }

 private:
  Sizes sizes_;
  std::string fingerprint_;
};

}  // namespace antiphon::mock
