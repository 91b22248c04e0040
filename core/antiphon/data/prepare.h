// From a sample to what the model reads: prompt, placeholders counted, labels, processed media.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <antiphon/component/sample.h>
#include <antiphon/data/attributes.h>
#include <antiphon/data/augment/augmenter.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/data/filter.h>
#include <antiphon/data/video.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/text/prompt.h>

namespace antiphon::data {

// One sample, ready to be packed. Positions of media are relative to its first token.
struct Prepared {
  std::string id;
  std::vector<int64_t> ids;      // 0 where embeddings of media are
  std::vector<bool> supervised;  // the token at this position is to be predicted
  at::Tensor positions_at;  // [axes, tokens] int64 or float32, see give_positions(); undefined: 0, 1, … on one axis
  std::vector<model::BatchMedia> media;
  double value = std::numeric_limits<double>::quiet_NaN();  // see Candidate
  double weight = 1;                                        // see model::Sequence
  // Of an answer that the model wrote: the log-probability that each supervised token had then.
  std::vector<float> behaviour = {};
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t supervised_count() const;
  at::Tensor positions() const;
  double next_position() const;  // of what is written after it
};

// Answers that the model is to write to each prompt, and the tokens that each has at most.
struct AnswerRoom {
  int64_t answers = 1, tokens = 1;
};

// The candidates of one sample, or the one sample that has none: what an objective looks at together.
struct PreparedGroup {
  std::vector<Prepared> sequences;
  // If its answers are still to be written: their record, and the one sequence is the prompt.
  std::shared_ptr<const Sample> record = {};
  AnswerRoom room = {};
  int64_t tokens() const;  // with all answers at their longest, each after a prompt of its own
  // What filters judge it by; media that several sequences share count once.
  Measures measures() const;
};

enum class Purpose { training, generation };

// The seed by which a sample's media are changed (augment_seed()); nothing: they stay as they are.
using AugmentSeed = std::optional<uint64_t>;

// Called with each media item that was decoded, not with those whose features come from the cache.
using OnDecoded = std::function<void(const MediaRef&, const MediaItem&)>;

class Preparer {
 public:
  // All must outlive this object. `max_tokens`: longer samples are an Error(data), never truncated. `augmenter`: what
  // changes media if a seed is given; `attributes`: what tells labels of answers.
  Preparer(const model::MultimodalLm& model, const text::PromptBuilder& prompts, const FeatureCache& cache,
           const media::MediaLimits& limits, int64_t max_tokens, const VideoSampling& video = {},
           const media::ImageReading& image = {}, const SoundReading& sound = {}, const Augmenter* augmenter = nullptr,
           const Attributes* attributes = nullptr);

  // Called from many threads. Error(data) for whatever is wrong with the sample, and if it takes longer than
  // kSampleTime (base/sample_time.h), all of its candidates together. For training, the sample needs a supervised
  // token; for generation, the last assistant turn is left out and the prompt for it is opened.
  Prepared prepare(const Sample& sample, Purpose purpose, const OnDecoded& decoded = {}, AugmentSeed seed = {}) const;
  // For training: prepares the samples of sequences_of(). Media that several share, videos too, are read and processed
  // once. The limit of tokens is that of each sequence.
  PreparedGroup prepare_group(const Sample& sample, AugmentSeed seed = {}) const;
  // The same without the limit of tokens, for who looks at the sample first, and that limit alone.
  PreparedGroup prepare_any_length(const Sample& sample, AugmentSeed seed = {}) const;
  void check_length(const PreparedGroup& group) const;
  // The sample's prompt, for answers that the model is to write: that of Purpose::generation, with what asked() says or
  // else the label of the record's answer. The longest must be within the limit of tokens, too.
  PreparedGroup prepare_prompt(const Sample& sample, const AnswerRoom& room, AugmentSeed seed = {}) const;
  // As prepare(), with media that are already read: `media` gives those of `sample.media`, one by one; no videos.
  using Media = std::function<model::BatchMedia(size_t index)>;
  Prepared prepare_with(const Sample& sample, Purpose purpose, const Media& media) const;
  // One item, read and processed.
  model::BatchMedia read(const MediaRef& ref, const std::string& sample_id, const OnDecoded& decoded = {},
                         AugmentSeed seed = {}) const;
  // How media are changed in training; empty: not at all.
  std::string augments() const { return augmenter_ ? augmenter_->describe() : ""; }
  // What of its labels is told; empty: nothing.
  std::string attributes() const { return attributes_ ? attributes_->describe() : ""; }
  // The label that answers to be written are asked for; empty: none.
  std::string asked() const { return attributes_ ? attributes_->asked() : ""; }
  // Keys of the record that nothing reads: Sample::unread, and what the chat template gets of turns and does not
  // mention.
  std::set<std::string> unread(const Sample& sample) const;
  // The sample with its videos as frames and sound; `known` keeps those that other samples have, too.
  Sample expanded(const Sample& sample, Expansions* known = nullptr) const;

