// What a configuration composes, without its weights: enough to tokenize, to process media and to count.
#pragma once
#include <memory>

#include <antiphon/run/run_config.h>

#include <antiphon/model/multimodal_lm.h>
#include <antiphon/text/prompt.h>

namespace antiphon::run {

// The tokenizer and the chat template of a configuration. Error(config) if it names none.
text::PromptBuilder open_prompts(const RunConfig& config, model::Model& model);

// Error(weights) if a dual encoder's text tower takes a text's vector from another token than the tokenizer ends texts
// with. Nothing is said if there is no tokenizer.json yet; open_prompts() has checked it, too.
void check_text_end(const RunConfig& config, const model::Model& model);

struct Composition {
  // Error(config) with all problems of the file, as `antiphon validate` lists them.
  Composition(const std::string& file, const std::vector<std::string>& sets, const std::string& stage = "");
  RunConfig config;
  std::unique_ptr<model::Model> model;  // on the meta device
  text::PromptBuilder prompts;
};

}  // namespace antiphon::run
