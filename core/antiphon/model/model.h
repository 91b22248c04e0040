// A model as training, evaluation and checkpoints see it, whatever its graph ([model] graph).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/language_model.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/model/batch.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/model/number_formats.h>
#include <antiphon/model/part_kind.h>
#include <antiphon/nn/token_scores.h>

namespace antiphon::model {

class MultimodalLm;

// One component's parameters within the model.
struct Part {
  std::string path;  // "llm", "llm.peft.0", "streams.image.encoder", "streams.image.encoder.peft.0", "head", …
  std::string plugin;
  Module* module = nullptr;
  std::string weights, part;  // see ComponentSpec
  NameMap names;
  PartKind kind = PartKind::llm;
  PartKind owner = PartKind::llm;  // the part that a method changes; of others as `kind`
};

// What [model] freeze leaves as it is of a part that is trained.
struct FrozenOfPart {
  std::string path;
  int64_t frozen = 0, all = 0;  // parameters
  int64_t values = 0;           // of those frozen
  bool is_new = false;          // without weights to come from: checkpoints hold what is frozen of it, too
};

struct LoadSettings {
  at::Device device = at::kCPU;
  NumberFormats formats;
  uint64_t seed = 0;  // of parameters that no checkpoint gives
};

class Model {
 public:
  virtual ~Model() = default;
  // Loads or initialises all parameters; says "applied N/N" for each part. On the meta device they get the formats that
  // they would have, and no file is read.
  virtual void load(const LoadSettings& settings) = 0;
  virtual std::vector<Part> parts() = 0;
  // The streams and the language model in it.
  virtual MultimodalLm& lm() = 0;
  // Before load(): each batch is computed by processes together (LanguageModel::share). Error(config) if that cannot
  // be.
  virtual void share(const SharedBy& by);
  // The slot of its head; nullptr: it has none.
  virtual const ComponentSpec* head_spec() const { return nullptr; }
  // Numbers that it gives of a sequence; 0: it gives log-probabilities of tokens.
  virtual int64_t scores() const { return 0; }
  // Those numbers are two vectors, see ObjectiveNeeds::pairs.
  virtual bool pairs() const { return false; }
  // Of a model with pairs(): the second vectors of texts, tokens [text][token], for classes.
  virtual at::Tensor text_vectors(const std::vector<std::vector<int64_t>>& texts);
  // Tokens that a sequence may have, with the places of media.
  virtual int64_t longest_sequence();
  // Of a batch whose media are encoded: log-probabilities of the supervised tokens [n] in the order of labels_n, or if
  // scores() > 0 the numbers [sequences, scores()]. float32, with a gradient if one is wanted. In a stage of a pipeline
  // that is not the last: the scalar 0 that its backward pass begins with.
  virtual at::Tensor score(const Batch& batch, const nn::TokenScoreOptions& options) = 0;

  // The same through all chunks of this process's stage; undefined if another stage has the result.
  at::Tensor score_all_chunks(const Batch& batch, const nn::TokenScoreOptions& options);

  // All parameters that require a gradient, named "<part path>/<parameter>".
  std::vector<Parameter> trainable_parameters();
  // Set by build(), before processes share the model.
  std::vector<FrozenOfPart> frozen;
  // What a training checkpoint holds, named the same way: these parameters, the running statistics of trained parts,
  // and what is frozen of new ones.
  std::vector<Parameter> saved_parameters();
};

// Builds every part on the meta device: shapes and counts, no weights. Options in force are written back into `spec`.
// Throws one Error(config) with all problems.
std::unique_ptr<Model> build(ModelSpec& spec);

}  // namespace antiphon::model
