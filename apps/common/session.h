// What train, eval and generate have in common: a model with its tokenizer, ready on a device.
#pragma once
#include <memory>

#include <common/run_config.h>

#include <antiphon/component/loss.h>
#include <antiphon/data/prepare.h>
#include <antiphon/graph/multimodal_lm.h>

namespace antiphon::apps {

// Options that these subcommands share.
struct SessionFlags {
  std::string file;               // a TOML file or a run folder
  std::vector<std::string> sets;  // --set a.b=c
  std::string device = "cpu";     // cpu, cuda, cuda:N
  int threads = 0;                // 0: all cores
  std::string checkpoint;         // --checkpoint, of the subcommands that have it
};

// Reads the configuration, builds the model, loads its weights. Members are in the order of dependence.
struct Session {
  explicit Session(const SessionFlags& flags);
  RunConfig config;
  at::Device device;
  std::unique_ptr<graph::MultimodalLm> model;
  std::unique_ptr<Loss> loss;
  text::PromptBuilder prompts;
  data::FeatureCache cache;
  data::Preparer preparer;

  const text::Tokenizer& tokenizer() const { return prompts.tokenizer(); }
  // The configuration with every option in force.
  std::string resolved() const;
  // Trained parameters: those of --checkpoint (one checkpoint, or the newest complete one of a run folder), else those
  // of FILE where it is a run folder.
  void load_trained(const SessionFlags& flags);
  // The same, what the model's generation_config.json says where [generate] does not, and what generate.weights asks
  // for: no training after that.
  void load_for_inference(const SessionFlags& flags);
};

// Opens libtorch_cuda.so where a CUDA device is asked for; Error(config) where there is none.
at::Device open_device(const std::string& name);

}  // namespace antiphon::apps
