// Where the values of a slot come from: a Hugging Face directory, a file, or what another run trained there.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/config/value.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::model {

struct LanguageModelSpec;

struct Origin {
  std::string weights, part;      // a directory or file, and which part of it; empty: none
  std::vector<std::string> runs;  // run folders, the latest first; the first of them that trained the part gives it
};

// A folder of `antiphon train`: it holds config.toml.
bool is_run(const std::filesystem::path& folder);

// What `weights` and `part` mean for the slot [`section`] ("model.llm", "model.streams.image.connector") of a `plugin`.
// If `weights` is a run folder, the part comes from the same slot of that run: what the run trained of it, and
// otherwise what the run itself took. Error(config) if the run has no such slot, or another plugin in it;
// Error(weights) if runs name each other.
Origin origin_of(const std::string& plugin, const std::string& weights, const std::string& part,
                 const std::string& section);

// The part's values, called "<path>/<parameter>", and the run that trained it.
struct TrainedPart {
  weights::Checkpoint values;
  std::filesystem::path run;
};
// Of each of the runs that trained some of the part, the latest first. Error(weights) if a run has no complete
// checkpoint.
std::vector<TrainedPart> trained_parts(const Origin& origin, const std::string& path);

// Options of the slot [`section`] that differ from those of the run it comes from, as "alpha = 16 (32 in runs/first)".
std::vector<std::string> other_options(const Origin& origin, const std::string& section, const config::Value& options);

// The directory with tokenizer.json: the slot's `tokenizer`, else where its weights come from. Empty: none is named.
std::string tokenizer_folder(const LanguageModelSpec& llm);

}  // namespace antiphon::model
