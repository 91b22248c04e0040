// A small composition in option tables, for the tests of this area.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::config::example {

struct Peft {
  std::string plugin;
  int64_t rank = 8;
  std::vector<std::string> targets = {"q_proj"};
};
struct Slot {
  std::string plugin;
  bool trainable = true;
  Value options;
};
struct Eval {
  int64_t every = 100;
};
struct Model {
  std::string graph = "multimodal_lm";
  int64_t hidden_size = 768, layers = 12;
  double dropout = 0.1, lr = 2e-4;
  std::optional<int64_t> seed;
  std::optional<std::string> weights;
  std::vector<int64_t> sizes;
  std::vector<double> betas = {0.9, 0.999};
  std::vector<bool> flags;
  Value extra;
  std::vector<Peft> peft;
  std::map<std::string, Slot> streams;
  std::optional<Eval> eval;
};
struct Run {
  Model model;
  std::string name;
};

inline const Table<Peft>& peft_table() {
  static const auto t = Table<Peft>("peft")
                            .field("plugin", &Peft::plugin, "which method", {.required = true})
                            .field("rank", &Peft::rank, "rank of the update", {.min = 1, .max = 4096})
                            .field("targets", &Peft::targets, "site names");
  return t;
}
inline const Table<Slot>& slot_table() {
  static const auto t = Table<Slot>("slot")
                            .field("plugin", &Slot::plugin, "which component", {.required = true})
                            .field("trainable", &Slot::trainable, "whether it learns")
                            .rest(&Slot::options);
  return t;
}
inline const Table<Eval>& eval_table() {
  static const auto t = Table<Eval>("").field("every", &Eval::every, "steps between two", {.min = 1});
  return t;
}
inline const Table<Model>& model_table() {
  static const auto t =
      Table<Model>("llama")
          .field("graph", &Model::graph, "which graph", {.choices = {"multimodal_lm", "dual_encoder"}})
          .field("hidden_size", &Model::hidden_size, "width", {.min = 1})
          .field("layers", &Model::layers, "depth", {.max = 100})
          .field("dropout", &Model::dropout, "share", {.min = 0, .max = 0.5})
          .field("lr", &Model::lr, "rate", {.min = 0, .above_min = true})
          .field("seed", &Model::seed, "seed", {.min = 0})
          .field("weights", &Model::weights, "directory")
          .field("sizes", &Model::sizes, "sizes", {.min = 1})
          .field("betas", &Model::betas, "decays", {.min = 0, .max = 1})
          .field("flags", &Model::flags, "flags")
          .field("extra", &Model::extra, "anything")
          .tables("peft", &Model::peft, peft_table(), "methods")
          .map("streams", &Model::streams, slot_table(), "streams by name")
          .table("eval", &Model::eval, eval_table(), "evaluation");
  return t;
}
inline const Table<Run>& run_table() {
  static const auto t = Table<Run>("")
                            .table("model", &Run::model, model_table(), "the model")
                            .field("name", &Run::name, "of the run", {.required = true});
  return t;
}

}  // namespace antiphon::config::example
