#include <antiphon/run/composition.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/origin.h>

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace antiphon::run {
namespace {

// A text tower with the option eos_token_id looks for that token, or for 2 the largest of the text, and takes its
// vector. Here it is the last one's.
void check_text_end(const config::Value& options, const text::Tokenizer& tokenizer) {
  const auto* option = options.find("eos_token_id");
  const auto* id = option ? option->get_if<int64_t>() : nullptr;
  if (!id || *id < 0) return;
  const auto ids = text::caption_ids(tokenizer, "a");
  const int64_t wanted = *id == 2 && !ids.empty() ? *std::ranges::max_element(ids) : *id;
  if (!ids.empty() && ids.back() == wanted) return;
  fail(ErrorKind::weights,
       fmt::format("eos_token_id of the text tower: a text's vector is that of token {}, and the tokenizer ends texts "
                   "with {}",
                   wanted, ids.empty() ? "nothing" : std::to_string(ids.back())),
       "use the tokenizer of that model");
}

}  // namespace

void check_text_end(const RunConfig& config, const model::Model& model) {
  const std::filesystem::path folder = model::tokenizer_folder(config.model.llm);
  if (!model.pairs() || folder.empty() || !path_exists(folder / "tokenizer.json", ErrorKind::weights)) return;
  check_text_end(config.model.llm.options, text::Tokenizer::load(folder));
}

text::PromptBuilder open_prompts(const RunConfig& config, model::Model& model) {
  const auto& llm = config.model.llm;
  const auto folder = model::tokenizer_folder(llm);
  if (folder.empty())
    fail(ErrorKind::config, "the language model has no tokenizer",
         "give model.llm.weights, or model.llm.tokenizer: a directory with tokenizer.json");
  auto tokenizer = text::Tokenizer::load(folder);
  if (model.pairs()) {
    check_text_end(llm.options, tokenizer);
    const auto padding = model.lm().llm().padding().value_or(TextPadding{});
    return text::PromptBuilder(std::move(tokenizer), padding.tokens, padding.id);
  }
  auto chat_template =
      text::ChatTemplate::load(llm.chat_template.empty() ? folder : llm.chat_template, tokenizer.special_tokens());
  if (!llm.template_variables.empty())
    chat_template = chat_template.with(nlohmann::ordered_json::parse(config::to_json(llm.template_variables)));
  return {std::move(tokenizer), std::move(chat_template), config.model.has_placeholders()};
}

Composition::Composition(const std::string& file, const std::vector<std::string>& sets, const std::string& stage)
    : config(read_config(file, sets, stage)),
      model(model::build(config.model)),
      prompts(open_prompts(config, *model)) {}

}  // namespace antiphon::run