 private:
  MediaItem decode(const MediaRef& ref, std::string_view bytes, int64_t sample_rate) const;
  Prepared make(const Sample& sample, Purpose purpose, const Media& media) const;
  std::vector<SampleTurn> told(const Sample& sample, Purpose purpose) const;
  Media reader(const Sample& sample, const OnDecoded& decoded, AugmentSeed seed) const;
  void check_length(const Prepared& sequence, Purpose purpose) const;
  void change(const MediaItem& item, const MediaRef& ref, const model::Stream& stream, uint64_t seed,
              model::BatchMedia& media) const;
  const model::MultimodalLm& model_;
  const text::PromptBuilder& prompts_;
  const FeatureCache& cache_;
  media::MediaLimits limits_;
  int64_t max_tokens_;
  VideoSampling video_;
  media::ImageReading image_;
  std::optional<int64_t> channel_;  // of sounds whose record names none; nothing: the mean of all
  const Augmenter* augmenter_;
  const Attributes* attributes_;
};

// Reserves the places of a model's virtual tokens (MultimodalLm::prompt_tokens()) before the sample; 0: none.
void begin_with_prompt(Prepared& sample, int64_t tokens);
// Gives the sample the positions that its language model wants (LanguageModel::positions()), once it is complete.
void give_positions(Prepared& sample, const LanguageModel& llm);
// Error(data) unless the sample has as many answers as an objective compares; 1: the sample itself is learnt.
void check_answers(const Sample& sample, int64_t candidates);
// Error(data) if the sequences together, which stay in one batch, have more tokens than that.
void check_fits(const PreparedGroup& group, int64_t tokens_per_batch);

// The prompt with an answer that is to be learnt: tokens of text at its end. `llm` gives positions.
Prepared answered(const Prepared& prompt, const std::vector<int64_t>& answer, const LanguageModel& llm);
// A group whose answers are to be written, with answers as long as they can be, of token 0.
PreparedGroup longest_answers(const PreparedGroup& prompt, const LanguageModel& llm);

// What is trained of a sample: one conversation for each candidate, in which only the candidate's turns are supervised,
// or the sample itself.
std::vector<Sample> sequences_of(const Sample& sample);

// Packs prepared samples one after the other. Labels and supervised positions are shifted here, once. The token axis is
// padded to a multiple of `multiple`, by a sequence of its own that no sample sees: matrix products are compiled for
// each shape on the CPU, so few shapes are worth a few tokens. Without samples the batch is padding alone.
model::Batch pack(std::vector<PreparedGroup> groups, int64_t multiple = 1);
// Each sample is a group of its own.
model::Batch pack(std::vector<Prepared> samples, int64_t multiple = 1);

// The `multiple` that training and evaluation use.
inline constexpr int64_t kPackMultiple = 64;

}  // namespace antiphon::data
