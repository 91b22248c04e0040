// A configuration as a model with its tokenizer, ready on a device.
#pragma once
#include <memory>

#include <antiphon/run/open_options.h>
#include <antiphon/run/run_config.h>

#include <antiphon/checkpoint/reference.h>
#include <antiphon/data/prepare.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::run {

// Reads the configuration, builds the model, loads its weights. Members are in the order of dependence.
struct LoadedModel {
  // `by`: the processes that compute each batch together; nullptr: this one does. What methods of fine-tuning start
  // with (model::start_methods()) is up to load_for_inference(), or to whoever trains.
  explicit LoadedModel(const OpenOptions& flags, const SharedBy* by = nullptr);
  RunConfig config;
  at::Device device;
  std::unique_ptr<model::Model> model;
  text::PromptBuilder prompts;
  data::FeatureCache cache;
  data::Augmenter augmenter;
  data::Attributes attributes;
  data::Preparer preparer;

  model::MultimodalLm& lm() const { return model->lm(); }
  // The same, to write answers with. Error(config) if the graph gives scores instead.
  model::MultimodalLm& writer() const;
  const text::Tokenizer& tokenizer() const { return prompts.tokenizer(); }
  // The configuration with every option in force.
  std::string resolved() const;
  // What load_trained() and choose_adapters() do, plus what the model's generation_config.json says unless [generate]
  // says it, and what generate.weights asks for: no training after that.
  void load_for_inference(const OpenOptions& flags);
};

// What the run that load_trained() reads was trained against, if there is such a run. Error(weights) if it has none.
std::unique_ptr<checkpoint::Reference> open_reference(model::Model& model, const OpenOptions& flags);

// Puts the trained parameters of --checkpoint (one checkpoint, or the newest complete one of a run folder) into the
// model, else those of FILE if it is a run folder; with `ema` of a run that keeps and uses averages, these.
void load_trained(model::Model& model, const OpenOptions& flags, const train::EmaOptions& ema);

// What --adapter says without weights: names with commas between them, "none" or "all".
void choose_adapters(model::MultimodalLm& model, const std::string& words);
// What --adapter and --combine say, if anything: NAME or NAME=WEIGHT, see model/combine_adapters.h. Once for a model.
void choose_adapters(model::MultimodalLm& model, const OpenOptions& flags);

}  // namespace antiphon::run
